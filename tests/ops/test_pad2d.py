"""pad2d: exact, gradient, refuses; both directions are one kernel."""

from __future__ import annotations

import numpy as np
import pytest

from eager_context import gradients
from helpers import array, assert_exact, integers, shifted
from sentei import _core, ops
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec
from sentei.tensor import Tensor

SHAPES = [(2, 3, 4, 1), (1, 5, 2, 13), (3, 1, 1, 16), (2, 4, 3, 37), (1, 2, 7, 64)]
PADS = [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 1, 0), (2, 0, 0, 3), (5, 4, 0, 1)]


def bordered(x, pads, fill=0.0):
    top, left, bottom, right = pads
    widths = ((0, 0), (top, bottom), (left, right), (0, 0))
    return np.pad(x, widths, constant_values=fill)


@pytest.mark.devices
@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("shape", SHAPES)
def test_exact(rng, shape, pads):
    x = integers(rng, shape)
    want = bordered(x.astype(np.float64), pads)
    assert_exact(ops.pad2d_forward(x, pads), want)
    lowest = array(ops.pad2d_forward(x, pads, lowest=True))
    np.testing.assert_array_equal(lowest, bordered(x, pads, -np.inf))
    dy = integers(rng, want.shape)
    top, left, _, _ = pads
    middle = dy[:, top : top + shape[1], left : left + shape[2]].astype(np.float64)
    assert_exact(ops.pad2d_backward(dy, shape, pads), middle)
    (dx,) = gradients(ops.PAD2D, {"x": x}, [dy], pads=pads, lowest=False)
    np.testing.assert_array_equal(dx, middle)


@pytest.mark.devices
def test_gradient_is_the_transpose(rng):
    """<pad(x), dy> = <x, crop(dy)> for all x and dy."""
    x, pads = integers(rng, (2, 3, 5, 7)), (2, 1, 0, 3)
    dy = integers(rng, (2, 5, 9, 7))
    left = float((array(ops.pad2d_forward(x, pads)) * dy).sum())
    assert left == float((x * array(ops.pad2d_backward(dy, x.shape, pads))).sum())


@pytest.mark.devices
def test_any_address(rng, device):
    x, pads = integers(rng, (2, 3, 4, 8)), (1, 0, 2, 1)
    y = array(ops.pad2d_forward(x, pads))
    np.testing.assert_array_equal(array(ops.pad2d_forward(shifted(x, device), pads)), y)
    dx = array(ops.pad2d_backward(shifted(y, device), x.shape, pads))
    np.testing.assert_array_equal(dx, x)


@pytest.mark.devices
def test_nothing_to_do():
    for shape in ((0, 3, 4, 5), (2, 3, 4, 0)):
        x = np.zeros(shape, np.float32)
        y = ops.pad2d_forward(x, (1, 2, 0, 1))
        assert y.shape == (shape[0], 4, 7, shape[3])
        assert ops.pad2d_backward(y, shape, (1, 2, 0, 1)).shape == shape


@pytest.mark.usefixtures("threads")
def test_threads_change_nothing(rng):
    x, pads = integers(rng, (5, 31, 30, 37)), (1, 2, 3, 4)
    runs = []
    for n in (1, 3):
        _core.set_threads(n)
        runs.append(array(ops.pad2d_forward(x, pads)).tobytes())
    assert runs[0] == runs[1]


def test_channels_are_tied_one_to_one():
    x, y = Spec((2, 5, 5, 13)), Spec((2, 6, 7, 13))
    (tie,) = ops.PAD2D.ties({"x": x}, {"y": y}, {})
    assert (tie.a, tie.b, tie.ia, tie.ib) == (("x", 3), ("y", 3), None, None)


X = np.zeros((1, 2, 3, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.pad2d_forward(X[0], (0,) * 4), ShapeError, "x must have shape"),
        (lambda: ops.pad2d_forward(X[:, :0], (1,) * 4), ShapeError, "height and width of 1 to"),
        (lambda: ops.pad2d_forward(X, (0, -1, 0, 0)), ValueError, "pads must be 0 to .*got -1"),
        (lambda: ops.pad2d_forward(X, (0, 1 << 40, 0, 0)), ValueError, "pads must be 0 to"),
        (lambda: ops.pad2d_forward(X, (0, 1)), ValueError, r"pads must be \(top, left, bottom"),
        (lambda: ops.pad2d_forward(X, (0, 0, 0, 1.5)), ValueError, "pads must be"),
        (lambda: ops.pad2d_forward(X.astype(float), (0,) * 4), DTypeError, "x must be float32"),
        (lambda: ops.pad2d_backward(X, X.shape, (1,) * 4), ShapeError, "dy must have shape"),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_refuses_shared_memory():
    t = Tensor.zeros((1, 2, 2, 1))
    with pytest.raises(ValueError, match="pad2d_forward: y must not overlap x"):
        _core.pad2d_forward(t, t, (0, 0, 0, 0), False)
    with pytest.raises(ValueError, match="pad2d_backward: dx must not overlap dy"):
        _core.pad2d_backward(t, t, (0, 0, 0, 0))
