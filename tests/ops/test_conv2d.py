"""conv2d: exact, close, gradient, refuses, vectors, thread-independent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import (
    array,
    assert_close,
    assert_exact,
    assert_vector,
    cases,
    central_difference,
    integers,
    normal,
    vectors,
)
from reference import conv2d as ref
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.ops import bias_backward, conv2d_backward_input, conv2d_backward_weight, conv2d_forward

TOL = 2e-5  # the vectors' own tolerance for direct convolution

#        N  H  W   C   K  R  S  stride   padding dilation groups
CASES = [
    (2, 8, 8, 1, 3, 3, 3, (1, 1), (0, 0), (1, 1), 1),
    (3, 9, 7, 3, 13, 3, 3, (1, 1), (1, 1), (1, 1), 1),
    (2, 6, 5, 37, 51, 3, 3, (1, 1), (1, 1), (1, 1), 1),
    (2, 8, 8, 64, 64, 3, 3, (1, 1), (1, 1), (1, 1), 1),
    (1, 12, 12, 3, 8, 7, 7, (2, 2), (3, 3), (1, 1), 1),
    (2, 7, 7, 13, 37, 1, 1, (1, 1), (0, 0), (1, 1), 1),
    (2, 8, 7, 16, 32, 1, 1, (2, 2), (0, 0), (1, 1), 1),
    (2, 10, 9, 16, 32, 3, 3, (2, 2), (1, 1), (1, 1), 1),
    (1, 14, 14, 32, 64, 5, 5, (1, 1), (2, 2), (1, 1), 1),
    (13, 14, 14, 1, 32, 5, 5, (1, 1), (2, 2), (1, 1), 1),
    (2, 1, 1, 5, 4, 3, 3, (1, 1), (1, 1), (1, 1), 1),
    (2, 5, 5, 16, 16, 3, 3, (1, 1), (2, 2), (1, 1), 1),
    (2, 9, 9, 4, 6, 3, 3, (1, 1), (2, 2), (2, 2), 1),
    (2, 11, 8, 5, 7, 3, 2, (3, 2), (1, 0), (2, 1), 1),
    (2, 6, 8, 4, 5, 1, 3, (1, 1), (0, 1), (1, 1), 1),
    (2, 8, 8, 6, 9, 3, 3, (1, 1), (1, 1), (1, 1), 3),
    (2, 7, 7, 13, 13, 3, 3, (1, 1), (1, 1), (1, 1), 13),
    (2, 7, 7, 37, 37, 5, 5, (2, 2), (2, 2), (1, 1), 37),
    (2, 6, 6, 8, 16, 3, 3, (1, 1), (1, 1), (1, 1), 8),
    (0, 6, 6, 3, 4, 3, 3, (1, 1), (1, 1), (1, 1), 1),
    (1, 3, 3, 2, 2, 3, 3, (4, 4), (4, 4), (1, 1), 1),
    # Weight gradients of 1x1 and strided filters, K in several panels.
    (2, 9, 8, 17, 70, 1, 1, (1, 1), (0, 0), (1, 1), 1),
    (5, 13, 12, 16, 130, 3, 3, (2, 2), (1, 1), (1, 1), 1),
    # At most 16 filters, and at most 16 channels, on long rows.
    (3, 9, 33, 5, 16, 3, 3, (1, 1), (1, 1), (1, 1), 1),
    (2, 12, 10, 13, 40, 2, 3, (1, 1), (0, 2), (1, 1), 1),
]

# 5x5 with enough tiles for 7 products an axis in place of 10; odd sizes leave half tiles.
FEWER_PRODUCTS = [
    (11, 14, 14, 32, 64, 5, 5, (1, 1), (2, 2), (1, 1), 1),
    (16, 14, 11, 17, 37, 5, 5, (1, 1), (2, 1), (1, 1), 1),
    (7, 25, 20, 19, 16, 5, 5, (1, 1), (0, 3), (1, 1), 1),
]

# On a GPU: tiles of each size for thin and thick layers, strides whose phases differ (and some that
# no tap meets), groups, and depthwise layers with vectors, many taps, many parts.
DEVICE_CASES = [
    (25, 34, 34, 3, 64, 3, 3, (1, 1), (0, 0), (1, 1), 1),
    (15, 68, 68, 1, 8, 5, 5, (1, 1), (0, 0), (1, 1), 1),
    (16, 65, 65, 16, 32, 3, 3, (2, 2), (1, 1), (1, 1), 1),
    (17, 31, 31, 9, 130, 2, 2, (1, 1), (0, 0), (1, 1), 1),
    (3, 20, 20, 24, 24, 3, 3, (1, 1), (1, 1), (1, 1), 3),
    (2, 13, 11, 8, 12, 3, 4, (3, 2), (2, 3), (2, 4), 1),
    (2, 9, 9, 4, 4, 2, 2, (3, 4), (1, 2), (1, 1), 1),
    (2, 9, 9, 32, 32, 3, 3, (1, 1), (1, 1), (1, 1), 32),
    (2, 8, 9, 132, 132, 5, 5, (2, 1), (2, 1), (1, 2), 132),
    (1, 14, 14, 128, 128, 7, 7, (1, 1), (3, 3), (1, 1), 128),
    (6, 24, 24, 64, 64, 3, 3, (2, 2), (1, 1), (1, 1), 64),
    (9, 30, 30, 2, 2, 3, 3, (1, 1), (1, 1), (1, 1), 2),
]


def make(rng, case, draw):
    n, h, w, c, k, r, s, stride, padding, dilation, groups = case
    window = {"stride": stride, "padding": padding, "dilation": dilation}
    x, f, b = draw(rng, (n, h, w, c)), draw(rng, (k, r, s, c // groups)), draw(rng, (k,))
    dy = draw(rng, ref.forward(x, f, **window).shape)
    return x, f, b, dy, window


@pytest.mark.devices
@pytest.mark.parametrize("case", CASES + FEWER_PRODUCTS + DEVICE_CASES, ids=str)
def test_exact(rng, case):
    x, w, b, dy, window = make(rng, case, integers)
    assert_exact(conv2d_forward(x, w, b, **window), ref.forward(x, w, b, **window))
    want = np.maximum(ref.forward(x, w, **window), 0)
    assert_exact(conv2d_forward(x, w, **window, relu=True), want)
    want = ref.backward_input(dy, w, x.shape, **window)
    assert_exact(conv2d_backward_input(dy, w, x, **window), want)
    want = ref.backward_weight(x, dy, w.shape, **window)
    assert_exact(conv2d_backward_weight(x, dy, w, **window), want)


@pytest.mark.devices
@pytest.mark.parametrize("case", CASES + FEWER_PRODUCTS + DEVICE_CASES[4:], ids=str)
def test_close(rng, case):
    x, w, b, dy, window = make(rng, case, normal)
    terms = int(np.prod(w.shape[1:])) + 1
    assert_close(conv2d_forward(x, w, b, **window), ref.forward(x, w, b, **window), terms)
    want = ref.backward_input(dy, w, x.shape, **window)
    assert_close(conv2d_backward_input(dy, w, x, **window), want, w.shape[0] * terms)
    want = ref.backward_weight(x, dy, w.shape, **window)
    assert_close(conv2d_backward_weight(x, dy, w, **window), want, max(dy[..., 0].size, 1))


@pytest.mark.parametrize("case", FEWER_PRODUCTS, ids=str)
def test_fewer_products_add_no_error(rng, case):
    """The default is another sum than `precise`, and on average not further from float64."""
    x, w, _, dy, window = make(rng, case, normal)
    passes = (
        (conv2d_forward, (x, w), ref.forward(x, w, **window)),
        (conv2d_backward_input, (dy, w, x), ref.backward_input(dy, w, x.shape, **window)),
        (conv2d_backward_weight, (x, dy, w), ref.backward_weight(x, dy, w.shape, **window)),
    )
    for op, inputs, want in passes:
        outs = [array(op(*inputs, **window, precision=p)) for p in ("float32", "precise")]
        error, plain = (float(np.sqrt(np.mean((out - want) ** 2))) for out in outs)
        assert not np.array_equal(*outs)
        assert error <= 1.1 * plain


def random_geometry(data):
    size = st.integers(1, 3)
    groups = data.draw(st.sampled_from([1, 1, 1, 2, 5]), label="groups")
    c = groups * data.draw(st.sampled_from([1, 2, 3, 7, 13, 16, 37]), label="C/G")
    k = groups * data.draw(st.sampled_from([1, 2, 3, 13, 17, 37, 65]), label="K/G")
    r, s = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    stride, dilation = (data.draw(size), data.draw(size)), (data.draw(size), data.draw(size))
    padding = (data.draw(st.integers(0, 4)), data.draw(st.integers(0, 4)))
    h = data.draw(st.integers(max(1, dilation[0] * (r - 1) + 1 - 2 * padding[0]), 17))
    w = data.draw(st.integers(max(1, dilation[1] * (s - 1) + 1 - 2 * padding[1]), 17))
    n = data.draw(st.integers(0, 9))
    seed = data.draw(st.integers(0, 2**32 - 1))
    case = (n, h, w, c, k, r, s, stride, padding, dilation, groups)
    test_exact(np.random.default_rng(seed), case)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_exact_on_random_geometry(data):
    random_geometry(data)


@pytest.mark.devices
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_exact_on_random_geometry_of_devices(data):
    random_geometry(data)


@pytest.mark.parametrize("case", [c for c in CASES if 0 < np.prod(c[:5]) < 3000], ids=str)
def test_reference_gradient(rng, case):
    """The reference's own gradients against central differences of its forward pass."""
    x, w, _, dy, window = make(rng, case, normal)
    dx = ref.backward_input(dy, w, x.shape, **window)
    dw = ref.backward_weight(x, dy, w.shape, **window)
    for at_point, grad, f in (
        (x, dx, lambda a: float((ref.forward(a, w, **window) * dy).sum())),
        (w, dw, lambda a: float((ref.forward(x, a, **window) * dy).sum())),
    ):
        for _ in range(3):
            at = tuple(int(rng.integers(0, d)) for d in at_point.shape)
            assert grad[at] == pytest.approx(
                central_difference(f, at_point, at), rel=1e-5, abs=1e-6
            )


