"""batch_norm_pool and batch_norm_add: the same bits as their parts forward, gradients, refuses, threads."""

from __future__ import annotations

import numpy as np
import pytest

from eager_context import gradients
from helpers import array, assert_close, assert_exact, normal
from reference import batch_norm as ref
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.ops import (
    BATCH_NORM_ADD,
    BATCH_NORM_POOL,
    add_forward,
    batch_norm_add_backward,
    batch_norm_add_forward,
    batch_norm_forward,
    batch_norm_pool_backward,
    batch_norm_pool_forward,
    max_pool2d_backward,
    max_pool2d_forward,
    relu_forward,
)
from sentei.tensor import Tensor

EPS = 1e-5
IMAGES = [
    (1, 2, 2, 1),
    (2, 4, 6, 3),
    (3, 5, 7, 13),  # a row and a column in no window
    (2, 3, 2, 37),
    (4, 8, 8, 16),
    (2, 9, 4, 64),
    (3, 6, 6, 109),
    (60, 12, 12, 51),  # several slots
]
ROWS = [(5, 13), (7, 1), (2, 5, 7, 37), (3, 8, 8, 64), (1, 1, 1, 4), (50, 14, 14, 20)]


def channels(rng, c):
    return [normal(rng, (c,)) for _ in range(3)] + [np.abs(normal(rng, (c,))) + np.float32(0.1)]


def normalised(x):
    x = x.astype(np.float64)
    return (x - x.mean(tuple(range(x.ndim - 1)))) / np.sqrt(x.var(tuple(range(x.ndim - 1))) + EPS)


def size_of_sums(terms):
    """Root of the sum of squares of a channel's terms, the largest: what a sum's error is relative to."""
    terms = terms.reshape(-1, terms.shape[-1]).astype(np.float64)
    return float(np.sqrt(np.square(terms).sum(0)).max())


@pytest.mark.devices
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_pool_forward_is_its_parts(rng, shape, relu):
    x = normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, shape[-1])
    kept = rm.copy(), rv.copy()
    y, mean, rstd = batch_norm_forward(x, gamma, beta, rm, rv, relu=relu)
    want, winners = max_pool2d_forward(y, 2)
    got, index, mean2, rstd2 = batch_norm_pool_forward(x, gamma, beta, *kept, relu=relu)
    for a, b in ((got, want), (index, winners), (mean2, mean), (rstd2, rstd)):
        np.testing.assert_array_equal(array(a), array(b))
    np.testing.assert_array_equal(kept[0], rm)
    np.testing.assert_array_equal(kept[1], rv)


@pytest.mark.devices
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_pool_gradient(rng, shape, relu):
    x = normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, shape[-1])
    y, index, mean, rstd = batch_norm_pool_forward(x, gamma, beta, rm, rv, relu=relu)
    dy = normal(rng, y.shape)
    spread = array(max_pool2d_backward(dy, array(index), shape, 2))
    dx, dgamma, dbeta = ref.gradient(spread, x, gamma, beta, EPS, relu)
    given = (dy, index, x, gamma, mean, rstd, beta if relu else None)
    got = batch_norm_pool_backward(*given, relu=relu)
    n = x.size // shape[-1]
    scale = float(
        np.abs(dy).max() * np.abs(gamma).max() / np.sqrt(x.reshape(n, -1).var(0) + EPS).min()
    )
    assert_close(got[0], dx, n, scale)
    assert_close(got[1], dgamma, n, size_of_sums(spread * normalised(x)))
    assert_close(got[2], dbeta, n, size_of_sums(spread))
    inputs = {"x": x, "gamma": gamma, "beta": beta, "running_mean": rm, "running_var": rv}
    emitted = gradients(BATCH_NORM_POOL, inputs, [dy, None, None, None], relu=relu)
    np.testing.assert_array_equal(emitted[0], array(got[0]))
    assert emitted[3] is None and emitted[4] is None


