"""Maps of four million elements and more are stored past the caches and read ahead: no number may change."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close, normal
from sentei import _core
from sentei.ops import add_forward, relu_forward
from sentei.tensor import Tensor

LARGE = 1 << 22  # elements, from which on stores go past the caches
SHAPES = [
    (257, 32, 32, 16),
    (129, 32, 32, 32),
    (67, 32, 31, 64),
    (34, 31, 32, 128),
    (27, 47, 46, 77),
]


def between(shape, offset):
    """A tensor of NaN, `offset` bytes off a multiple of 64, with one number on either side that must stay."""
    n = int(np.prod(shape))
    whole = Tensor.empty((n + 64,))
    start = (-np.asarray(whole).ctypes.data % 64) + 64 + offset
    np.asarray(whole)[:] = np.nan
    at = np.asarray(whole)[start // 4 - 1 : start // 4 + n + 1]
    at[0] = at[-1] = 7
    return whole.view(shape, start), at


def both(shape, call):
    """What call(y) writes to an aligned output, which is streamed, and to one that cannot be."""
    out = []
    for offset in (0, 4):
        y, edges = between(shape, offset)
        rest = call(y)
        assert edges[0] == edges[-1] == 7
        out.append([np.array(y), *(np.array(t) for t in rest or ())])
    for a, b in zip(*out, strict=True):
        np.testing.assert_array_equal(a, b)
    return out[0]


def of_channels(*values):
    return [Tensor.from_numpy(np.ascontiguousarray(v, np.float32)) for v in values]


@pytest.mark.parametrize("n", [LARGE - 1, LARGE, LARGE + 13])
def test_elementwise(rng, n):
    a, b = normal(rng, (n,)), normal(rng, (n,))
    (y,) = both((n,), lambda y: _core.add_forward(Tensor.from_numpy(a), Tensor.from_numpy(b), y))
    np.testing.assert_array_equal(y, a + b)
    np.testing.assert_array_equal(np.asarray(add_forward(a, b)), a + b)
    np.testing.assert_array_equal(np.asarray(relu_forward(a)), np.maximum(a, 0))
    own = Tensor.from_numpy(a)
    _core.add_forward(own, Tensor.from_numpy(b), own)
    np.testing.assert_array_equal(own.numpy(), a + b)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(rng, shape):
    """Forward and backward of a large map against its formula in float64."""
    c = shape[-1]
    x, dy = normal(rng, shape), normal(rng, shape)
    gamma, beta = rng.uniform(0.5, 1.5, c), rng.uniform(-0.5, 0.5, c)
    scratch = Tensor.empty((_core.batch_norm_workspace(shape),), "uint8")
    tx, tdy = Tensor.from_numpy(x), Tensor.from_numpy(dy)
    g, b = of_channels(gamma, beta)

    def forward(y):
        rm, rv, mean, rstd = of_channels(np.zeros(c), np.ones(c), np.zeros(c), np.zeros(c))
        _core.batch_norm_forward(tx, g, b, rm, rv, y, mean, rstd, scratch, 1e-5, 0.1, True)
        return mean, rstd

    y, mean, rstd = both(shape, forward)
    x64 = x.astype(np.float64)
    axes = (0, 1, 2)
    n = x.size // c
    assert_close(mean, x64.mean(axes), n)
    hat = (x64 - x64.mean(axes)) / np.sqrt(x64.var(axes) + 1e-5)
    assert_close(y, np.maximum(hat * gamma + beta, 0), n)

    def backward(dx):
        dgamma, dbeta = of_channels(np.zeros(c), np.zeros(c))
        m, r = of_channels(mean, rstd)
        _core.batch_norm_backward(tdy, tx, g, m, r, b, dx, dgamma, dbeta, scratch, True)
        return dgamma, dbeta

    dx, dgamma, dbeta = both(shape, backward)
    e = np.where(y > 0, dy.astype(np.float64), 0)
    assert_close(dbeta, e.sum(axes), n, np.abs(e).sum(axes).max())
    assert_close(dgamma, (e * hat).sum(axes), n, np.abs(e * hat).sum(axes).max())
    want = gamma * rstd * (e - e.mean(axes) - hat * (e * hat).mean(axes))
    assert_close(dx, want, n)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_pool_backward(rng, shape):
    n, h, w, c = shape
    x, dy = normal(rng, shape), normal(rng, (n, h // 2, w // 2, c))
    scratch = Tensor.empty((_core.batch_norm_pool_workspace(shape),), "uint8")
    g, b, rm, rv, mean, rstd = of_channels(*(np.full(c, v) for v in (1.2, 0.1, 0.0, 1.0, 0.0, 0.0)))
    y, index = Tensor.empty(dy.shape), Tensor.empty(dy.shape, "uint8")
    tx, tdy = Tensor.from_numpy(x), Tensor.from_numpy(dy)
    _core.batch_norm_pool_forward(tx, g, b, rm, rv, y, index, mean, rstd, scratch, 1e-5, 0.1, True)

    def backward(dx):
        sums = of_channels(np.zeros(c), np.zeros(c))
        _core.batch_norm_pool_backward(tdy, index, tx, g, mean, rstd, b, dx, *sums, scratch, True)
        return sums

    dx, _, _ = both(shape, backward)
    assert np.isfinite(dx).all()
