"""Softmax: exact, close, gradient, refuses; rows of any size; reference vectors."""

from __future__ import annotations

import numpy as np
import pytest

import reference.softmax as reference
from eager_context import gradients
from helpers import array, assert_close, assert_exact, central_difference, normal, vectors
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec
from sentei.ops import SOFTMAX, softmax_backward, softmax_forward
from sentei.tensor import Tensor

SHAPES = [
    (1, 1), (5, 3), (4, 10), (3, 13), (2, 16), (2, 5, 7, 37), (3, 1000), (0, 4), (600, 10),
    (9, 8), (5, 9), (7, 24), (5, 33), (3, 129), (2, 512), (2, 513), (3, 1025), (2, 4096), (2, 4097),
    (1, 9001),
]  # fmt: skip


@pytest.mark.devices
@pytest.mark.parametrize("k", [1, 2, 4, 16, 64])
def test_exact(rng, k):
    """Equal scores, and one that outweighs all others, give whole fractions."""
    same = np.full((3, k), 7, np.float32)
    assert_exact(softmax_forward(same), np.full((3, k), 1 / k))
    one = np.zeros((k, k), np.float32) + 1e4 * np.eye(k, dtype=np.float32)
    assert_exact(softmax_forward(one), np.eye(k))
    y, dy = np.full((3, k), 1 / k, np.float32), rng.integers(-4, 5, (3, k)).astype(np.float32)
    assert_exact(softmax_backward(y, dy), (dy - dy.mean(axis=1, keepdims=True, dtype=float)) / k)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_close_and_gradient(rng, shape):
    x, dy = 3 * normal(rng, shape), normal(rng, shape)
    y = softmax_forward(x)
    assert_close(y, reference.forward(x.astype(np.float64)))
    y64 = array(y).astype(np.float64)
    (dx,) = gradients(SOFTMAX, {"x": x}, [dy])
    assert_close(dx, reference.backward(y64, dy.astype(np.float64)), terms=shape[-1])
    np.testing.assert_array_equal(array(softmax_backward(y, dy)), dx)


@pytest.mark.devices
def test_gradient_against_differences(rng):
    x, dy = normal(rng, (2, 7)), normal(rng, (2, 7))
    dx = array(softmax_backward(softmax_forward(x), dy))
    for i in np.ndindex(x.shape):
        d = central_difference(lambda v: float((dy * reference.forward(v)).sum()), x, i)
        assert abs(dx[i] - d) < 1e-6


@pytest.mark.devices
def test_ends_of_the_range():
    inf = np.inf
    x = np.array([[1e4, -1e4, 1e4], [-inf, 0, 0], [np.nan, 0, 1], [3e38, -3e38, 0]], np.float32)
    want = [[0.5, 0, 0.5], [0, 0.5, 0.5], [np.nan] * 3, [1, 0, 0]]
    np.testing.assert_array_equal(array(softmax_forward(x)), want)
    late = np.zeros((1, 40), np.float32)
    late[0, 39] = np.nan
    assert np.isnan(array(softmax_forward(late))).all()


@pytest.mark.devices
@pytest.mark.parametrize("k", [7, 12, 25, 100, 400, 900, 3000, 5000])
def test_ends_of_the_range_in_rows_of_any_length(k):
    x = np.zeros((6, k), np.float32)
    x[0, -1] = np.nan
    x[1, k // 2] = np.inf
    x[2] = -np.inf
    x[3, : k // 2] = -np.inf
    x[4, -1] = x[5, 0] = 3e38  # any other number as the largest would overflow
    y = array(softmax_forward(x))
    assert np.isnan(y[:3]).all()
    assert_close(y[3], np.repeat([0, 1 / (k - k // 2)], [k // 2, k - k // 2]))
    assert_exact(y[4:], np.eye(k)[[k - 1, 0]])


@pytest.mark.devices
@pytest.mark.parametrize("k", [13, 700, 3000, 5000])
def test_in_place(rng, k, device):
    x, dy = normal(rng, (2, k)), normal(rng, (2, k))
    t, d = Tensor.from_numpy(x).to(device), Tensor.from_numpy(dy).to(device)
    _core.softmax_forward(t, t)
    np.testing.assert_array_equal(array(t), array(softmax_forward(x)))
    _core.softmax_backward(t, d, d)
    np.testing.assert_array_equal(array(d), array(softmax_backward(softmax_forward(x), dy)))


@pytest.mark.usefixtures("threads")
def test_threads_change_nothing(rng):
    x = normal(rng, (5000, 13))
    _core.set_threads(1)
    one = np.asarray(softmax_forward(x))
    _core.set_threads(3)
    np.testing.assert_array_equal(softmax_forward(x), one)


def test_facts():
    spec = Spec((2, 10))
    (tie,) = SOFTMAX.ties({"x": spec}, {"y": spec}, {})
    assert (tie.a, tie.b) == (("x", 1), ("y", 1))
    assert not SOFTMAX.zero_preserving


@pytest.mark.devices
def test_reference_vectors():
    v = vectors("activations")
    y = softmax_forward(v["softmax.x"])
    np.testing.assert_allclose(array(y), v["softmax.value"], rtol=4e-6, atol=1e-6)
    dx = softmax_backward(y, v["softmax.dy"])
    np.testing.assert_allclose(array(dx), v["softmax.dx"], rtol=4e-6, atol=1e-6)


def test_refuses():
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(DTypeError, match="softmax_forward: x must be float32, got float64"):
        softmax_forward(np.zeros((2, 3)))
    with pytest.raises(
        ShapeError, match=r"softmax_backward: dy must have shape \(2, 3\), got \(6,\)"
    ):
        softmax_backward(x, np.zeros(6, np.float32))
    with pytest.raises(DTypeError, match="softmax_backward: y must be float32, got float64"):
        softmax_backward(np.zeros((2, 3)), x)
    whole = Tensor.zeros((8,))
    with pytest.raises(ValueError, match="y must be x itself or not overlap it"):
        _core.softmax_forward(whole.view((6,)), whole.view((6,), 8))
