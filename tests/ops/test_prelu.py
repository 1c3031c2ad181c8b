"""PReLU: exact, close, gradient, refuses; threads; reference vectors."""

from __future__ import annotations

import numpy as np
import pytest

import reference.prelu as reference
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
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec
from sentei.ops import PRELU, prelu_backward, prelu_forward
from sentei.tensor import Tensor

SHAPES = [(1,), (3, 37), (2, 5, 7, 13), (1, 1, 1, 1), (0, 4), (3, 28, 28, 32), (5, 1_000_003)]


def slope(a):
    return np.array([a], np.float32)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_exact(rng, shape):
    x, dy, a = integers(rng, shape), integers(rng, shape), slope(0.25)
    assert_exact(prelu_forward(x, a), reference.forward(x.astype(np.float64), 0.25))
    for got, want in zip(prelu_backward(x, a, dy), reference.backward(x, 0.25, dy), strict=True):
        assert_exact(got, want)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_close_and_gradient(rng, shape):
    x, dy, a = normal(rng, shape), normal(rng, shape), slope(0.3)
    a64 = a.astype(np.float64)
    assert_close(prelu_forward(x, a), reference.forward(x.astype(np.float64), a64))
    dx, da = gradients(PRELU, {"x": x, "a": a}, [dy])
    want_dx, want_da = reference.backward(x.astype(np.float64), a64, dy.astype(np.float64))
    assert_close(dx, want_dx)
    assert_close(da, want_da, terms=x.size, scale=float(np.sqrt(max(1, x.size))))


@pytest.mark.devices
def test_gradient_against_differences(rng):
    x, dy, a = normal(rng, (17,)), normal(rng, (17,)), slope(0.3)
    dx, da = prelu_backward(x, a, dy)
    for i in range(x.size):
        d = central_difference(lambda v: float(dy @ reference.forward(v, 0.3)), x, (i,))
        assert abs(array(dx)[i] - d) < 1e-6
    d = central_difference(lambda v: float(dy @ reference.forward(x, v)), a, (0,))
    assert abs(array(da)[0] - d) < 1e-5


@pytest.mark.devices
def test_zero_takes_the_lower_branch_and_nan_stays():
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf], np.float32)
    y = array(prelu_forward(x, slope(0.5)))
    np.testing.assert_array_equal(y, [0, 0, np.nan, np.inf, -np.inf])
    dx, _ = prelu_backward(x[:2], slope(0.5), np.ones(2, np.float32))
    np.testing.assert_array_equal(array(dx), [0.5, 0.5])
    assert np.isnan(array(prelu_backward(x[:3], slope(0.5), np.ones(3, np.float32))[1]))


@pytest.mark.devices
def test_any_address_and_in_place(rng, device):
    x, dy, a = integers(rng, (5, 4001)), integers(rng, (5, 4001)), slope(0.25)
    want = reference.backward(x, 0.25, dy)
    t, d = shifted(x, device), shifted(dy, device)
    y = prelu_forward(t, a)
    assert_exact(y, reference.forward(x.astype(np.float64), 0.25))
    for got, w in zip(prelu_backward(t, a, d), want, strict=True):
        assert_exact(got, w)
    for source, other in [
        (t, d),
        (Tensor.from_numpy(x).to(device), Tensor.from_numpy(dy).to(device)),
    ]:
        da = Tensor.empty((1,), device=device)
        need = _core.prelu_backward_workspace(x.size, device)
        work = Tensor.empty((need,), "uint8", device=device)
        tensor_a = Tensor.from_numpy(a).to(device)
        _core.prelu_backward(source, tensor_a, other, other, da, work)
        assert_exact(other, want[0])
        assert_exact(da, want[1])
        _core.prelu_forward(source, tensor_a, source)
        assert_exact(source, array(y).astype(np.float64))


@pytest.mark.usefixtures("threads")
def test_threads_change_nothing(rng):
    x, dy, a = normal(rng, (5, 100_003)), normal(rng, (5, 100_003)), slope(0.3)
    _core.set_threads(1)
    one = [np.asarray(t) for t in prelu_backward(x, a, dy)]
    _core.set_threads(3)
    for got, want in zip(prelu_backward(x, a, dy), one, strict=True):
        np.testing.assert_array_equal(got, want)


def test_facts():
    spec = Spec((2, 5, 5, 13))
    (tie,) = PRELU.ties({"x": spec, "a": Spec((1,))}, {"y": spec}, {})
    assert (tie.a, tie.b) == (("x", 3), ("y", 3))
    assert PRELU.zero_preserving


@pytest.mark.devices
def test_reference_vectors():
    v = vectors("activations")
    x, a = v["x"], v["prelu.a"].reshape(1)
    near = {"rtol": 4e-6, "atol": 1e-6}
    np.testing.assert_allclose(array(prelu_forward(x, a)), v["prelu.value"], **near)
    dx, da = prelu_backward(x, a, np.ones_like(x))
    np.testing.assert_allclose(array(dx), v["prelu.slope"], **near)
    np.testing.assert_allclose(array(da), [v["prelu.slope_a"].sum()], **near)


X = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("x", "a", "dy", "error", "message"),
    [
        (X, np.zeros(3, np.float32), X, ShapeError, r"a must have shape \(1,\), got \(3,\)"),
        (X, np.zeros(1), X, DTypeError, "a must be float32, got float64"),
        (np.zeros((2, 3)), slope(0), X, DTypeError, "x must be float32, got float64"),
    ],
)
def test_refuses(x, a, dy, error, message):
    with pytest.raises(error, match=f"prelu_forward: {message}"):
        prelu_forward(x, a)
    with pytest.raises(error, match=f"prelu_backward: {message}"):
        prelu_backward(x, a, dy)


def test_refuses_gradients_and_workspaces_that_do_not_fit():
    with pytest.raises(
        ShapeError, match=r"prelu_backward: dy must have shape \(2, 3\), got \(6,\)"
    ):
        prelu_backward(X, slope(0), np.zeros(6, np.float32))
    t, one = Tensor.zeros((2, 3)), Tensor.zeros((1,))
    with pytest.raises(ShapeError, match="workspace must have at least 8 bytes, got 4"):
        _core.prelu_backward(t, one, t, t, Tensor.zeros((1,)), Tensor.empty((4,), "uint8"))