@pytest.mark.devices
@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_add_forward_is_its_parts(rng, shape):
    x, other = normal(rng, shape), normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, shape[-1])
    kept = rm.copy(), rv.copy()
    y, mean, rstd = batch_norm_forward(x, gamma, beta, rm, rv)
    want = relu_forward(add_forward(y, other))
    got, mean2, rstd2 = batch_norm_add_forward(x, other, gamma, beta, *kept)
    for a, b in ((got, want), (mean2, mean), (rstd2, rstd)):
        np.testing.assert_array_equal(array(a), array(b))
    np.testing.assert_array_equal(kept[0], rm)
    np.testing.assert_array_equal(kept[1], rv)


@pytest.mark.devices
@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_add_gradient(rng, shape):
    x, other, dy = normal(rng, shape), normal(rng, shape), normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, shape[-1])
    y, mean, rstd = batch_norm_add_forward(x, other, gamma, beta, rm, rv)
    g = np.where(array(y) > 0, dy, np.float32(0))
    dx, dgamma, dbeta = ref.gradient(g, x, gamma, beta, EPS)
    got = batch_norm_add_backward(dy, y, x, gamma, mean, rstd)
    n = x.size // shape[-1]
    scale = float(
        np.abs(dy).max() * np.abs(gamma).max() / np.sqrt(x.reshape(n, -1).var(0) + EPS).min()
    )
    assert_close(got[0], dx, n, scale)
    assert_exact(got[1], g.astype(np.float64))
    assert_close(got[2], dgamma, n, size_of_sums(g * normalised(x)))
    assert_close(got[3], dbeta, n, size_of_sums(g))
    inputs = {
        "x": x,
        "other": other,
        "gamma": gamma,
        "beta": beta,
        "running_mean": rm,
        "running_var": rv,
    }
    emitted = gradients(BATCH_NORM_ADD, inputs, [dy, None, None])
    np.testing.assert_array_equal(emitted[0], array(got[0]))
    np.testing.assert_array_equal(emitted[1], g)


def unaligned(a, device):
    """A copy of `a` on the device, 4 bytes off any boundary."""
    whole = Tensor.from_numpy(np.concatenate([np.zeros(1, np.float32), a.ravel()])).to(device)
    return whole.view(a.shape, 4)


@pytest.mark.devices
@pytest.mark.parametrize("relu", [False, True])
def test_unaligned(rng, device, relu):
    """Tensors at any multiple of 4 bytes give what aligned ones do, but for rounding."""
    shape = (2, 5, 4, 8)
    x, other, dy = normal(rng, shape), normal(rng, shape), normal(rng, (2, 2, 2, 8))
    gamma, beta, rm, rv = channels(rng, 8)
    odd = [unaligned(a, device) for a in (x, other, dy, gamma, beta)]
    aligned = batch_norm_pool_forward(x, gamma, beta, rm, rv, relu=relu)
    y, index, mean, rstd = batch_norm_pool_forward(odd[0], *odd[3:], rm, rv, relu=relu)
    assert_close(y, array(aligned[0]), 40)
    assert np.array_equal(array(index), array(aligned[1]))
    want = batch_norm_pool_backward(dy, index, x, gamma, mean, rstd, beta, relu=relu)
    got = batch_norm_pool_backward(odd[2], index, odd[0], odd[3], mean, rstd, odd[4], relu=relu)
    for a, b in zip(got, want, strict=True):
        assert_close(a, array(b), 40, 10.0)
    aligned = batch_norm_add_forward(x, other, gamma, beta, rm, rv)
    y, mean, rstd = batch_norm_add_forward(odd[0], odd[1], *odd[3:], rm, rv)
    assert_close(y, array(aligned[0]), 40)
    want = batch_norm_add_backward(other, y, x, gamma, mean, rstd)
    got = batch_norm_add_backward(odd[1], y, odd[0], odd[3], mean, rstd)
    for a, b in zip(got, want, strict=True):
        assert_close(a, array(b), 40, 10.0)


@pytest.mark.devices
def test_statistics_do_not_follow_other_tensors(rng, device):
    """An unaligned branch beside x changes how it is added, not one bit of the result."""
    shape = (40, 6, 6, 8)
    x, other = normal(rng, shape), normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, 8)
    want = batch_norm_add_forward(x, other, gamma, beta, rm.copy(), rv.copy())
    odd = unaligned(other, device)
    got = batch_norm_add_forward(Tensor.from_numpy(x).to(device), odd, gamma, beta, rm, rv)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(array(a), array(b))