@pytest.mark.devices
@pytest.mark.parametrize("case", cases("conv2d"))
def test_vectors(case):
    v = {k.removeprefix(f"{case}."): a for k, a in vectors("conv2d").items()}
    window = {"stride": int(v["stride"]), "padding": int(v["padding"])}
    x, w, b, dy = (np.ascontiguousarray(v[k]) for k in ("x", "w", "b", "dy"))
    assert_vector(conv2d_forward(x, w, b, **window), v["y"], TOL)
    assert_vector(conv2d_backward_input(dy, w, x, **window), v["dx"], TOL)
    assert_vector(conv2d_backward_weight(x, dy, w, **window), v["dw"], TOL)


@pytest.mark.parametrize(
    "case", [CASES[3], CASES[6], CASES[9], CASES[15], CASES[17], *FEWER_PRODUCTS[:2]], ids=str
)
def test_bits_do_not_depend_on_threads(rng, threads, case):
    x, w, b, dy, window = make(rng, (max(case[0], 7), *case[1:]), normal)
    seen = []
    for n in (1, 2, 3, 4, 4):
        _core.set_threads(n)
        outs = (
            conv2d_forward(x, w, b, **window),
            conv2d_backward_input(dy, w, x, **window),
            conv2d_backward_weight(x, dy, w, **window),
            bias_backward(dy),
        )
        seen.append([np.asarray(o).tobytes() for o in outs])
    assert all(s == seen[0] for s in seen)


