"""conv2d_statistics and the norms that take what it gives: y to the bit, statistics, gradients."""

from __future__ import annotations

import numpy as np
import pytest

from eager_context import gradients
from helpers import array, assert_close, normal, shifted, tolerance
from reference import batch_norm as ref
from sentei.errors import ShapeError
from sentei.ops import (
    BATCH_NORM,
    BATCH_NORM_ADD,
    BATCH_NORM_ADD_GIVEN,
    BATCH_NORM_GIVEN,
    BATCH_NORM_POOL,
    BATCH_NORM_POOL_GIVEN,
    CONV2D,
    CONV2D_STATISTICS,
    batch_norm_add_forward,
    batch_norm_add_given_forward,
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_given_forward,
    batch_norm_pool_backward,
    batch_norm_pool_forward,
    batch_norm_pool_given_forward,
    conv2d_forward,
    conv2d_statistics_forward,
)
from tensor_cores import each_precision, on_tensor_cores

EPS = 1e-5
CASES = [
    ((1, 1, 1, 3), (5, 1, 1, 3), {}),  # one pixel: variance 0
    ((2, 9, 7, 3), (13, 3, 3, 3), {"padding": 1}),
    ((3, 9, 8, 4), (37, 3, 3, 4), {"stride": 2, "padding": 1}),
    ((2, 12, 12, 5), (64, 3, 2, 5), {"dilation": (2, 1)}),
    ((9, 32, 31, 3), (40, 1, 1, 3), {}),  # many tiles, of which the last is not full
    ((2, 8, 8, 64), (64, 3, 3, 64), {"padding": 1}),  # the depth is split
    ((3, 8, 7, 12), (18, 3, 3, 4), {"padding": 1}),  # groups
    ((3, 8, 7, 12), (12, 3, 3, 1), {"padding": 1}),  # by channels
    # Every tile of the exact kernels that is larger, by fours and by ones.
    *[
        (x, (k, 1, 1, x[3]), {})
        for c in (3, 4)
        for x, k in (
            ((13, 40, 25, c), 128),
            ((41, 20, 20, c), 130),
            ((22, 33, 31, c), 24),
            ((11, 32, 33, c), 40),
        )
    ],
    ((20, 30, 30, 4), (64, 1, 1, 4), {}),  # the tile of 128 x 64 on tensor cores
]


def make(rng, case, bias=True):
    x, w, window = case
    b = normal(rng, w[:1]) if bias else None
    return normal(rng, x), normal(rng, w), b, window


def check_statistics(y, mean, var, relative=2e-5):
    """mean and var are those of y as it is, however small its deviations are beside its mean."""
    want_mean, want_var = ref.statistics(array(y))
    error = np.abs(array(mean) - want_mean)
    limit = tolerance(np.float32, 128)  # rows that are summed in float32
    assert (error <= limit * np.sqrt(want_var) + 6e-8 * np.abs(want_mean)).all(), error.max()
    error = np.abs(array(var) - want_var)
    assert (error <= relative * want_var).all(), (error / (want_var + 1e-30)).max()


@pytest.mark.devices
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_statistics(rng, case, bias):
    x, w, b, window = make(rng, case, bias)
    y, mean, var = conv2d_statistics_forward(x, w, b, **window)
    np.testing.assert_array_equal(array(y), array(conv2d_forward(x, w, b, **window)))
    check_statistics(y, mean, var)


@on_tensor_cores
@each_precision
@pytest.mark.parametrize("case", CASES, ids=str)
def test_statistics_on_tensor_cores(rng, case, precision):
    x, w, b, window = make(rng, case)
    modes = {**window, "precision": precision}
    y, mean, var = conv2d_statistics_forward(x, w, b, **modes)
    np.testing.assert_array_equal(array(y), array(conv2d_forward(x, w, b, **modes)))
    check_statistics(y, mean, var)


HARD = [((9, 32, 31, 3), 13), ((2, 9, 7, 3), 37), ((21, 30, 30, 3), 64), ((1, 5, 5, 8), 8)]