@pytest.mark.devices
def test_same_bits_twice(rng):
    shape = (60, 12, 12, 52)
    x, other, dy = normal(rng, shape), normal(rng, shape), normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, shape[-1])
    seen = []
    for _ in range(2):
        y, index, mean, rstd = batch_norm_pool_forward(x, gamma, beta, rm.copy(), rv.copy())
        outs = [y, mean, *batch_norm_pool_backward(y, index, x, gamma, mean, rstd)]
        y, mean, rstd = batch_norm_add_forward(x, other, gamma, beta, rm.copy(), rv.copy())
        outs += [y, *batch_norm_add_backward(dy, y, x, gamma, mean, rstd)]
        seen.append([array(o).tobytes() for o in outs])
    assert seen[0] == seen[1]


def test_bits_do_not_depend_on_threads(rng, threads):
    shape = (60, 12, 12, 51)
    x, other, dy = normal(rng, shape), normal(rng, shape), normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, shape[-1])
    seen = []
    for n in (1, 2, 4):
        _core.set_threads(n)
        y, index, mean, rstd = batch_norm_pool_forward(x, gamma, beta, rm.copy(), rv.copy())
        half = array(y)
        outs = [y, mean, *batch_norm_pool_backward(half, index, x, gamma, mean, rstd)]
        y, mean, rstd = batch_norm_add_forward(x, other, gamma, beta, rm.copy(), rv.copy())
        outs += [y, *batch_norm_add_backward(dy, y, x, gamma, mean, rstd)]
        seen.append([array(o).tobytes() for o in outs])
    assert all(s == seen[0] for s in seen)


def ones(*shape):
    return np.ones(shape, np.float32)


C = [ones(4) for _ in range(4)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: batch_norm_pool_forward(ones(1, 1, 4, 4), *C),
            ShapeError,
            r"x must have shape \(N, H, W, C\) with H, W >= 2, got \(1, 1, 4, 4\)",
        ),
        (
            lambda: batch_norm_pool_forward(ones(8, 4), *C),
            ShapeError,
            r"x must have shape \(N, H, W, C\)",
        ),
        (lambda: batch_norm_pool_forward(ones(0, 4, 4, 4), *C), ShapeError, "at least one element"),
        (
            lambda: batch_norm_pool_forward(ones(1, 4, 4, 3), *C),
            ShapeError,
            r"gamma must have shape \(3,\)",
        ),
        (lambda: batch_norm_pool_forward(ones(1, 4, 4, 4), *C, eps=0), ValueError, "eps must be"),
        (
            lambda: batch_norm_pool_forward(ones(1, 4, 4, 4), *C, momentum=2),
            ValueError,
            "momentum must be between 0 and 1",
        ),
        (
            lambda: batch_norm_pool_forward(np.ones((1, 4, 4, 4)), *C),
            DTypeError,
            "x must be float32",
        ),
        (
            lambda: batch_norm_pool_backward(
                ones(1, 4, 4, 4), np.zeros((1, 2, 2, 4), np.uint8), ones(1, 4, 4, 4), *C[:3]
            ),
            ShapeError,
            r"dy must have shape \(1, 2, 2, 4\)",
        ),
        (
            lambda: batch_norm_pool_backward(
                ones(1, 2, 2, 4),
                np.zeros((1, 2, 2, 4), np.uint8),
                ones(1, 4, 4, 4),
                *C[:3],
                relu=True,
            ),
            ValueError,
            "beta must be given",
        ),
        (
            lambda: batch_norm_pool_backward(
                ones(1, 2, 2, 4), ones(1, 2, 2, 4), ones(1, 4, 4, 4), *C[:3]
            ),
            DTypeError,
            "index must be uint8",
        ),
        (
            lambda: batch_norm_add_forward(ones(2, 4), ones(3, 4), *C),
            ShapeError,
            r"other must have shape \(2, 4\), got \(3, 4\)",
        ),
        (
            lambda: batch_norm_add_forward(ones(0, 4), ones(0, 4), *C),
            ShapeError,
            "at least one element",
        ),
        (
            lambda: batch_norm_add_backward(ones(2, 4), ones(2, 3), ones(2, 4), *C[:3]),
            ShapeError,
            r"y must have shape \(2, 4\)",
        ),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()