@pytest.mark.devices
@pytest.mark.parametrize("case", [CASES[3], CASES[7], CASES[15], DEVICE_CASES[10]], ids=str)
def test_same_run_same_bits(rng, case):
    x, w, b, dy, window = make(rng, case, normal)
    runs = [
        (
            conv2d_forward(x, w, b, **window),
            conv2d_backward_input(dy, w, x, **window),
            conv2d_backward_weight(x, dy, w, **window),
        )
        for _ in range(3)
    ]
    seen = [[array(a).tobytes() for a in run] for run in runs]
    assert seen[1] == seen[0] and seen[2] == seen[0]


@pytest.mark.devices
@pytest.mark.parametrize("case", CASES, ids=str)
def test_bias_is_exact(rng, case):
    dy = make(rng, case, integers)[3]
    assert_exact(bias_backward(dy), dy.astype(np.float64).sum((0, 1, 2)))


@pytest.mark.devices
@pytest.mark.parametrize("case", cases("conv2d"))
def test_bias_vectors(case):
    v = vectors("conv2d")
    assert_vector(bias_backward(np.ascontiguousarray(v[f"{case}.dy"])), v[f"{case}.db"], TOL)


@pytest.mark.devices
def test_special_values_propagate():
    x = np.zeros((1, 4, 4, 2), np.float32)
    x[0, 1, 1, 0], x[0, 3, 3, 1] = np.nan, np.inf
    w = np.ones((3, 1, 1, 2), np.float32)
    y = array(conv2d_forward(x, w))
    assert np.isnan(y[0, 1, 1]).all() and np.isposinf(y[0, 3, 3]).all()
    assert np.isfinite(y).sum() == y.size - 6
    y = array(conv2d_forward(x, -w, relu=True))
    assert np.isnan(y[0, 1, 1]).all() and not y[0, 3, 3].any()


