"""Maxout: exact, close, gradient, refuses; equal pieces; ties; reference vectors."""

from __future__ import annotations

import numpy as np
import pytest

import reference.maxout as reference
from eager_context import gradients
from helpers import (
    array,
    assert_close,
    assert_exact,
    assert_vector,
    central_difference,
    integers,
    normal,
    shifted,
    vectors,
)
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec
from sentei.ops import MAXOUT, maxout_backward, maxout_forward
from sentei.tensor import Tensor

UNITS = [(1, 1), (3, 37), (2, 5, 7, 13), (1, 1, 1, 1), (0, 4), (60, 100)]
PIECES = [1, 2, 3, 4, 5, 11, 40, 256]


@pytest.mark.devices
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("k", PIECES)
def test_exact(rng, units, k):
    """Small integers: many pieces are equal, the first must win."""
    x = integers(rng, (*units[:-1], units[-1] * k), 2)
    want, first = reference.forward(x.astype(np.float64), k)
    y, index = maxout_forward(x, pieces=k)
    assert_exact(y, want)
    np.testing.assert_array_equal(array(index), first)
    dy = integers(rng, units)
    assert_exact(maxout_backward(dy, index, pieces=k), reference.backward(dy, first, k))


@pytest.mark.devices
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("k", PIECES)
def test_close_and_gradient(rng, units, k):
    x, dy = normal(rng, (*units[:-1], units[-1] * k)), normal(rng, units)
    want, first = reference.forward(x.astype(np.float64), k)
    assert_close(maxout_forward(x, pieces=k)[0], want)
    (dx,) = gradients(MAXOUT, {"x": x}, [dy, None], pieces=k)
    assert_close(dx, reference.backward(dy, first, k))
    assert gradients(MAXOUT, {"x": x}, [None, None], pieces=k) == [None]


@pytest.mark.devices
def test_gradient_against_differences(rng):
    x, dy = normal(rng, (2, 12)), normal(rng, (2, 4))
    dx = array(maxout_backward(dy, maxout_forward(x, pieces=3)[1], pieces=3))
    for i in np.ndindex(x.shape):
        d = central_difference(lambda v: float((dy * reference.forward(v, 3)[0]).sum()), x, i)
        assert abs(dx[i] - d) < 1e-6


@pytest.mark.devices
def test_nan_wins_and_infinities_count():
    nan, inf = np.nan, np.inf
    x = np.array([[1, nan, 5, nan, 2, 9, -inf, -inf, -inf, 1, inf, inf]], np.float32)
    y, index = maxout_forward(x, pieces=3)
    np.testing.assert_array_equal(array(y), [[nan, nan, -inf, inf]])
    np.testing.assert_array_equal(array(index), [[1, 0, 0, 1]])


