"""Distillation: exact, close, gradient, ends, threads, refuses."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import array, assert_close, assert_exact, central_difference, normal
from reference import losses as ref
from sentei import _core, ops
from sentei.errors import DTypeError, GraphError, ShapeError
from sentei.graph import Graph, Spec

SHAPES = [(1, 1), (3, 2), (4, 10), (7, 13), (9, 37), (2, 1000), (300, 10), (5, 2500), (0, 5)]


def forward(z, labels, teacher, **kw):
    return [array(t) for t in ops.distillation_forward(z, labels, teacher, **kw)]


def data(rng, shape):
    labels = rng.integers(0, shape[1], shape[0])
    return 3 * normal(rng, shape), labels, 3 * normal(rng, shape)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("alpha", "temperature"), [(0.5, 4.0), (1.0, 1.0), (0.25, 0.5)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_close(rng, shape, alpha, temperature, reduction):
    z, labels, teacher = data(rng, shape)
    settings = {"alpha": alpha, "temperature": temperature}
    loss, per_sample, dlogits, correct = forward(
        z, labels, teacher, reduction=reduction, **settings
    )
    want, grad = ref.distillation(z, labels, teacher, **settings)
    assert_close(per_sample, want, terms=shape[1])
    assert_close(dlogits, grad, terms=shape[1])
    total = want.sum() / (max(1, len(z)) if reduction == "mean" else 1)
    assert_close(loss, np.array([total]), terms=shape[1])
    assert correct.tolist() == [int((z.argmax(axis=1) == labels).sum()) if len(z) else 0]


@pytest.mark.devices
@pytest.mark.parametrize("classes", [2, 4, 64])
def test_exact_equal_logits(classes):
    """A teacher that says what the network says, in powers of two: only the labels are left."""
    labels = np.arange(8) % classes
    z = np.full((8, classes), 5, np.float32)
    _, per_sample, dlogits, _ = forward(z, labels, z + 3, alpha=0.5, temperature=2.0)
    hot = np.eye(classes)[labels]
    assert_exact(dlogits, (1 / classes - hot) / 2)
    assert_exact(per_sample, np.full(8, np.float32(np.log(classes)) / 2, np.float64))


@pytest.mark.devices
def test_no_weight_is_cross_entropy(rng):
    z, labels, teacher = data(rng, (9, 13))
    found = forward(z, labels, teacher, alpha=0.0, temperature=3.0)
    want = [array(t) for t in ops.softmax_cross_entropy_forward(z, labels)]
    for a, b in zip(found, want, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.devices
def test_far_apart_logits_stay_finite():
    z = np.array([[1e4, -1e4, 0]], np.float32)
    teacher = np.array([[-1e4, 1e4, 0]], np.float32)
    _, per_sample, dlogits, _ = forward(z, np.array([0]), teacher, alpha=1.0, temperature=1.0)
    assert per_sample.tolist() == [2e4] and dlogits.tolist() == [[1, -1, 0]]


@pytest.mark.devices
def test_gradient(rng):
    z, labels, teacher = data(rng, (4, 7))
    settings = {"alpha": 0.7, "temperature": 3.0}
    dlogits = forward(z, labels, teacher, **settings)[2]
    dx = array(ops.loss_backward(dlogits, np.array([1], np.float32)))
    _, grad = ref.distillation(z, labels, teacher, **settings)
    assert_close(dx, grad / 4, terms=7)
    for index in [(0, 0), (1, 3), (3, 6), (2, int(labels[2]))]:
        slope = central_difference(
            lambda a: ref.distillation(a, labels, teacher, **settings)[0].mean(), z, index
        )
        assert abs(slope - grad[index] / 4) < 1e-8


@pytest.mark.devices
@pytest.mark.parametrize("of", ["z", "teacher"])
@pytest.mark.parametrize("at", [0, -1])
def test_nan_is_not_hidden(of, at):
    z, teacher = np.zeros((2, 40), np.float32), np.zeros((2, 40), np.float32)
    {"z": z, "teacher": teacher}[of][0, at] = np.nan
    loss, per_sample, dlogits, _ = forward(z, np.array([0, 0]), teacher, alpha=0.5, temperature=2.0)
    assert np.isnan(loss).all() and np.isnan(per_sample[0]) and np.isfinite(per_sample[1])
    assert np.isnan(dlogits[0]).any() and np.isfinite(dlogits[1]).all()


def test_bits_do_not_depend_on_threads(rng, threads):
    z, labels, teacher = data(rng, (999, 37))
    found = []
    for n in (1, 3):
        _core.set_threads(n)
        outs = forward(z, labels, teacher, alpha=0.5, temperature=4.0)
        found.append(b"".join(a.tobytes() for a in outs))
    assert found[0] == found[1]


def f32(*shape):
    return np.zeros(shape, np.float32)


LABELS = np.array([0, 1])


@pytest.mark.parametrize(
    ("args", "settings", "error", "message"),
    [
        ((f32(2, 3), LABELS, np.zeros((2, 3))), {}, DTypeError, "teacher must be float32"),
        ((f32(2, 3), LABELS, f32(2, 4)), {}, ShapeError, r"teacher must have shape \(2, 3\)"),
        ((f32(2, 3, 1), LABELS, f32(2, 3, 1)), {}, ShapeError, "logits must have 2 axes"),
        ((f32(2, 3), np.array([0]), f32(2, 3)), {}, ShapeError, r"labels must have shape \(2,\)"),
        ((f32(2, 3), LABELS, f32(2, 3)), {"alpha": 1.5}, ValueError, r"alpha must lie in \[0, 1\]"),
        ((f32(2, 3), LABELS, f32(2, 3)), {"temperature": 0.0}, ValueError, "temperature must be above 0"),
        ((f32(2, 3), LABELS, f32(2, 3)), {"temperature": np.inf}, ValueError, "temperature must be"),
        ((f32(2, 3), LABELS, f32(2, 3)), {"temperature": np.nan}, ValueError, "temperature must be"),
    ],
)  # fmt: skip
def test_refuses(args, settings, error, message):
    with pytest.raises(error, match=f"distillation_forward: {message}"):
        forward(*args, **{"alpha": 0.5, "temperature": 2.0, **settings})


def test_the_core_checks_too(rng):
    t = _core.Tensor.from_numpy
    outs = [t(np.full(s, 7, np.float32)) for s in ((1,), (2,), (2, 3))] + [t(np.array([7]))]
    z, labels, teacher = t(f32(2, 3)), t(LABELS), t(f32(2, 3))
    core = _core.distillation_forward
    for alpha, temperature, word in [(2.0, 1.0, "alpha"), (0.5, -1.0, "temperature")]:
        with pytest.raises(ValueError, match=f"{word} must"):
            core(z, labels, teacher, *outs, True, alpha, temperature)
    with pytest.raises(ValueError, match="dlogits must not overlap teacher"):
        core(z, labels, teacher, outs[0], outs[1], teacher, outs[3], True, 0.5, 1.0)
    with pytest.raises(ValueError, match="labels must lie"):
        core(z, t(np.array([0, 9])), teacher, *outs, True, 0.5, 1.0)
    assert all((array(o) == 7).all() for o in outs)


class Context:
    def __init__(self):
        self.emitted = []

    def emit(self, op, inputs, **attrs):
        self.emitted.append((op.name, tuple(inputs), attrs))
        return "dx"

    def needs(self, value):
        return value in self.trained


def test_backward_of_the_graph():
    g = Graph()
    g.add_input("z", Spec((-1, 3)))
    g.add_input("labels", Spec((-1,), "int64"))
    g.add_input("t", Spec((-1, 3)))
    attrs = {"reduction": "sum", "alpha": 0.5, "temperature": 2.0}
    g.add(ops.DISTILLATION, ("z", "labels", "t"), attrs, "kd")
    ctx = Context()
    ctx.trained = {"z"}
    back = ops.DISTILLATION.backward
    assert back(ctx, g.nodes[0], ("dl", None, None, None)) == ("dx", None, None)
    assert ctx.emitted == [("loss_backward", ("kd.dlogits", "dl"), {"reduction": "sum"})]
    assert back(ctx, g.nodes[0], (None, None, None, None)) == (None, None, None)
    with pytest.raises(GraphError, match="kd: only the output loss"):
        back(ctx, g.nodes[0], ("dl", "dp", None, None))
    ctx.trained = {"z", "t"}
    with pytest.raises(GraphError, match="kd: the teacher must not be trained"):
        back(ctx, g.nodes[0], ("dl", None, None, None))
