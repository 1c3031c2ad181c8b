"""Elementwise losses and loss_backward: exact, close, gradient, kinks, vectors, refuses."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import (
    array,
    assert_close,
    assert_exact,
    assert_vector,
    cases,
    central_difference,
    integers,
    normal,
    vectors,
)
from reference import losses as ref
from sentei import _core, ops
from sentei.errors import DTypeError, GraphError, ShapeError
from sentei.graph import Graph, Spec
from sentei.tensor import Tensor

SHAPES = [
    (1,),
    (1, 1),
    (5, 13),
    (70, 12),
    (3, 37),
    (2, 3, 5, 7),
    (40, 1000),
    (2, 2501),
    (3, 2052),
    (0, 4),
]
KINDS = {
    "squared": 0.0,
    "binary_ce": 0.0,
    "binary_ce_logits": 0.0,
    "categorical_ce": 0.0,
    "logistic": 0.0,
    "exponential": 0.0,
    "hinge": 0.0,
    "quantile": 0.25,
    "huber": 1.5,
    "eps_insensitive": 0.5,
}
ONE = np.ones(1, np.float32)


def forward(kind, y, t, **kw):
    out = ops.elementwise_loss_forward(y, t, kind=kind, parameter=KINDS[kind], **kw)
    return [array(a) for a in out]


def data(rng, kind, shape):
    if kind in ("binary_ce", "categorical_ce"):
        y = rng.uniform(0.05, 0.95, shape).astype(np.float32)
        return y, rng.uniform(0, 1, shape).astype(np.float32)
    y = normal(rng, shape)
    if kind in ("logistic", "exponential", "hinge"):
        return y, rng.choice([-1.0, 1.0], shape).astype(np.float32)
    if kind == "binary_ce_logits":
        return y, rng.choice([0.0, 0.25, 1.0], shape).astype(np.float32)
    return y, normal(rng, shape)


def per_sample_of(kind, y, t):
    return (
        ref.values(kind, y, t, KINDS[kind]).reshape(len(y), -1).sum(axis=1)
        if y.size
        else (np.zeros(len(y)))
    )


@pytest.mark.devices
def test_more_long_rows_than_blocks(rng):
    """A block takes several rows, one after the other."""
    rows, k = 8192 + 40, 2049
    y = np.repeat(integers(rng, (rows, 1)), k, axis=1)
    _, per_sample, grad = forward("squared", y, np.zeros_like(y), reduction="sum")
    assert np.array_equal(per_sample, 0.5 * k * y[:, 0].astype(np.float64) ** 2)
    assert np.array_equal(grad, y)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_close(rng, kind, shape):
    y, t = data(rng, kind, shape)
    loss, per_sample, grad = forward(kind, y, t)
    want = per_sample_of(kind, y, t)
    assert_close(per_sample, want)
    assert_close(loss, np.array([want.sum() / max(1, len(y))]))
    assert_close(grad, ref.slopes(kind, y, t, KINDS[kind]))
    assert_close(forward(kind, y, t, reduction="sum")[0], np.array([want.sum()]))


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["squared", "hinge", "quantile", "huber", "eps_insensitive"])
def test_exact(rng, kind, shape):
    y = integers(rng, shape) / 2  # kinks are hit
    t = integers(rng, shape) / 2
    if kind == "hinge":
        t = np.where(t > 0, 1, -1).astype(np.float32)
    loss, per_sample, grad = forward(kind, y, t, reduction="sum")
    want = per_sample_of(kind, y, t)
    assert_exact(per_sample, want)
    assert_exact(loss, np.array([want.sum()]))
    assert_exact(grad, ref.slopes(kind, y, t, KINDS[kind]))


@pytest.mark.devices
@pytest.mark.parametrize(
    ("kind", "y", "t", "slope"),
    [
        ("hinge", 1, 1, 0),
        ("hinge", -1, -1, 0),
        ("quantile", 2, 2, 0),
        ("eps_insensitive", 2.5, 2, 0),
        ("eps_insensitive", 1.5, 2, 0),
        ("huber", 3.5, 2, 3),
        ("huber", 0.5, 2, -3),
        ("binary_ce", 1, 0, 0),
        ("binary_ce", 0, 1, 0),
        ("categorical_ce", 0, 1, 0),
    ],
)
def test_kinks_and_bounds(kind, y, t, slope):
    loss, _, grad = forward(kind, np.full((1, 1), y, np.float32), np.full((1, 1), t, np.float32))
    assert grad.tolist() == [[slope]]
    assert np.isfinite(loss).all()


@pytest.mark.devices
def test_probabilities_are_kept_from_0_and_1():
    y, t = np.array([[0, 1]], np.float32), np.array([[1, 0]], np.float32)
    assert_close(forward("binary_ce", y, t)[0], np.array([-2 * np.log(1e-7)]))
    assert_close(forward("categorical_ce", y, t)[0], np.array([-np.log(1e-7)]))


@pytest.mark.devices
@pytest.mark.parametrize("kind", KINDS)
def test_gradient(rng, kind):
    y, t = data(rng, kind, (3, 5))
    grad = forward(kind, y, t)[2]
    dx = ops.loss_backward(grad, ONE)
    want = ref.slopes(kind, y, t, KINDS[kind]) / 3
    assert_close(dx, want)
    for index in [(0, 0), (1, 4), (2, 2)]:
        slope = central_difference(lambda a: per_sample_of(kind, a, t).mean(), y, index)
        assert abs(slope - want[index]) <= 1e-7 * max(1, abs(slope))


@pytest.mark.devices
@pytest.mark.parametrize("case", [c for c in cases("losses") if c != "softmax_ce"])
def test_vectors(case):
    z = {k.split(".", 1)[1]: v for k, v in vectors("losses").items() if k.startswith(f"{case}.")}
    kind = case.rstrip("012").rstrip("_")
    parameter = float(z.get("tau", z.get("delta", z.get("epsilon", 0.0))))
    loss, _, grad = ops.elementwise_loss_forward(z["y"], z["t"], kind=kind, parameter=parameter)
    assert_vector(array(loss)[0], z["value"], 1e-5)
    assert_vector(ops.loss_backward(grad, ONE), z["grad"], 1e-5)


@pytest.mark.devices
@pytest.mark.parametrize("kind", KINDS)
def test_nan_is_not_hidden(kind):
    y, t = np.full((2, 9), 0.5, np.float32), np.ones((2, 9), np.float32)
    y[0, 8] = np.nan
    loss, per_sample, _ = forward(kind, y, t)
    assert np.isnan(loss).all()
    assert np.isnan(per_sample[0]) and np.isfinite(per_sample[1])


@pytest.mark.devices
@pytest.mark.parametrize("shape", [(1,), (3, 37), (5, 4, 3, 13), (0, 4), (40, 1000)])
def test_loss_backward_exact(rng, shape):
    grad = integers(rng, shape)
    got = ops.loss_backward(grad, np.array([3], np.float32), reduction="sum")
    assert_exact(got, 3.0 * grad)
    t = _core.Tensor.from_numpy(grad)
    _core.loss_backward(t, _core.Tensor.from_numpy(np.array([shape[0] or 1], np.float32)), t, True)
    assert_exact(t, grad)


@pytest.mark.devices
def test_in_place_and_twice_the_same_bits(rng, device):
    y, t = normal(rng, (9, 2052)), normal(rng, (9, 2052))
    found = []
    for grad_is in ("y", "t", None):
        ts = {"y": Tensor.from_numpy(y).to(device), "t": Tensor.from_numpy(t).to(device)}
        grad = ts[grad_is] if grad_is else Tensor.empty(y.shape, device=device)
        outs = [Tensor.empty((n,), device=device) for n in (1, 9)]
        _core.elementwise_loss_forward(ts["y"], ts["t"], *outs, grad, "huber", 1.0, True)
        found.append(b"".join(array(a).tobytes() for a in (*outs, grad)))
        one = Tensor.from_numpy(ONE).to(device)
        before = array(grad)
        _core.loss_backward(grad, one, grad, False)
        assert_exact(grad, before.astype(np.float64))
    assert found[0] == found[1] == found[2]


@pytest.mark.devices
def test_memory_not_aligned_for_vectors(rng, device):
    y, t = normal(rng, (3, 40)), normal(rng, (3, 40))
    want = forward("squared", y, t)
    x = [Tensor.empty((121,), device=device).view((3, 40), 4) for _ in range(3)]
    x[0].copy_from(y)
    x[1].copy_from(t)
    outs = [Tensor.empty((n,), device=device) for n in (1, 3)]
    _core.elementwise_loss_forward(x[0], x[1], *outs, x[2], "squared", 0.0, True)
    for got, expected in zip((*outs, x[2]), want, strict=True):
        assert_close(got, expected)
    dloss = Tensor.from_numpy(ONE).to(device)
    dx = Tensor.empty((3, 40), device=device)
    _core.loss_backward(x[2], dloss, dx, False)
    assert_exact(dx, array(x[2]).astype(np.float64))


@pytest.mark.devices
def test_a_recorded_loss_follows_its_inputs(rng, device):
    """On a device nothing may be read when the kernels are launched, only when they run."""
    if device == "cpu":
        pytest.skip("the cpu records nothing")
    y, t, dloss = (Tensor.empty(s, device=device) for s in ((3, 5), (3, 5), (1,)))
    outs = [Tensor.empty(s, device=device) for s in ((1,), (3,), (3, 5), (3, 5))]
    capture = _core.Capture()
    _core.elementwise_loss_forward(y, t, *outs[:3], "squared", 0.0, True)
    _core.loss_backward(outs[2], dloss, outs[3], True)
    capture.end()
    for k in range(1, 3):
        a, b = integers(rng, (3, 5)), integers(rng, (3, 5))
        for x, value in ((y, a), (t, b), (dloss, np.array([3 * k], np.float32))):
            x.copy_from(value)
        capture.replay()
        assert_exact(outs[3], k * (a.astype(np.float64) - b))


@pytest.mark.parametrize("kind", ["squared", "logistic"])
def test_bits_do_not_depend_on_threads(rng, threads, kind):
    y, t = data(rng, kind, (200, 301))
    found = []
    for n in (1, 3):
        _core.set_threads(n)
        found.append(b"".join(a.tobytes() for a in forward(kind, y, t)))
    assert found[0] == found[1]


def f32(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("y", "t", "kw", "error", "message"),
    [
        (np.zeros((2, 3)), f32(2, 3), {}, DTypeError, "y must be float32, got float64"),
        (f32(2, 3), np.zeros((2, 3)), {}, DTypeError, "t must be float32, got float64"),
        (f32(2, 3), f32(2, 4), {}, ShapeError, r"t must have shape \(2, 3\), got \(2, 4\)"),
        (f32(), f32(), {}, ShapeError, "y must have an axis of samples"),
        (
            f32(2, 3),
            f32(2, 3),
            {"kind": "l3"},
            ValueError,
            "kind must be one of squared, .*, got l3",
        ),
        (f32(2, 3), f32(2, 3), {"parameter": 1.0}, ValueError, "parameter must be 0 for squared"),
        (
            f32(2, 3),
            f32(2, 3),
            {"kind": "quantile", "parameter": 1.5},
            ValueError,
            r"tau must lie in \[0, 1\], got 1.5",
        ),
        (f32(2, 3), f32(2, 3), {"kind": "huber"}, ValueError, "delta must be positive, got 0"),
        (
            f32(2, 3),
            f32(2, 3),
            {"kind": "eps_insensitive", "parameter": -1.0},
            ValueError,
            "eps must be at least 0, got -1",
        ),
        (
            f32(2, 3),
            f32(2, 3),
            {"reduction": "max"},
            ValueError,
            "reduction must be 'mean' or 'sum'",
        ),
    ],
)
def test_refuses(y, t, kw, error, message):
    with pytest.raises(error, match=message):
        ops.elementwise_loss_forward(y, t, **{"kind": "squared", **kw})


def test_backward_refuses():
    with pytest.raises(ShapeError, match=r"dloss must have shape \(1,\), got \(2,\)"):
        ops.loss_backward(f32(2, 3), f32(2))
    with pytest.raises(DTypeError, match="grad must be float32"):
        ops.loss_backward(np.zeros((2, 3)), ONE)
    with pytest.raises(ShapeError, match="grad must have an axis of samples"):
        ops.loss_backward(f32(), ONE)
    with pytest.raises(ValueError, match="reduction must be"):
        ops.loss_backward(f32(2, 3), ONE, reduction="none")


def test_outputs_are_checked():
    t = _core.Tensor.from_numpy
    y, outs = t(f32(2, 3)), [t(f32(1)), t(f32(2)), t(f32(2, 3))]
    for i, (bad, name) in enumerate(
        [(f32(2), "loss"), (f32(3), "per_sample"), (f32(3, 2), "grad")]
    ):
        given = [t(bad) if j == i else o for j, o in enumerate(outs)]
        with pytest.raises(ShapeError, match=f"{name} must have shape"):
            _core.elementwise_loss_forward(y, t(f32(2, 3)), *given, "squared", 0.0, True)
    with pytest.raises(ValueError, match="loss must not overlap y"):
        _core.elementwise_loss_forward(
            y, t(f32(2, 3)), y.view((1,)), outs[1], outs[2], "squared", 0.0, True
        )


class Context:
    """Records what a backward emits."""

    def __init__(self, wanted):
        self.emitted, self.wanted = [], wanted

    def emit(self, op, inputs, **attrs):
        self.emitted.append((op.name, tuple(inputs), attrs))
        return "dx"

    def needs(self, value):
        return value in self.wanted


def test_backward_of_the_graph():
    g = Graph()
    g.add_input("y", Spec((-1, 3)))
    g.add_input("t", Spec((-1, 3)))
    op = ops.ELEMENTWISE_LOSS
    g.add(op, ("y", "t"), {"kind": "squared"}, "l")
    ctx = Context({"y"})
    assert op.backward(ctx, g.nodes[0], ("dl", None, None)) == ("dx", None)
    assert ctx.emitted == [("loss_backward", ("l.grad", "dl"), {"reduction": "mean"})]
    with pytest.raises(GraphError, match="l: the targets t must not depend"):
        op.backward(Context({"y", "t"}), g.nodes[0], ("dl", None, None))
    with pytest.raises(GraphError, match="l: only the output loss"):
        op.backward(ctx, g.nodes[0], ("dl", None, "dg"))