def check_hard(rng, shape, filters, precision):
    """Channels far from 0, outliers in the first pixel, and constants: exactly, those."""
    x, w = normal(rng, shape), normal(rng, (filters, 1, 1, shape[3]))
    x[0, 0, 0] = 1e4
    w[1::4] *= np.float32(1e-3)
    w[2::4] = 0
    b = np.where(np.arange(filters) % 4 == 3, np.float32(0), np.float32(1234.567))
    b = b.astype(np.float32)
    y, mean, var = conv2d_statistics_forward(x, w, b, precision=precision)
    # Where up to 128 rows are summed about the first, squares exceed their scatter so many times.
    check_statistics(y, mean, var, 128 * 2.0**-20)
    constant = slice(2, None, 4)
    np.testing.assert_array_equal(array(mean)[constant], b[constant])
    np.testing.assert_array_equal(array(var)[constant], np.zeros_like(b[constant]))
    x[0, 0, 0] = x[0, 0, 1]
    y, mean, var = conv2d_statistics_forward(x, w, b, precision=precision)
    check_statistics(y, mean, var)


@pytest.mark.devices
@pytest.mark.parametrize(("shape", "filters"), HARD, ids=str)
def test_hard_channels(rng, shape, filters):
    check_hard(rng, shape, filters, "float32")


@on_tensor_cores
@each_precision
@pytest.mark.parametrize(("shape", "filters"), HARD, ids=str)
def test_hard_channels_on_tensor_cores(rng, shape, filters, precision):
    check_hard(rng, shape, filters, precision)


@pytest.mark.devices
def test_nan_reaches_its_channel(rng):
    x, w = normal(rng, (2, 9, 7, 3)), normal(rng, (13, 1, 1, 3))
    w[5] = np.nan
    _, mean, var = conv2d_statistics_forward(x, w)
    for t in (mean, var):
        np.testing.assert_array_equal(np.isnan(array(t)), np.arange(13) == 5)


@pytest.mark.devices
def test_same_bits_twice_and_unaligned(rng, device):
    x, w, b, window = make(rng, CASES[3])
    seen = [[array(t) for t in conv2d_statistics_forward(x, w, b, **window)] for _ in range(2)]
    for a, c in zip(*seen, strict=True):
        assert a.tobytes() == c.tobytes()
    odd = conv2d_statistics_forward(shifted(x, device), shifted(w, device), b, **window)
    check_statistics(*odd)


@pytest.mark.devices
def test_gradient_is_that_of_the_convolution(rng):
    x, w, b, _ = make(rng, CASES[1])
    attrs = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)}
    dy = normal(rng, (2, 9, 7, 13))
    got = gradients(CONV2D_STATISTICS, {"x": x, "w": w, "b": b}, [dy, None, None], **attrs)
    want = gradients(CONV2D, {"x": x, "w": w, "b": b}, [dy], **attrs)
    for a, c in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, c)
    none = gradients(CONV2D_STATISTICS, {"x": x, "w": w}, [None, dy[0, 0, 0], None], **attrs)
    assert none == [None] * 3


def test_refuses():
    x, w = np.ones((0, 4, 4, 2), np.float32), np.ones((3, 3, 3, 2), np.float32)
    with pytest.raises(ShapeError, match="x must have at least one image"):
        conv2d_statistics_forward(x, w)


# -- the norms ----------------------------------------------------------------------------------
NORMS = {
    "plain": (BATCH_NORM_GIVEN, batch_norm_given_forward, batch_norm_forward),
    "add": (BATCH_NORM_ADD_GIVEN, batch_norm_add_given_forward, batch_norm_add_forward),
    "pool": (BATCH_NORM_POOL_GIVEN, batch_norm_pool_given_forward, batch_norm_pool_forward),
}
NORM_OF = {"plain": BATCH_NORM, "add": BATCH_NORM_ADD, "pool": BATCH_NORM_POOL}
SHAPES = [(2, 2, 2, 1), (3, 5, 7, 13), (4, 6, 4, 37), (3, 8, 8, 64), (30, 9, 8, 6), (5, 4, 4, 300)]


