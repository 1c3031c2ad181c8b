"""Activations: exact, close, gradient, refuses; ends of the range; reference vectors."""

from __future__ import annotations

import numpy as np
import pytest

import reference.activations as reference
from eager_context import gradients
from helpers import (
    array,
    assert_close,
    assert_exact,
    central_difference,
    integers,
    normal,
    shifted,
    vectors,
)
from sentei import _core, ops
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec
from sentei.tensor import Tensor

SHAPES = [(1,), (3, 37), (2, 5, 7, 13), (1, 1, 1, 1), (0, 4), (3, 28, 28, 32)]
KINDS = [
    ("relu", {}),
    ("leaky_relu", {"alpha": 0.125}),
    ("elu", {"alpha": 0.5}),
    ("logistic", {}),
    ("tanh", {}),
    ("softplus", {}),
    ("step", {}),
    ("clip", {"low": -1.5, "high": 2.0}),
]
FORWARD = {
    "relu": ops.relu_forward,
    "leaky_relu": ops.leaky_relu_forward,
    "elu": ops.elu_forward,
    "logistic": ops.logistic_forward,
    "tanh": ops.tanh_forward,
    "softplus": ops.softplus_forward,
    "step": ops.step_forward,
    "clip": ops.clip_forward,
}
BACKWARD = {
    "relu": ops.relu_backward,
    "leaky_relu": ops.leaky_relu_backward,
    "elu": ops.elu_backward,
    "logistic": ops.logistic_backward,
    "tanh": ops.tanh_backward,
    "softplus": ops.softplus_backward,
    "clip": ops.clip_backward,
}
WITH_GRADIENT = [k for k in KINDS if k[0] != "step"]
IDS = [k[0] for k in KINDS]


def forward(name, x, attrs):
    return array(FORWARD[name](x, **attrs))


def expected(name, x, attrs):
    return getattr(reference, name)(np.asarray(x, np.float64), **attrs)


def backward(name, x, dy, attrs):
    saved = x if name == "softplus" else forward(name, x, attrs)
    return array(BACKWARD[name](saved, dy, **attrs))


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "attrs"), [k for k in KINDS if k[0] in ("relu", "leaky_relu", "step", "clip")]
)
def test_exact(rng, name, attrs, shape):
    x, dy = integers(rng, shape), integers(rng, shape)
    y, slope = expected(name, x, attrs)
    assert_exact(forward(name, x, attrs), y)
    if name != "step":
        assert_exact(backward(name, x, dy, attrs), dy * slope)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "attrs"), KINDS, ids=IDS)
def test_close(rng, name, attrs, shape):
    x = 4 * normal(rng, shape)
    assert_close(forward(name, x, attrs), expected(name, x, attrs)[0])


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "attrs"), WITH_GRADIENT)
def test_gradient(rng, name, attrs, shape):
    x, dy = 4 * normal(rng, shape), normal(rng, shape)
    # The slope comes from y, whose rounding a saturated unit does not shrink: relative to dy.
    scale = float(np.abs(dy).max(initial=0))
    assert_close(backward(name, x, dy, attrs), dy * expected(name, x, attrs)[1], scale=scale)
    (dx,) = gradients(getattr(ops, name.upper()), {"x": x}, [dy], **attrs)
    np.testing.assert_array_equal(dx, backward(name, x, dy, attrs))


@pytest.mark.devices
@pytest.mark.parametrize(("name", "attrs"), WITH_GRADIENT)
def test_gradient_against_differences(rng, name, attrs):
    x, dy = normal(rng, (17,)), normal(rng, (17,))
    dx = backward(name, x, dy, attrs)
    for i in range(x.size):
        slope = central_difference(lambda v: float(dy @ expected(name, v, attrs)[0]), x, (i,))
        assert abs(dx[i] - slope) < 1e-5 * max(1, abs(slope))


def test_step_passes_no_gradient():
    assert ops.STEP.backward is None


@pytest.mark.devices
@pytest.mark.parametrize(("name", "attrs"), KINDS, ids=IDS)
def test_zero_nan_and_infinities(name, attrs):
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e4, -1e4], np.float32)
    y = forward(name, x, attrs)
    f64 = x.astype(np.float64)
    f64[2:5] = 0, 1e300, -1e300
    with np.errstate(over="ignore"):
        want = expected(name, f64, attrs)[0].astype(np.float32)
    want[2] = np.nan
    np.testing.assert_allclose(y, want, rtol=1e-6, atol=1e-30)
    if name != "clip":  # a matter of its range: the op promises nothing
        assert getattr(ops, name.upper()).zero_preserving == (y[0] == 0)
    if name == "step":
        return
    dx = backward(name, x, np.ones(7, np.float32), attrs)
    low = expected(name, np.array([0.0]), attrs)[1][0]
    np.testing.assert_allclose(dx[:2], low, rtol=1e-6)  # the branch of x <= 0
    assert np.isfinite(dx[3:]).all()


@pytest.mark.devices
@pytest.mark.parametrize(("name", "attrs"), WITH_GRADIENT)
def test_in_place(rng, name, attrs, device):
    x, dy = normal(rng, (5, 13)), normal(rng, (5, 13))
    t, d = Tensor.from_numpy(x).to(device), Tensor.from_numpy(dy).to(device)
    back = getattr(_core, f"{name}_backward")
    if name == "softplus":
        back(Tensor.from_numpy(x).to(device), d, d, *attrs.values())
        np.testing.assert_array_equal(array(d), backward(name, x, dy, attrs))
    getattr(_core, f"{name}_forward")(t, t, *attrs.values())
    np.testing.assert_array_equal(array(t), forward(name, x, attrs))
    if name != "softplus":
        back(t, d, t, *attrs.values())
        np.testing.assert_array_equal(array(t), backward(name, x, dy, attrs))


