"""bias_backward: exact, close, refuses, determinism. Layers with a bias test it too."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import array, assert_close, assert_exact, integers, normal
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.ops import bias_backward
from sentei.tensor import Tensor

SHAPES = [
    (1, 1),
    (5,),
    (0, 4),
    (0, 3, 3, 0),
    (7, 3),
    (2, 3, 5, 6),
    (3, 5, 7, 13),
    (2, 9, 9, 16),
    (100, 300),
    (33, 1000),
    (20, 30, 30, 37),
]


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_exact(rng, shape):
    dy = integers(rng, shape)
    rows = dy.astype(np.float64).reshape(int(np.prod(shape[:-1])), shape[-1])
    assert_exact(bias_backward(dy), rows.sum(0))


@pytest.mark.devices
@pytest.mark.parametrize("shape", [(100, 84), (3, 17, 13, 64), (4, 112, 112, 3)])
def test_close(rng, shape):
    dy = normal(rng, shape)
    want = dy.astype(np.float64).reshape(-1, shape[-1]).sum(0)
    n = dy.size // shape[-1]
    assert_close(bias_backward(dy), want, n, scale=float(np.sqrt(n)))


@pytest.mark.devices
@pytest.mark.parametrize("shape", [(7, 8), (5, 13), (70000, 64)])
def test_unaligned(rng, device, shape):
    """4 bytes off any boundary; the last shape also has many rows for a thread to sum."""
    flat = integers(rng, (1 + shape[0] * shape[1],))
    dy = Tensor.from_numpy(flat).to(device).view(shape, 4)
    want = flat[1:].astype(np.float64).reshape(shape).sum(0)
    assert_exact(bias_backward(dy), want)
    assert_exact(bias_backward(np.ascontiguousarray(flat[1:].reshape(shape))), want)


@pytest.mark.devices
def test_same_bits_twice(rng):
    dy = normal(rng, (50, 14, 14, 37))
    assert array(bias_backward(dy)).tobytes() == array(bias_backward(dy)).tobytes()


@pytest.mark.usefixtures("threads")
def test_bits_do_not_depend_on_threads(rng):
    dy = normal(rng, (50, 14, 14, 37))
    runs = []
    for n in (1, 2, 3):
        _core.set_threads(n)
        runs.append(array(bias_backward(dy)).tobytes())
    assert runs[0] == runs[1] == runs[2]


def test_refuses():
    with pytest.raises(DTypeError, match="bias_backward: dy must be float32, got float64"):
        bias_backward(np.zeros((2, 3)))
    dy, scratch = Tensor.zeros((2, 3)), Tensor.empty((1 << 12,), "uint8")
    with pytest.raises(ShapeError, match=r"db must have shape \(3,\), got \(2,\)"):
        _core.bias_backward(dy, Tensor.zeros((2,)), scratch)
    with pytest.raises(ValueError, match="db must not overlap dy"):
        _core.bias_backward(dy, dy.view((3,)), scratch)
    with pytest.raises(ShapeError, match="workspace must have at least"):
        _core.bias_backward(dy, Tensor.zeros((3,)), None)