def norm_inputs(rng, shape, kind):
    x = normal(rng, shape) + np.float32(3)
    gamma, beta, rm = (normal(rng, shape[-1:]) for _ in range(3))
    rv = np.abs(normal(rng, shape[-1:])) + np.float32(0.1)
    other = (normal(rng, shape),) if kind == "add" else ()
    return (x, *other, gamma, beta), (rm, rv)


@pytest.mark.devices
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norm_of_given_statistics(rng, device, shape, kind, relu):
    _, given_forward, forward = NORMS[kind]
    modes = {} if kind == "add" else {"relu": relu}
    inputs, running = norm_inputs(rng, shape, kind)
    kept = [r.copy() for r in running]
    mean, var = (t.astype(np.float32) for t in ref.statistics(inputs[0]))
    y, *rest = forward(*inputs, *kept, **modes)
    got, *others = given_forward(*inputs, *running, mean, var, **modes)
    n = inputs[0].size // shape[-1]
    assert_close(got, array(y), n, 30.0)
    np.testing.assert_array_equal(array(others[-2]), mean)
    assert_close(others[-1], 1 / np.sqrt(var.astype(np.float64) + EPS))
    assert_close(others[-1], array(rest[-1]), n)
    for a, b in zip(running, kept, strict=True):
        assert_close(a, b, n)
    odd = [shifted(a, device) for a in inputs]
    again, *_ = given_forward(*odd, *(r.copy() for r in kept), mean, var, **modes)
    np.testing.assert_array_equal(array(again), array(got))


@pytest.mark.devices
@pytest.mark.parametrize("kind", NORMS)
def test_gradient_goes_through_the_statistics(rng, kind):
    op, _, _ = NORMS[kind]
    inputs, running = norm_inputs(rng, (3, 6, 5, 13), kind)
    mean, var = (t.astype(np.float32) for t in ref.statistics(inputs[0]))
    values = dict(zip(op.inputs, (*inputs, *running, mean, var), strict=True))
    plain = NORM_OF[kind]
    y = (3, 3, 2, 13) if kind == "pool" else inputs[0].shape
    douts = [normal(rng, y)] + [None] * (len(op.outputs) - 1)
    got = gradients(op, {k: v.copy() for k, v in values.items()}, douts)
    want = gradients(plain, {k: values[k].copy() for k in plain.inputs}, douts)
    assert got[-4:] == [None] * 4
    for a, b in zip(got[:-4], want[:-2], strict=True):
        assert_close(a, b, 90, max(1.0, float(np.abs(b).max())))


@pytest.mark.devices
@pytest.mark.parametrize("kind", ["plain", "pool"])
def test_relu_mask_is_the_forward_one(rng, kind):
    """Where the rounding of the forward pass decides, the gradient decides the same."""
    shape = (4, 8, 8, 37)
    (x, gamma, beta), running = norm_inputs(rng, shape, kind)
    x = (normal(rng, shape) * np.float32(1e-7) + np.float32(1)).astype(np.float32)
    beta[:] = 0
    mean, var = (t.astype(np.float32) for t in ref.statistics(x))
    out = NORMS[kind][1](x, gamma, beta, *running, mean, var, relu=True)
    y, m, rstd = out[0], *out[-2:]
    ones = np.ones(array(y).shape, np.float32)
    if kind == "plain":
        dbeta = batch_norm_backward(ones, x, gamma, m, rstd, beta, relu=True)[2]
    else:
        dbeta = batch_norm_pool_backward(ones, out[1], x, gamma, m, rstd, beta, relu=True)[2]
    np.testing.assert_array_equal(array(dbeta), (array(y) > 0).sum(axis=(0, 1, 2)))


@pytest.mark.parametrize("kind", NORMS)
def test_norms_refuse(rng, kind):
    inputs, running = norm_inputs(rng, (2, 4, 4, 5), kind)
    with pytest.raises(ShapeError, match=r"batch_var must have shape \(5,\), got \(4,\)"):
        NORMS[kind][1](*inputs, *running, np.ones(5, np.float32), np.ones(4, np.float32))
