"""Softmax and sigmoid cross-entropy: exact, close, gradient, large logits, vectors, refuses."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import (
    array,
    assert_close,
    assert_exact,
    assert_vector,
    central_difference,
    normal,
    vectors,
)
from reference import losses as ref
from sentei import _core, ops
from sentei.errors import DTypeError, GraphError, ShapeError
from sentei.graph import Graph, Spec

SHAPES = [
    (1, 1),
    (3, 2),
    (5, 3),
    (4, 10),
    (7, 13),
    (9, 37),
    (2, 1000),
    (300, 10),
    (1700, 10),
    (450, 40),
    (7, 2500),
    (0, 5),
]
FORWARD = {
    "softmax": ops.softmax_cross_entropy_forward,
    "sigmoid": ops.sigmoid_cross_entropy_forward,
}
KINDS = list(FORWARD)


def forward(kind, z, labels, **kw):
    function = FORWARD[kind]
    return [array(t) for t in function(z, labels, **kw)]


def reference(kind, z, labels):
    return getattr(ref, f"{kind}_cross_entropy")(z, labels)


def data(rng, shape, scale=3.0):
    return scale * normal(rng, shape), rng.integers(0, shape[1], shape[0])


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_close(rng, shape, kind, reduction):
    z, labels = data(rng, shape)
    loss, per_sample, dlogits, correct = forward(kind, z, labels, reduction=reduction)
    want, grad = reference(kind, z, labels)
    total = want.sum() / (max(1, len(z)) if reduction == "mean" else 1)
    assert_close(loss, np.array([total]))
    assert_close(per_sample, want, terms=shape[1])
    assert_close(dlogits, grad, terms=shape[1])
    assert correct.dtype == np.int64
    assert correct.tolist() == [int((z.argmax(axis=1) == labels).sum()) if len(z) else 0]


@pytest.mark.devices
@pytest.mark.parametrize("classes", [1, 2, 4, 16, 64])
def test_exact_equal_logits(rng, classes):
    # A power of two of equal logits: probabilities and sums are exact; the first of equals wins.
    labels = rng.integers(0, classes, 8)
    z = np.full((8, classes), 5, np.float32)
    _, per_sample, dlogits, correct = forward("softmax", z, labels)
    hot = np.eye(classes)[labels]
    assert_exact(dlogits, 1 / classes - hot)
    assert_exact(per_sample, np.full(8, np.float32(np.log(classes)), np.float64))
    assert correct.tolist() == [int((labels == 0).sum())]
    _, _, dlogits, _ = forward("sigmoid", np.zeros_like(z), labels)
    assert_exact(dlogits, 0.5 - hot)


@pytest.mark.devices
@pytest.mark.parametrize("kind", KINDS)
def test_exact_far_apart(kind):
    # So far apart that every exponential is 0 or 1.
    z = np.array([[1e4, -1e4, 0], [-1e4, 1e4, -1e4]], np.float32)
    labels = np.array([1, 1])
    loss, per_sample, dlogits, correct = forward(kind, z, labels, reduction="sum")
    if kind == "softmax":
        assert per_sample.tolist() == [2e4, 0]
        assert dlogits.tolist() == [[1, -1, 0], [0, 0, 0]]
    else:
        assert_close(per_sample, np.array([2e4 + np.log(2), 0]))
        assert dlogits.tolist() == [[1, -1, 0.5], [0, 0, 0]]
    assert correct.tolist() == [1]
    assert_close(loss, np.array([per_sample.astype(np.float64).sum()]))


@pytest.mark.devices
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 10, 37])
def test_each_small_loss_is_precise(rng, kind, classes):
    # Every element on its own scale: a confident network still gets a gradient. Logits are
    # multiples of 1/1024, so that their differences are exact.
    labels = rng.integers(0, classes, 50)
    z = -rng.integers(5 * 1024, 40 * 1024, (50, classes)).astype(np.float32) / 1024
    z[np.arange(50), labels] *= -1
    _, per_sample, dlogits, _ = forward(kind, z, labels)
    want, grad = reference(kind, z, labels)
    assert_close(per_sample / want, np.ones(50), terms=classes)
    at = np.arange(50), labels
    assert_close(dlogits[at] / grad[at], np.ones(50), terms=classes)


@pytest.mark.devices
@pytest.mark.parametrize("kind", KINDS)
def test_gradient(rng, kind):
    z, labels = data(rng, (4, 7))
    _, _, dlogits, _ = forward(kind, z, labels)
    dx = array(ops.loss_backward(dlogits, np.array([1], np.float32)))
    _, grad = reference(kind, z, labels)
    assert_close(dx, grad / 4, terms=7)
    for index in [(0, 0), (1, 3), (3, 6), (2, int(labels[2]))]:
        slope = central_difference(lambda a: reference(kind, a, labels)[0].mean(), z, index)
        assert abs(slope - grad[index] / 4) < 1e-8


@pytest.mark.devices
@pytest.mark.parametrize("case", ["cross_entropy", "cross_entropy_2"])
@pytest.mark.parametrize("kind", KINDS)
def test_vectors(case, kind):
    z = vectors("dense")
    logits, labels = z[f"{case}.logits"], z[f"{case}.labels"]
    loss, per_sample, dlogits, correct = forward(kind, logits, labels)
    assert_vector(per_sample, z[f"{case}.{kind}.per_sample"], 1e-5)
    assert_vector(loss[0], z[f"{case}.{kind}.value"], 1e-5)
    dx = ops.loss_backward(dlogits, np.array([1], np.float32))
    assert_vector(dx, z[f"{case}.{kind}.grad"], 1e-5)
    assert correct.tolist() == [int((z[f"{case}.predicted"] == labels).sum())]


@pytest.mark.devices
@pytest.mark.parametrize(
    ("case", "kind"), [("softmax_ce", "softmax"), ("binary_ce_logits", "sigmoid")]
)
def test_vectors_of_losses(case, kind):
    z = vectors("losses")
    y, t = z[f"{case}.y"], z[f"{case}.t"]
    if kind == "sigmoid":  # the rows whose targets are one label
        rows = t.sum(axis=1) == 1
        assert rows.any()
        _, _, dlogits, _ = forward(kind, np.ascontiguousarray(y[rows]), t[rows].argmax(axis=1))
        assert_vector(dlogits / len(y), z[f"{case}.grad"][rows], 1e-5)
        return
    loss, _, dlogits, _ = forward(kind, y, t.argmax(axis=1))
    assert_vector(loss[0], z[f"{case}.value"], 1e-5)
    assert_vector(ops.loss_backward(dlogits, np.ones(1, np.float32)), z[f"{case}.grad"], 1e-5)


@pytest.mark.devices
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [1, 3, 40])
@pytest.mark.parametrize("at", [0, -1])
def test_nan_is_not_hidden(kind, classes, at):
    z = np.zeros((2, classes), np.float32)
    z[0, at] = np.nan
    loss, per_sample, dlogits, correct = forward(kind, z, np.array([0, 0]))
    assert np.isnan(loss).all()
    assert np.isnan(per_sample[0]) and np.isfinite(per_sample[1])
    assert np.isnan(dlogits[0]).any() and np.isfinite(dlogits[1]).all()
    assert correct.tolist() == [1]


@pytest.mark.devices
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5, 3), (900, 37), (8, 2500)])
def test_a_label_out_of_range(rng, device, kind, shape):
    """The cpu refuses it; elsewhere its sample is NaN, the others are what they were."""
    z, labels = data(rng, shape)
    good = forward(kind, z, labels)
    hits = z.argmax(axis=1) == labels
    bad = labels.copy()
    bad[[0, 2]] = [shape[1], -1]
    if device == "cpu":
        with pytest.raises(ValueError, match="labels must lie in"):
            forward(kind, z, bad)
        return
    loss, per_sample, dlogits, correct = forward(kind, z, bad)
    assert np.isnan(loss).all()
    assert np.isnan(per_sample[[0, 2]]).all() and np.isnan(dlogits[[0, 2]]).all()
    rest = np.delete(np.arange(shape[0]), [0, 2])
    assert per_sample[rest].tobytes() == good[1][rest].tobytes()
    assert dlogits[rest].tobytes() == good[2][rest].tobytes()
    assert correct.tolist() == [int(hits[rest].sum())]


@pytest.mark.devices
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [-np.inf, np.nan])
@pytest.mark.parametrize("classes", [1, 5, 70])
def test_rows_without_a_largest_logit(kind, value, classes):
    z = np.full((2, classes), value, np.float32)
    _, per_sample, _, correct = forward(kind, z, np.array([0, classes - 1]))
    if kind == "softmax" or np.isnan(value):
        assert np.isnan(per_sample).all() and correct.tolist() == [0]
    else:  # log(1 + exp(inf)) at the label
        assert np.isinf(per_sample).all()


@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_threads(rng, threads, kind):
    z, labels = data(rng, (999, 37))
    found = []
    for n in (1, 3):
        _core.set_threads(n)
        found.append(b"".join(a.tobytes() for a in forward(kind, z, labels)))
    assert found[0] == found[1]


def f32(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("z", "labels", "error", "message"),
    [
        (np.zeros((2, 3)), np.array([0, 1]), DTypeError, "logits must be float32, got float64"),
        (f32(2, 3, 1), np.array([0, 1]), ShapeError, "logits must have 2 axes"),
        (f32(2, 0), np.array([0, 1]), ShapeError, "logits must have at least one class"),
        (f32(2, 3), np.array([0, 1, 2]), ShapeError, r"labels must have shape \(2,\), got \(3,\)"),
        (f32(2, 3), np.array([0, 1], np.int32), DTypeError, "labels must be int64, got int32"),
        (f32(2, 3), np.array([0, 3]), ValueError, r"labels must lie in \[0, 3\), got 3 at index 1"),
        (
            f32(2, 3),
            np.array([-1, 0]),
            ValueError,
            r"labels must lie in \[0, 3\), got -1 at index 0",
        ),
    ],
)
def test_refuses(kind, z, labels, error, message):
    with pytest.raises(error, match=f"{kind}_cross_entropy_forward: {message}"):
        forward(kind, z, labels)


def test_refuses_reduction():
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'sum', got 'none'"):
        forward("softmax", f32(2, 3), np.array([0, 1]), reduction="none")


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_label_writes_nothing_and_outputs_are_checked(kind):
    t = _core.Tensor.from_numpy
    outs = [t(np.full(s, 7, np.float32)) for s in ((1,), (2,), (2, 3))] + [t(np.array([7]))]
    core = getattr(_core, f"{kind}_cross_entropy_forward")
    logits, labels = t(f32(2, 3)), t(np.array([0, 1]))
    with pytest.raises(ValueError, match="labels must lie"):
        core(logits, t(np.array([0, 9])), *outs, True)
    assert all((array(o) == 7).all() for o in outs)
    for i, bad in enumerate(
        [
            (f32(2), "loss"),
            (f32(3), "per_sample"),
            (f32(2, 2), "dlogits"),
            (np.zeros(2, int), "corr"),
        ]
    ):
        with pytest.raises(ShapeError, match=f"{bad[1]}.* must have shape"):
            core(logits, labels, *[t(bad[0]) if j == i else o for j, o in enumerate(outs)], True)
    with pytest.raises(ValueError, match="dlogits must not overlap logits"):
        core(logits, labels, outs[0], outs[1], logits, outs[3], True)


class Context:
    """Records what a backward emits."""

    def __init__(self):
        self.emitted = []

    def emit(self, op, inputs, **attrs):
        self.emitted.append((op.name, tuple(inputs), attrs))
        return "dx"

    def needs(self, value):
        return value == "z"


@pytest.mark.parametrize("kind", KINDS)
def test_backward_of_the_graph(kind):
    g = Graph()
    g.add_input("z", Spec((-1, 3)))
    g.add_input("labels", Spec((-1,), "int64"))
    op = getattr(ops, f"{kind}_cross_entropy".upper())
    outs = g.add(op, ("z", "labels"), {"reduction": "sum"}, "ce")
    assert outs == ("ce.loss", "ce.per_sample", "ce.dlogits", "ce.correct")
    ctx = Context()
    assert op.backward(ctx, g.nodes[0], ("dl", None, None, None)) == ("dx", None)
    assert ctx.emitted == [("loss_backward", ("ce.dlogits", "dl"), {"reduction": "sum"})]
    with pytest.raises(GraphError, match="ce: only the output loss"):
        op.backward(ctx, g.nodes[0], ("dl", "dp", None, None))
    assert op.backward(ctx, g.nodes[0], (None, None, None, None)) == (None, None)
