"""The gradient check: right gradients pass, wrong ones are named, rounding is not taken for an error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from helpers import assert_vector, vectors
from networks import networks, random_images
from sentei import losses, nn, regularizers
from sentei.errors import GraphError
from sentei.graph import Node
from sentei.model import Model
from sentei.ops import SCALE
from sentei.workflow.check import check_gradients
from sentei.workflow.check.anatomy import Anatomy
from toys import same_bits, toy_data, toy_net

V = vectors("lbfgs")


@pytest.mark.devices
def test_a_network_passes_and_is_not_changed(device):
    model, data = toy_net().to(device), toy_data(6)
    before = model.arrays()
    terms = (regularizers.LogActivity(0.1), regularizers.Discriminant(0.05))
    for loss in (losses.CrossEntropy(), losses.SigmoidCrossEntropy(), losses.Hinge()):
        labels = data.labels
        found = check_gradients(
            model, data.images, labels, loss, terms if loss.takes == "labels" else ()
        )
        assert found.ok, found
        assert {r.parameter for r in found.rows} == set(model.graph.by_role("param"))
        shown = [r for r in found.rows if r.verdict == "ok"]
        assert len(shown) >= 8 and all(r.error <= 0.03 for r in shown)
    same_bits(before, model.arrays())


@settings(max_examples=15, deadline=None)
@given(networks())
def test_random_networks(model):
    found = check_gradients(model, random_images(model, 3), np.array([0, 1, 3]), tolerance=0.1)
    assert found.ok, [r for r in found.rows if r.verdict == "wrong"]


def wrong(model: Model, op: str, factor: float) -> Model:
    """The network with the gradients through one op multiplied by a factor."""

    def tampered(node: Node) -> Node:
        if node.op.name != op:
            return node
        right = node.op.backward

        def backward(ctx, n, dy):
            return [
                None if g is None else ctx.emit(SCALE, (g,), factor=factor)
                for g in right(ctx, n, dy)
            ]

        return Node(
            node.name, replace(node.op, backward=backward), node.inputs, node.outputs, node.attrs
        )

    g = model.graph.rebuild([tampered(n) for n in model.graph.nodes])
    return Model(g, model.tensors)


@pytest.mark.parametrize("factor", [1.1, 0.9, -1.0])
def test_a_wrong_gradient_is_named(factor):
    model, data = toy_net(dropout=False), toy_data(6)
    found = check_gradients(wrong(model, "batch_norm", factor), data.images, data.labels)
    bad = {r.parameter for r in found.rows if r.verdict == "wrong"}
    assert not found.ok
    # its own parameters, and what lies before it
    assert bad == {"conv1.weight", "bn1.gamma", "bn1.beta"}


def test_a_forgotten_gradient_is_named():
    model, data = toy_net(dropout=False), toy_data(6)
    found = check_gradients(wrong(model, "relu", 0.0), data.images, data.labels)
    verdicts = {r.parameter: r.verdict for r in found.rows}
    assert verdicts["fc1.weight"] == verdicts["conv2.bias"] == verdicts["bn1.gamma"] == "wrong"
    assert verdicts["fc2.weight"] == "ok"


def test_a_gradient_that_vanishes_is_no_error():
    layers = nn.Sequential(nn.Conv2d(4, 3), nn.BatchNorm(), nn.ReLU(), nn.Flatten(), nn.Linear(3))
    model = nn.build(layers, (6, 6, 2), seed=1)  # a bias before a batch norm has no effect
    rows = check_gradients(model, toy_data(6).images, toy_data(6).labels).rows
    found = {r.parameter: r.verdict for r in rows}
    assert found["conv1.bias"] in ("zero", "too small")
    assert set(found.values()) <= {"ok", "zero", "too small"}


def test_reference_vectors():
    """Analytic and central-difference gradients of a net of tanh units, computed in float64."""
    x, labels = V["gradcheck.x"], V["gradcheck.labels"]
    w1, w2 = V["gradcheck.W1"], V["gradcheck.W2"]
    layers = nn.Sequential(nn.Linear(len(w1)), nn.Tanh(), nn.Linear(len(w2)))
    model = nn.build(layers, (x.shape[1],), seed=0)
    names = {"W1": "fc1.weight", "b1": "fc1.bias", "W2": "fc2.weight", "b2": "fc2.bias"}
    model.load_arrays({p: V[f"gradcheck.{k}"].astype(np.float32) for k, p in names.items()})
    a = Anatomy(model, losses.CrossEntropy(), (), x.astype(np.float32), labels)
    assert_vector(np.array([a.run()]), V["gradcheck.loss"].reshape(1), 1e-5)
    for k, p in names.items():
        assert_vector(a.gradient(p), V[f"gradcheck.analytic.{k}"], 1e-5)
        tensor = a.model.tensors[p]
        epsilons = V["gradcheck.epsilon"].tolist()
        for e, want in zip(epsilons, V[f"gradcheck.central.{k}"], strict=True):
            w = tensor.numpy()
            got = np.zeros(w.shape)
            for i in np.ndindex(w.shape):
                ends = []
                for sign in (1, -1):
                    moved = w.copy()
                    moved[i] += np.float32(sign * e)
                    tensor.copy_from(moved)
                    ends.append((a.value(), float(moved[i])))
                got[i] = (ends[0][0] - ends[1][0]) / (ends[0][1] - ends[1][1])
            tensor.copy_from(w)
            assert_vector(got, want, 1e-3 if e > 5e-4 else 1e-2)
    found = check_gradients(model, x.astype(np.float32), labels)
    assert found.ok and all(r.error < 5e-3 for r in found.rows)


def test_refuses():
    model, data = toy_net(), toy_data(6)
    with pytest.raises(ValueError, match="directions must be at least 1, got 0"):
        check_gradients(model, data.images, data.labels, directions=0)
    with pytest.raises(ValueError, match=r"tolerance must be in \(0, 1\), got 2"):
        check_gradients(model, data.images, data.labels, tolerance=2)
    model.tensors["fc2.bias"].copy_from(np.full(3, np.nan, np.float32))
    with pytest.raises(GraphError, match="the loss must be finite before it is differentiated"):
        check_gradients(model, data.images, data.labels)