@pytest.mark.devices
@pytest.mark.parametrize("k", [4, 7, 32, 100])
def test_the_first_nan_and_the_first_of_equals_win(k):
    x = np.zeros((6, k), np.float32)
    x[1, [1, k - 1]] = np.nan
    x[2, [k // 2, k - 1]] = np.nan, np.inf
    x[3] = -np.inf
    x[4, 2:] = -0.0
    x[5] = np.nan
    y, index = maxout_forward(x, pieces=k)
    np.testing.assert_array_equal(array(y)[:, 0], [0, np.nan, np.nan, -np.inf, 0, np.nan])
    np.testing.assert_array_equal(array(index)[:, 0], [0, 1, k // 2, 0, 0, 0])


@pytest.mark.devices
@pytest.mark.parametrize("k", [2, 3, 5, 7])
def test_any_address(rng, k, device):
    x, dy = integers(rng, (7, 9 * k), 2), integers(rng, (7, 9))
    want, first = reference.forward(x.astype(np.float64), k)
    y, index = maxout_forward(shifted(x, device), pieces=k)
    assert_exact(y, want)
    np.testing.assert_array_equal(array(index), first)
    dx = shifted(np.full_like(x, np.nan), device)
    _core.maxout_backward(Tensor.from_numpy(dy).to(device), index, dx, k)
    assert_exact(dx, reference.backward(dy, first, k))


@pytest.mark.usefixtures("threads")
def test_threads_change_nothing(rng):
    x = normal(rng, (50, 3 * 1001))
    _core.set_threads(1)
    one = [np.asarray(t) for t in maxout_forward(x, pieces=3)]
    _core.set_threads(3)
    for got, want in zip(maxout_forward(x, pieces=3), one, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_unit_is_tied_to_its_pieces():
    given = {"x": Spec((2, 12))}
    units = {"y": Spec((2, 4)), "index": Spec((2, 4), "uint8")}
    tie, index = MAXOUT.ties(given, units, {"pieces": 3})
    assert (tie.a, tie.b) == (("x", 1), ("y", 1))
    np.testing.assert_array_equal(tie.ia, np.arange(12))
    np.testing.assert_array_equal(tie.ib, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
    assert (index.a, index.b) == (("index", 1), ("y", 1))
    assert MAXOUT.zero_preserving


@pytest.mark.devices
@pytest.mark.parametrize("case", ["maxout", "maxout_2"])
def test_reference_vectors(case):
    v = {q: a for q, a in vectors("dense").items() if q.startswith(f"{case}.")}
    x, w, b, dy = (v[f"{case}.{q}"] for q in ("x", "w", "b", "dy"))
    units, k, width = w.shape
    z = (x.astype(np.float64) @ w.reshape(units * k, width).T + b.reshape(-1)).astype(np.float32)
    y, index = maxout_forward(z, pieces=k)
    assert_vector(y, v[f"{case}.y"], 1e-5)
    np.testing.assert_array_equal(array(index), v[f"{case}.piece"])
    dz = array(maxout_backward(dy, index, pieces=k)).astype(np.float64)
    assert_vector(dz @ w.reshape(units * k, width), v[f"{case}.dx"], 1e-5)
    assert_vector((dz.T @ x).reshape(w.shape), v[f"{case}.dw"], 1e-5)
    assert_vector(dz.sum(axis=0).reshape(b.shape), v[f"{case}.db"], 1e-5)


def test_refuses():
    x = np.zeros((2, 7), np.float32)
    dy, index = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.uint8)
    with pytest.raises(
        ShapeError, match=r"x must have a last axis that is a multiple of 3, got shape \(2, 7\)"
    ):
        maxout_forward(x, pieces=3)
    for k in (0, 257):
        with pytest.raises(
            ValueError, match=f"maxout_forward: pieces must be between 1 and 256, got {k}"
        ):
            maxout_forward(x, pieces=k)
        with pytest.raises(ValueError, match="maxout_backward: pieces must be between 1 and 256"):
            maxout_backward(dy, index, pieces=k)
    with pytest.raises(DTypeError, match="maxout_forward: x must be float32, got float64"):
        maxout_forward(np.zeros((2, 6)), pieces=3)
    with pytest.raises(ShapeError, match=r"index must have shape \(2, 3\), got \(2, 2\)"):
        maxout_backward(dy, np.zeros((2, 2), np.uint8), pieces=3)
    with pytest.raises(DTypeError, match="index must be uint8, got int64"):
        maxout_backward(dy, np.zeros((2, 3), np.int64), pieces=3)
    t = Tensor.zeros((2, 6))
    with pytest.raises(ValueError, match="maxout_forward: y must not overlap x"):
        _core.maxout_forward(t, t.view((2, 3)), Tensor.zeros((2, 3), "uint8"), 2)


@pytest.mark.devices
def test_an_index_out_of_range_stays_inside():
    dx = maxout_backward(np.ones((1, 2), np.float32), np.full((1, 2), 9, np.uint8), pieces=2)
    np.testing.assert_array_equal(array(dx), [[0, 1, 0, 1]])
