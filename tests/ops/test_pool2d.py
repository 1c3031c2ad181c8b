"""max_pool2d, avg_pool2d, global_avg_pool: vectors, exact, close, gradient, refuses, determinism."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import (
    array,
    assert_close,
    assert_exact,
    assert_vector,
    cases,
    integers,
    normal,
    vectors,
)
from reference import pool2d as ref
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec
from sentei.ops import (
    AVG_POOL2D,
    GLOBAL_AVG_POOL,
    MAX_POOL2D,
    avg_pool2d_backward,
    avg_pool2d_forward,
    global_avg_pool_backward,
    global_avg_pool_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from sentei.tensor import Tensor

MAX_CASES = [c for c in cases("pooling") if not c.startswith(("avg", "global"))]
GEOMETRIES = [  # kernel, stride, padding, ceil
    ((2, 2), (2, 2), (0, 0), False),
    ((2, 2), (2, 2), (0, 0), True),
    ((3, 3), (2, 2), (1, 1), False),
    ((3, 3), (2, 2), (1, 1), True),
    ((3, 2), (1, 2), (0, 1), False),
    ((2, 3), (3, 2), (1, 2), True),
    ((1, 1), (2, 3), (0, 0), True),
    ((5, 5), (5, 5), (2, 2), True),
    ((2, 2), (1, 1), (0, 0), False),
    ((2, 1), (2, 3), (0, 0), False),  # gaps between windows
]
SHAPES = [(2, 6, 8, 1), (1, 5, 7, 3), (2, 7, 6, 13), (1, 8, 5, 16), (2, 5, 5, 37), (1, 7, 7, 64)]


def unaligned(a, device):
    """A copy of `a` on the device, 4 bytes off any boundary."""
    whole = Tensor.from_numpy(np.concatenate([np.zeros(1, np.float32), a.ravel()])).to(device)
    return whole.view(a.shape, 4)


def winners(index, w, kernel, stride, padding):
    """Place in the window -> pixel of the image, row * W + column."""
    index = array(index).astype(np.int64)
    p, q = np.arange(index.shape[1])[:, None, None], np.arange(index.shape[2])[:, None]
    row = p * stride[0] - padding[0] + index // kernel[1]
    return row * w + q * stride[1] - padding[1] + index % kernel[1]


@pytest.mark.devices
@pytest.mark.parametrize("case", MAX_CASES)
def test_max_vectors(case):
    v = {k[len(case) + 1 :]: a for k, a in vectors("pooling").items() if k.startswith(case + ".")}
    k, s, p = (int(v[n]) for n in ("window", "stride", "padding"))
    args = (k, s, p, bool(v["ceil"]))
    y, index = max_pool2d_forward(v["x"], *args)
    assert_vector(y, v["y"], 1e-5)
    w = v["x"].shape[2]
    assert np.array_equal(winners(index, w, (k, k), (s, s), (p, p)), v["argmax"])
    assert_vector(max_pool2d_backward(v["dy"], index, v["x"].shape, *args), v["dx"], 1e-5)


@pytest.mark.devices
@pytest.mark.parametrize("case", ["avg2", "avg8", "global"])
def test_avg_vectors(case):
    v = {k[len(case) + 1 :]: a for k, a in vectors("pooling").items() if k.startswith(case + ".")}
    if case == "global":
        y = global_avg_pool_forward(v["x"])
        dx = global_avg_pool_backward(v["dy"], v["x"].shape)
    else:
        k = int(v["window"])
        y, dx = avg_pool2d_forward(v["x"], k), avg_pool2d_backward(v["dy"], v["x"].shape, k)
    assert_vector(y, v["y"], 1e-5)
    assert_vector(dx, v["dx"], 1e-5)


@pytest.mark.devices
@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil_mode"), GEOMETRIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_max_exact(rng, shape, kernel, stride, padding, ceil_mode):
    x = integers(rng, shape, 2)  # many ties
    want, winner = ref.max_pool(x, kernel, stride, padding, ceil_mode)
    y, index = max_pool2d_forward(x, kernel, stride, padding, ceil_mode)
    assert index.dtype == "uint8"
    assert_exact(y, want)
    assert np.array_equal(winners(index, shape[2], kernel, stride, padding), winner)
    dy = integers(rng, want.shape)
    dx = max_pool2d_backward(dy, index, shape, kernel, stride, padding, ceil_mode)
    assert_exact(dx, ref.max_pool_gradient(dy, winner, shape))


@pytest.mark.devices
@pytest.mark.parametrize(
    ("kernel", "stride"), [((2, 2), (2, 2)), ((2, 4), (1, 3)), ((1, 1), (2, 2))]
)
@pytest.mark.parametrize("shape", SHAPES)
def test_avg_exact(rng, shape, kernel, stride):
    x = integers(rng, shape)
    want = ref.avg_pool(x, kernel, stride)
    assert_exact(avg_pool2d_forward(x, kernel, stride), want)
    dy = integers(rng, want.shape)
    want = ref.avg_pool_gradient(dy, shape, kernel, stride)
    assert_exact(avg_pool2d_backward(dy, shape, kernel, stride), want)


@pytest.mark.devices
@pytest.mark.parametrize("shape", [*SHAPES, (2, 56, 57, 37), (1, 1, 1, 5), (2, 5, 5, 300)])
def test_avg_close(rng, shape):
    x = normal(rng, shape)
    pixels = shape[1] * shape[2]
    want = x.astype(np.float64).mean(axis=(1, 2), keepdims=True)
    assert_close(global_avg_pool_forward(x), want, pixels, scale=1.0)
    dy = normal(rng, want.shape)
    dx = np.broadcast_to(dy / np.float64(pixels), shape)
    assert_close(global_avg_pool_backward(dy, shape), dx)
    if shape[1] >= 3:
        want = ref.avg_pool(x, (3, 3), (2, 1))
        assert_close(avg_pool2d_forward(x, 3, (2, 1)), want, 9)
        dy = normal(rng, want.shape)
        want = ref.avg_pool_gradient(dy, shape, (3, 3), (2, 1))
        assert_close(avg_pool2d_backward(dy, shape, 3, (2, 1)), want, 9)


@pytest.mark.devices
def test_max_gradient_is_the_slope(rng):
    """With one element moved by e, sum(dy y) moves by e dx, exactly, while the winners stay."""
    shape, args = (1, 7, 6, 13), ((3, 3), (2, 2), (1, 1), True)
    x = rng.permutation(np.prod(shape)).reshape(shape).astype(np.float32)  # no two within 1/2
    y, index = max_pool2d_forward(x, *args)
    dy = integers(rng, y.shape)
    dx = array(max_pool2d_backward(dy, index, shape, *args))
    for i in [(0, 0, 0, 0), (0, 3, 2, 5), (0, 6, 5, 12), *map(tuple, np.argwhere(dx)[:5])]:
        up, down = x.copy(), x.copy()
        up[i] += 0.25
        down[i] -= 0.25
        slope = 2 * ((ref.max_pool(up, *args)[0] - ref.max_pool(down, *args)[0]) * dy).sum()
        assert dx[i] == slope


@pytest.mark.devices
@pytest.mark.parametrize("c", [1, 13, 16, 37])
@pytest.mark.parametrize("args", [((2, 2), (2, 2), (0, 0), False), ((3, 3), (2, 2), (1, 1), False)])
def test_first_nan_wins(rng, args, c):
    x = np.round(normal(rng, (2, 6, 6, c)))
    x[rng.random(x.shape) < 0.2] = np.nan
    x[rng.random(x.shape) < 0.1] = np.inf
    x[rng.random(x.shape) < 0.2] = -np.inf
    y, index = max_pool2d_forward(x, *args)
    want, winner = ref.max_pool(x, *args)
    assert np.array_equal(array(y), want, equal_nan=True)
    assert np.array_equal(winners(index, 6, *args[:3]), winner)


@pytest.mark.devices
@pytest.mark.parametrize("args", [((2, 2), (2, 2), (0, 0), True), ((3, 3), (2, 2), (1, 1), False)])
def test_max_unaligned(rng, device, args):
    shape = (2, 5, 7, 8)
    x = unaligned(integers(rng, shape), device)
    want, winner = ref.max_pool(x.numpy(), *args)
    y, index = max_pool2d_forward(x, *args)
    assert_exact(y, want)
    assert np.array_equal(winners(index, shape[2], *args[:3]), winner)
    dy = unaligned(integers(rng, want.shape), device)
    dx = max_pool2d_backward(dy, index, shape, *args)
    assert_exact(dx, ref.max_pool_gradient(dy.numpy(), winner, shape))


@pytest.mark.devices
@pytest.mark.parametrize("kernel", [(2, 2), (5, 4)])
def test_avg_unaligned(rng, device, kernel):
    x = unaligned(integers(rng, (2, 5, 8, 8)), device)
    want = ref.avg_pool(x.numpy(), kernel, kernel)
    assert_close(avg_pool2d_forward(x, kernel), want, 20)
    dy = unaligned(integers(rng, want.shape), device)
    want = ref.avg_pool_gradient(dy.numpy(), x.shape, kernel, kernel)
    assert_close(avg_pool2d_backward(dy, x.shape, kernel), want)


@pytest.mark.devices
@pytest.mark.parametrize("c", [1, 4])
def test_avg_of_large_windows_in_a_large_image(rng, c):
    x = normal(rng, (1, 280, 280, c))
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (6, 6), (1, 2))
    assert_close(avg_pool2d_forward(x, 6, 1), windows.mean((-2, -1)), 36, scale=1.0)


@pytest.mark.devices
def test_same_bits_twice(rng):
    x = normal(rng, (3, 31, 30, 36))
    runs = []
    for _ in range(2):
        y, index = max_pool2d_forward(x, 3, 2, 1)
        out = [y, index, max_pool2d_backward(y, index, x.shape, 3, 2, 1)]
        y = avg_pool2d_forward(x, 3, 2)
        out += [y, avg_pool2d_backward(y, x.shape, 3, 2), global_avg_pool_forward(x)]
        runs.append([array(t).tobytes() for t in out])
    assert runs[0] == runs[1]


@pytest.mark.devices
def test_padding_never_wins():
    x = np.full((1, 3, 3, 5), -7, np.float32)
    y, _ = max_pool2d_forward(x, 3, 2, 1)
    assert_exact(y, np.full((1, 2, 2, 5), -7.0))
    lowest = np.full_like(x, -np.inf)
    y, index = max_pool2d_forward(lowest, 3, 2, 1)
    want, winner = ref.max_pool(lowest, (3, 3), (2, 2), (1, 1), False)
    assert np.array_equal(array(y), want)
    assert np.array_equal(winners(index, 3, (3, 3), (2, 2), (1, 1)), winner)


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (1, 3, 0), (4, 3, 2), (5, 1, 4)]
)
def test_geometry(size, kernel, stride, padding):
    for ceil_mode in (False, True):
        args = ((kernel, kernel), (stride, 1), (padding, 0), ceil_mode)
        if size + 2 * padding < kernel:
            with pytest.raises(ShapeError, match="op: x must have height of at least"):
                _core.pool2d_geometry("op", (2, size, kernel, 3), *args)
        else:
            want = ref.outputs(size, kernel, stride, padding, ceil_mode)
            got = _core.pool2d_geometry("op", (2, size, kernel, 3), *args)
            assert got == [2, want, 1, 3]


@pytest.mark.usefixtures("threads")
def test_bits_do_not_depend_on_threads(rng):
    x = normal(rng, (9, 31, 30, 37))
    runs = []
    for n in (1, 2, 3, 3):
        _core.set_threads(n)
        out = []
        for args in ((2, 2, 0, False), (3, 2, 1, True)):
            y, index = max_pool2d_forward(x, *args)
            out += [y, index, max_pool2d_backward(y, index, x.shape, *args)]
        y = avg_pool2d_forward(x, 3, 2)
        out += [y, avg_pool2d_backward(y, x.shape, 3, 2), global_avg_pool_forward(x)]
        runs.append([np.asarray(t).tobytes() for t in out])
    assert all(r == runs[0] for r in runs)


@pytest.mark.devices
def test_empty_batch():
    x = np.zeros((0, 4, 4, 5), np.float32)
    y, index = max_pool2d_forward(x, 2)
    assert y.shape == index.shape == (0, 2, 2, 5)
    assert max_pool2d_backward(y, index, x.shape, 2).shape == x.shape
    assert avg_pool2d_backward(avg_pool2d_forward(x, 2), x.shape, 2).shape == x.shape
    assert global_avg_pool_backward(global_avg_pool_forward(x), x.shape).shape == x.shape


@pytest.mark.devices
def test_no_channels():
    x = np.zeros((2, 4, 4, 0), np.float32)
    y, index = max_pool2d_forward(x, 2)
    assert y.shape == index.shape == (2, 2, 2, 0)
    assert max_pool2d_backward(y, index, x.shape, 2).shape == x.shape
    assert avg_pool2d_backward(avg_pool2d_forward(x, 2), x.shape, 2).shape == x.shape
    assert global_avg_pool_backward(global_avg_pool_forward(x), x.shape).shape == x.shape


X = np.zeros((1, 4, 5, 3), np.float32)
Y = np.zeros((1, 2, 2, 3), np.float32)
I = np.zeros((1, 2, 2, 3), np.uint8)  # noqa: E741


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: max_pool2d_forward(X[0], 2), r"x must have shape \(N, H, W, C\), got \(4, 5, 3\)"),
        (lambda: max_pool2d_forward(X, 5), "x must have height of at least 5 .*got 4"),
        (lambda: max_pool2d_forward(X, (2, 6)), "x must have width of at least 6 .*got 5"),
        (lambda: max_pool2d_forward(X[:, :0], 1), "x must have height of at least 1 .*got 0"),
        (lambda: avg_pool2d_forward(X, 5), "avg_pool2d_forward: x must have height of at least 5"),
        (lambda: global_avg_pool_forward(X[:, :0]), "with at least one pixel"),
        (lambda: global_avg_pool_forward(X[0]), r"x must have shape \(N, H, W, C\)"),
        (
            lambda: max_pool2d_backward(Y[:, :1], I, X.shape, 2),
            r"dy must have shape \(1, 2, 2, 3\)",
        ),
        (lambda: max_pool2d_backward(Y, I[:, :1], X.shape, 2), "index must have shape"),
        (lambda: avg_pool2d_backward(Y[:, :1], X.shape, 2), "dy must have shape"),
        (lambda: global_avg_pool_backward(Y, X.shape), r"dy must have shape \(1, 1, 1, 3\)"),
    ],
)
def test_refuses_shapes(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: max_pool2d_forward(X, 0), "kernel must be at least 1 along height, got 0"),
        (lambda: max_pool2d_forward(X, 2, (1, 0)), "stride must be at least 1 along width, got 0"),
        (
            lambda: max_pool2d_forward(X, 2, 2, 2),
            "padding must be at least 0 and below the kernel's 2",
        ),
        (lambda: max_pool2d_forward(X, 2, 2, -1), "padding must be at least 0"),
        (lambda: max_pool2d_forward(X, (2, 2, 2)), "kernel must be a whole number or a pair"),
        (lambda: max_pool2d_forward(X, 2, 1.5), "stride must be a whole number or a pair"),
        (
            lambda: max_pool2d_forward(np.zeros((1, 16, 16, 1), np.float32), 16),
            "kernel must cover at most 255 elements, got 16 x 16",
        ),
    ],
)
def test_refuses_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_refuses_dtypes_and_overlap():
    with pytest.raises(DTypeError, match="x must be float32, got float64"):
        max_pool2d_forward(X.astype(np.float64), 2)
    with pytest.raises(DTypeError, match="index must be uint8, got int32"):
        max_pool2d_backward(Y, I.astype(np.int32), X.shape, 2)
    with pytest.raises(DTypeError, match="dy must be float32, got int32"):
        avg_pool2d_backward(Y.astype(np.int32), X.shape, 2)
    x = Tensor.zeros((1, 4, 4, 1))
    with pytest.raises(ValueError, match="y must not overlap x"):
        _core.avg_pool2d_forward(x, x.view((1, 2, 2, 1)), (2, 2), (2, 2))
    index = Tensor.zeros((1, 2, 2, 1), "uint8")
    with pytest.raises(ValueError, match="y must not overlap x"):
        _core.max_pool2d_forward(x, x.view((1, 2, 2, 1)), index, (2, 2), (2, 2), (0, 0), False)
    with pytest.raises(ShapeError, match="y must have shape"):
        _core.avg_pool2d_forward(x, Tensor.zeros((1, 2, 1, 1)), (2, 2), (2, 2))


@pytest.mark.parametrize("op", [MAX_POOL2D, AVG_POOL2D, GLOBAL_AVG_POOL])
def test_ties(op):
    x = Spec((1, 4, 4, 5))
    outs = dict.fromkeys(op.outputs, Spec((1, 2, 2, 5)))
    assert [(t.a, t.b) for t in op.ties({"x": x}, outs, {})] == [(("x", 3), (o, 3)) for o in outs]
