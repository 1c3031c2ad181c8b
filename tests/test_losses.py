"""Losses: the float64 formulas against the vectors, the graph against the formulas."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_vector, cases, vectors
from sentei import losses
from sentei.describe import described, from_description
from sentei.errors import DataError, DTypeError, GraphError, ShapeError
from sentei.graph import BATCH, Graph, Spec
from sentei.passes import grad
from sentei.run import Runner
from sentei.tensor import Tensor

V = vectors("losses")
D = vectors("dense")
TOL = 1e-5


def loss_of(case: str) -> losses.Loss:
    kind = case.rstrip("_0123456789")
    return {
        "squared": losses.Squared,
        "binary_ce": lambda: losses.BinaryCrossEntropy(from_logits=False),
        "binary_ce_logits": losses.BinaryCrossEntropy,
        "categorical_ce": losses.CategoricalCrossEntropy,
        "softmax_ce": losses.CrossEntropy,
        "logistic": losses.Logistic,
        "exponential": losses.Exponential,
        "hinge": losses.Hinge,
        "quantile": lambda: losses.Quantile(float(V[f"{case}.tau"])),
        "huber": lambda: losses.Huber(float(V[f"{case}.delta"])),
        "eps_insensitive": lambda: losses.EpsInsensitive(float(V[f"{case}.epsilon"])),
    }[kind]()


def run(loss: losses.Loss, y: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
    """Value and gradient in y through a graph."""
    g = Graph()
    g.add_param("y", Spec(y.shape))
    values = loss.emit(g, "y")
    g, grads = grad(g, values.loss)
    g.outputs = (values.loss, grads["y"])
    r = Runner(g, {"y": Tensor.from_numpy(y)}, len(y))
    r.run(**{values.inputs[0]: truth})
    return float(r.fetch(values.loss)[0]), r.fetch(grads["y"])


@pytest.mark.parametrize("case", cases("losses"))
def test_vectors(case):
    loss, y, t = loss_of(case), V[f"{case}.y"], V[f"{case}.t"]
    if loss.takes == "labels":
        t = t.argmax(1)
    assert_vector(loss.per_sample(y, t).mean(), V[f"{case}.value"], TOL)
    value, dy = run(loss, y, t)
    assert_vector(value, V[f"{case}.value"], TOL)
    assert_vector(dy, V[f"{case}.grad"], TOL)


@pytest.mark.parametrize("case", [c for c in cases("dense") if c.startswith("cross_entropy")])
@pytest.mark.parametrize(
    ("name", "loss"),
    [("softmax", losses.CrossEntropy()), ("sigmoid", losses.SigmoidCrossEntropy())],
)
def test_labels(case, name, loss):
    y, t = D[f"{case}.logits"], D[f"{case}.labels"]
    assert_vector(loss.per_sample(y, t), D[f"{case}.{name}.per_sample"], TOL)
    value, dy = run(loss, y, t)
    assert_vector(value, D[f"{case}.{name}.value"], TOL)
    assert_vector(dy, D[f"{case}.{name}.grad"], TOL)


def test_correct_is_counted(rng):
    y = rng.standard_normal((13, 4)).astype(np.float32)
    t = rng.integers(0, 4, 13)
    g = Graph()
    g.add_param("y", Spec(y.shape))
    values = losses.CrossEntropy().emit(g, "y")
    g.outputs = (values.metrics["correct"],)
    r = Runner(g, {"y": Tensor.from_numpy(y)}, 13)
    r.run(labels=t)
    assert int(r.fetch(values.metrics["correct"])[0]) == int((y.argmax(1) == t).sum())


def test_truth():
    labels = np.array([1, 0, 2])
    assert losses.CrossEntropy().truth(labels.astype(np.int32), 3).dtype == np.int64
    assert losses.Squared().truth(labels, 3).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert losses.Hinge().truth(labels, 3)[0].tolist() == [-1, 1, -1]
    t = np.ones((2, 3), np.float32)
    assert losses.Huber().truth(t, 3) is t


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: losses.CrossEntropy().truth(np.array([0, 3]), 3),
            ShapeError,
            r"\[0, 3\), the outputs of the network, got 3",
        ),
        (lambda: losses.CrossEntropy().truth(np.array([-1]), 3), ShapeError, "got -1"),
        (
            lambda: losses.CrossEntropy().truth(np.zeros((2, 3), np.float32), 3),
            DTypeError,
            "classes",
        ),
        (lambda: losses.Squared().truth(np.zeros((2, 3)), 3), DTypeError, "float32"),
        (
            lambda: losses.Squared().truth(np.zeros((2, 4), np.float32), 3),
            ShapeError,
            r"\(N, 3\), got \(2, 4\)",
        ),
        (lambda: losses.Squared().truth(np.zeros((2, 3), int), 3), ShapeError, r"\(N,\)"),
        (lambda: losses.Quantile(1.0), ValueError, "tau"),
        (lambda: losses.Huber(0.0), ValueError, "delta"),
        (lambda: losses.EpsInsensitive(-1.0), ValueError, "eps"),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_refuses_images():
    g = Graph()
    g.add_input("x", Spec((BATCH, 2, 2, 3)))
    with pytest.raises(GraphError, match=r"output must have shape \(N, K\)"):
        losses.CrossEntropy().emit(g, "x")


def test_description():
    for loss in (losses.CrossEntropy(), losses.Quantile(0.2), losses.BinaryCrossEntropy(False)):
        assert from_description(described(loss), losses.KINDS) == loss
    with pytest.raises(DataError, match="kind must be one of"):
        from_description({"kind": "system"}, losses.KINDS)
    with pytest.raises(DataError, match="Quantile cannot be made"):
        from_description({"kind": "Quantile", "tau": 7}, losses.KINDS)