def zeros(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: conv2d_forward(zeros(2, 3, 3), zeros(1, 3, 3, 1)),
            ShapeError,
            r"x must have shape \(N, H, W, C\)",
        ),
        (
            lambda: conv2d_forward(zeros(1, 3, 3, 1), zeros(3, 3)),
            ShapeError,
            r"w must have shape \(K, R, S, C\)",
        ),
        (
            lambda: conv2d_forward(zeros(8, 9, 9, 64), zeros(12, 3, 3, 31)),
            ShapeError,
            r"C = 64 to match x \(8, 9, 9, 64\)",
        ),
        (
            lambda: conv2d_forward(zeros(1, 9, 9, 6), zeros(4, 3, 3, 2)),
            ShapeError,
            "divide evenly among 3 groups",
        ),
        (
            lambda: conv2d_forward(zeros(1, 3, 3, 1), zeros(1, 5, 5, 1)),
            ShapeError,
            "window 5 x 5 must fit",
        ),
        (
            lambda: conv2d_forward(zeros(1, 2, 2, 1), zeros(1, 3, 3, 1), stride=2),
            ShapeError,
            "window 3 x 3 must fit",
        ),
        (
            lambda: conv2d_forward(zeros(1, 0, 3, 1), zeros(1, 1, 1, 1)),
            ShapeError,
            "no empty axis but N",
        ),
        (
            lambda: conv2d_forward(zeros(1, 3, 3, 1), zeros(0, 1, 1, 1)),
            ShapeError,
            "w must have no empty axis",
        ),
        (
            lambda: conv2d_forward(zeros(1, 3, 3, 1), zeros(1, 1, 1, 1), stride=0),
            ValueError,
            "stride must be at least 1",
        ),
        (
            lambda: conv2d_forward(zeros(1, 3, 3, 1), zeros(1, 1, 1, 1), padding=-1),
            ValueError,
            "padding must be at least 0",
        ),
        (
            lambda: conv2d_forward(zeros(1, 3, 3, 1), zeros(1, 1, 1, 1), dilation=0),
            ValueError,
            "dilation must be at least 1",
        ),
        (
            lambda: conv2d_forward(zeros(1, 3, 3, 1), zeros(4, 1, 1, 1), zeros(3)),
            ShapeError,
            r"b must have shape \(4,\)",
        ),
        (
            lambda: conv2d_forward(np.zeros((1, 3, 3, 1)), zeros(1, 1, 1, 1)),
            DTypeError,
            "x must be float32, got float64",
        ),
        (
            lambda: conv2d_backward_input(zeros(1, 2, 3, 1), zeros(1, 1, 1, 1), zeros(1, 3, 3, 1)),
            ShapeError,
            r"dy must have shape \(1, 3, 3, 1\)",
        ),
        (
            lambda: conv2d_backward_weight(zeros(1, 3, 3, 1), zeros(1, 2, 3, 1), zeros(1, 1, 1, 1)),
            ShapeError,
            r"dy must have shape \(1, 3, 3, 1\)",
        ),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_refuses_missing_workspace_and_overlap():
    t = _core.Tensor.zeros
    ones, none = (1, 1), (0, 0)
    x = t((1, 8, 8, 16))
    with pytest.raises(ValueError, match="workspace must have at least"):
        _core.conv2d_forward(
            x, t((16, 3, 3, 16)), None, t((1, 6, 6, 16)), None, ones, none, ones, False
        )
    big = t((4096,), "uint8")
    with pytest.raises(ValueError, match="y must not overlap x"):
        _core.conv2d_forward(x, t((16, 1, 1, 16)), None, x, big, ones, none, ones, False)
    y = t((1, 8, 8, 16))
    b = y.view((16,), 64)
    with pytest.raises(ValueError, match="y must not overlap b"):
        _core.conv2d_forward(x, t((16, 1, 1, 16)), b, y, big, ones, none, ones, False)


@pytest.mark.parametrize(
    ("x", "w", "stride", "padding"),
    [
        ((1, 1 << 32, 1 << 32, 1), (1, 1, 1, 1), 1, 0),  # a product of 2^64 wraps to 0
        ((1, 4, 4, 1), (1, 1, 1, 1), 1 << 30, 1 << 30),
        ((1, 4, 4, 1), (1, 1, 1, 1), 1 << 30, (1 << 31) - 1),
        ((1, (1 << 63) - 1, 1, 1), (1, 1, 1, 1), 1, 1),
        ((1, 1, 1, 1), (1 << 32, 1, 1, 1), 1, 0),
        ((1, 1 << 16, 1, 1), (1 << 16, 1, 1, 1), 1, 0),
    ],
)
def test_refuses_sizes_beyond_32_bits(x, w, stride, padding):
    with pytest.raises(ShapeError, match=r"must have fewer than 2\^31 elements"):
        _core.conv2d_geometry(x, w, (stride, stride), (padding, padding), (1, 1))