@pytest.mark.devices
@pytest.mark.parametrize(("name", "attrs"), WITH_GRADIENT)
def test_any_address(rng, name, attrs, device):
    x, dy = normal(rng, (3, 37)), normal(rng, (3, 37))
    y = forward(name, x, attrs)
    np.testing.assert_array_equal(forward(name, shifted(x, device), attrs), y)
    dx = array(BACKWARD[name](x if name == "softplus" else y, shifted(dy, device), **attrs))
    np.testing.assert_array_equal(dx, backward(name, x, dy, attrs))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("name", "attrs"), KINDS, ids=IDS)
def test_threads_change_nothing(rng, name, attrs):
    x = normal(rng, (5, 10007))
    _core.set_threads(1)
    one = forward(name, x, attrs)
    _core.set_threads(3)
    np.testing.assert_array_equal(forward(name, x, attrs), one)


@pytest.mark.parametrize(("name", "attrs"), KINDS, ids=IDS)
def test_channels_are_tied_one_to_one(name, attrs):
    op = getattr(ops, name.upper())
    spec = Spec((2, 5, 5, 13))
    (tie,) = op.ties({"x": spec}, {"y": spec}, attrs)
    assert (tie.a, tie.b, tie.ia, tie.ib) == (("x", 3), ("y", 3), None, None)


VECTORS = [
    ("step", "step"), ("logistic", "logistic"), ("tanh", "tanh"), ("softplus", "softplus"),
    ("relu", "relu"), ("leaky_0", "leaky_relu"), ("leaky_1", "leaky_relu"), ("elu_0", "elu"),
    ("elu_1", "elu"),
]  # fmt: skip


@pytest.mark.devices
@pytest.mark.parametrize(("case", "name"), VECTORS)
def test_reference_vectors(case, name):
    v = vectors("activations")
    x = v["x"]
    attrs = {"alpha": float(v[f"{case}.a"])} if f"{case}.a" in v else {}
    np.testing.assert_allclose(forward(name, x, attrs), v[f"{case}.value"], rtol=4e-6, atol=1e-6)
    if name == "step":
        assert not v[f"{case}.slope"].any()
        return
    slope = backward(name, x, np.ones_like(x), attrs)
    np.testing.assert_allclose(slope, v[f"{case}.slope"], rtol=4e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "attrs"), KINDS, ids=IDS)
def test_refuses_dtype(name, attrs):
    with pytest.raises(DTypeError, match=f"{name}_forward: x must be float32, got float64"):
        FORWARD[name](np.zeros(3), **attrs)


@pytest.mark.parametrize(("name", "attrs"), WITH_GRADIENT)
def test_refuses_gradients_that_do_not_fit(name, attrs):
    saved = "x" if name == "softplus" else "y"
    back, raw = BACKWARD[name], getattr(_core, f"{name}_backward")
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(
        ShapeError, match=rf"{name}_backward: dy must have shape \(2, 3\), got \(6,\)"
    ):
        back(x, np.zeros(6, np.float32), **attrs)
    with pytest.raises(DTypeError, match=f"{name}_backward: dy must be float32, got int32"):
        back(x, np.zeros((2, 3), np.int32), **attrs)
    with pytest.raises(DTypeError, match=f"{name}_backward: {saved} must be float32, got float64"):
        back(np.zeros((2, 3)), x, **attrs)
    t = Tensor.zeros((2, 3))
    with pytest.raises(ShapeError, match=rf"{name}_backward: dx must have shape \(2, 3\)"):
        raw(t, t, Tensor.zeros((6,)), *attrs.values())


@pytest.mark.parametrize("name", ["leaky_relu", "elu"])
@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
def test_refuses_alpha(name, alpha):
    x = np.zeros(3, np.float32)
    with pytest.raises(
        ValueError, match=f"{name}_forward: alpha must be a finite number >= 0, got"
    ):
        FORWARD[name](x, alpha=alpha)
    with pytest.raises(ValueError, match=f"{name}_backward: alpha must be a finite number >= 0"):
        BACKWARD[name](x, x, alpha=alpha)


@pytest.mark.devices
def test_clip_of_open_and_narrow_ranges(rng):
    x, dy = integers(rng, (3, 37), 6), normal(rng, (3, 37))
    for low, high in ((None, 2.0), (0.0, None), (None, None), (1.0, 1.0), (3.0, 5.0)):
        attrs = {"low": low, "high": high}
        y, slope = expected("clip", x, attrs)
        assert_exact(forward("clip", x, attrs), y)
        assert_exact(backward("clip", x, dy, attrs), dy.astype(np.float64) * slope)


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.5), (float("nan"), 1.0), (0.0, float("nan"))])
def test_refuses_range(low, high):
    x = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="clip_forward: low must be at most high, got"):
        ops.clip_forward(x, low=low, high=high)
    with pytest.raises(ValueError, match="clip_backward: low must be at most high, got"):
        ops.clip_backward(x, x, low=low, high=high)


def test_refuses_half_overlap():
    whole = Tensor.zeros((8,))
    with pytest.raises(ValueError, match="relu_forward: y must be x itself or not overlap it"):
        _core.relu_forward(whole.view((6,)), whole.view((6,), 8))
    with pytest.raises(ValueError, match="relu_backward: dx must be dy itself or not overlap it"):
        _core.relu_backward(Tensor.zeros((6,)), whole.view((6,)), whole.view((6,), 8))
