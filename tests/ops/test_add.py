"""add: exact, close, refuses, in place, thread-independent."""

from __future__ import annotations

import numpy as np
import pytest

from eager_context import gradients
from helpers import assert_close, assert_exact, integers, normal
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.ops import ADD, add_forward
from sentei.tensor import Tensor

SHAPES = [(1,), (3, 37), (2, 5, 7, 13), (0, 4), (100, 28, 28, 32)]


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_exact(rng, shape):
    a, b = integers(rng, shape), integers(rng, shape)
    assert_exact(add_forward(a, b), a.astype(np.float64) + b)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_close(rng, shape):
    a, b = normal(rng, shape), normal(rng, shape)
    assert_close(add_forward(a, b), a.astype(np.float64) + b)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_relu_in_the_store(rng, shape):
    a, b = integers(rng, shape), integers(rng, shape)
    want = np.maximum(a.astype(np.float64) + b, 0)
    assert_exact(add_forward(a, b, relu=True), want)
    if a.size:
        a.flat[0] = np.nan
        assert np.isnan(np.asarray(add_forward(a, b, relu=True).to("cpu"))).sum() == 1


def test_gradient_with_relu(rng):
    a, b = normal(rng, (3, 37)), normal(rng, (3, 37))
    dy = normal(rng, (3, 37))
    want = np.where(a + b > 0, dy, 0)
    for got in gradients(ADD, {"a": a, "b": b}, [dy], relu=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.devices
@pytest.mark.parametrize("offsets", [(1, 1, 1), (1, 0, 0), (0, 4, 0), (0, 0, 8)])
def test_unaligned(rng, device, offsets):
    n = 37
    whole = [Tensor.zeros((64,)).to(device) for _ in range(3)]
    a, b, y = (t.view((n,), 4 * o) for t, o in zip(whole, offsets, strict=True))
    va, vb = integers(rng, (n,)), integers(rng, (n,))
    a.copy_from(va)
    b.copy_from(vb)
    _core.add_forward(a, b, y)
    assert_exact(y, va.astype(np.float64) + vb)


def test_in_place(rng):
    a, b = normal(rng, (5, 13)), normal(rng, (5, 13))
    t = Tensor.from_numpy(a)
    _core.add_forward(t, Tensor.borrow(b), t)
    assert_exact(t, (a + b).astype(np.float64))


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        ((2, 3), (2, 4), ShapeError, r"b must have shape \(2, 3\), got \(2, 4\)"),
        ((2, 3), (6,), ShapeError, r"b must have shape \(2, 3\)"),
    ],
)
def test_refuses_shapes(a, b, error, message):
    with pytest.raises(error, match=message):
        add_forward(np.zeros(a, np.float32), np.zeros(b, np.float32))


def test_refuses_other_dtypes():
    with pytest.raises(DTypeError, match="a must be float32, got float64"):
        add_forward(np.zeros(3), np.zeros(3, np.float32))


def test_refuses_half_overlap():
    whole = Tensor.zeros((8,))
    with pytest.raises(ValueError, match="y must be a itself or not overlap it"):
        _core.add_forward(whole.view((6,)), Tensor.zeros((6,)), whole.view((6,), 8))
