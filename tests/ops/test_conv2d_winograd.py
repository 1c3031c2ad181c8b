"""Winograd convolution on the CPU: exact, close, errors bounded, bits, the choice of an algorithm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import array, assert_close, assert_exact, integers, normal
from reference import conv2d as ref
from sentei import _core
from sentei.ops import conv2d_backward_input, conv2d_forward

#        N  H   W   C   K  padding
CASES = [
    (2, 8, 8, 64, 64, 1),
    (3, 7, 7, 64, 51, 1),
    (2, 4, 4, 64, 70, 1),
    (3, 12, 12, 51, 37, 0),
    (1, 12, 11, 48, 130, 2),
    (2, 13, 11, 29, 96, 1),
    (9, 16, 16, 16, 16, 1),
    (1, 4, 4, 128, 32, 1),
]


def algorithm(pass_, x, w, padding, precision):
    """The floats of the packed filter tell: 16 or 36 rows for each channel, or 9."""
    window = ((1, 1), (padding, padding), (1, 1))
    own = _core.conv2d_workspace(pass_, x, w, *window, precision, "cpu")
    direct = _core.conv2d_workspace(pass_, x, w, *window, "precise", "cpu")
    if own == direct:
        return "direct"
    default = _core.conv2d_workspace(pass_, x, w, *window, "float32", "cpu")
    return "F(2x2)" if own == default else "F(4x4)"


def make(rng, case, draw):
    n, h, width, c, k, padding = case
    x, w, b = draw(rng, (n, h, width, c)), draw(rng, (k, 3, 3, c)), draw(rng, (k,))
    dy = draw(rng, ref.forward(x, w, padding=(padding, padding)).shape)
    return x, w, b, dy


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cases_go_by_winograd(case):
    n, h, width, c, k, padding = case
    shapes = (n, h, width, c), (k, 3, 3, c)
    for pass_ in ("forward", "backward_input"):
        assert algorithm(pass_, *shapes, padding, "float32") == "F(2x2)"
        assert algorithm(pass_, *shapes, padding, "fast") != "direct"


def check_exact(rng, case):
    x, w, b, dy = make(rng, case, integers)
    p = case[-1]
    assert_exact(conv2d_forward(x, w, b, padding=p), ref.forward(x, w, b, padding=(p, p)))
    want = np.maximum(ref.forward(x, w, padding=(p, p)), 0)
    assert_exact(conv2d_forward(x, w, padding=p, relu=True), want)
    want = ref.backward_input(dy, w, x.shape, padding=(p, p))
    assert_exact(conv2d_backward_input(dy, w, x, padding=p), want)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_default_is_exact_on_small_integers(rng, case):
    check_exact(rng, case)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_default_is_exact_on_random_geometry(data):
    c, k = (data.draw(st.integers(13, 90), label=name) for name in "CK")
    padding = data.draw(st.integers(0, 2), label="padding")
    h, w = (data.draw(st.integers(3, 14), label=name) for name in "HW")
    n = data.draw(st.integers(0, 5), label="N")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    check_exact(rng, (n, h, w, c, k, padding))
    check_fast(rng, (n, h, w, c, k, padding))


def check_fast(rng, case):
    x, w, b, dy = make(rng, case, normal)
    p, fast = case[-1], {"padding": case[-1], "precision": "fast"}
    # A few times the rounding of a plain sum: as if 100 times the terms were added.
    terms = 100 * 9 * case[3]
    assert_close(conv2d_forward(x, w, b, **fast), ref.forward(x, w, b, padding=(p, p)), terms)
    want = np.maximum(ref.forward(x, w, b, padding=(p, p)), 0)
    assert_close(conv2d_forward(x, w, b, **fast, relu=True), want, terms)
    want = ref.backward_input(dy, w, x.shape, padding=(p, p))
    assert_close(conv2d_backward_input(dy, w, x, **fast), want, 100 * 9 * case[4])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fast_is_close(rng, case):
    check_fast(rng, case)


def errors(got, want):
    """Root mean square, and largest, relative to the same of what is wanted."""
    difference = array(got).astype(np.float64) - want
    rms = np.sqrt((difference**2).mean() / (want**2).mean())
    return rms, np.abs(difference).max() / np.abs(want).max()


@pytest.mark.parametrize("channels", [64, 128, 256, 512])
@pytest.mark.parametrize("back", [False, True], ids=["forward", "backward_input"])
def test_errors_against_float64(rng, channels, back):
    """F(2x2) no worse than the plain sum, F(4x4) at most 6 times; positive inputs, as after a ReLU."""
    filters = 128 if channels == 512 else channels
    c, k = (filters, channels) if back else (channels, filters)
    x = np.maximum(normal(rng, (2, 12, 12, channels)), 0)
    w = normal(rng, (k, 3, 3, c)) * np.float32(np.sqrt(2 / (9 * channels)))
    seen = {}
    for precision in ("precise", "float32", "fast"):
        if back:
            want = ref.backward_input(x, w, (2, 12, 12, c), padding=(1, 1))
            like = np.empty((2, 12, 12, c), np.float32)
            got = conv2d_backward_input(x, w, like, padding=1, precision=precision)
        else:
            want = ref.forward(x, w, padding=(1, 1))
            got = conv2d_forward(x, w, padding=1, precision=precision)
        seen[precision] = errors(got, want)
    (rms, largest), (rms2, largest2), (rms4, largest4) = seen.values()
    assert rms2 <= 0.95 * rms and largest2 <= largest
    assert rms4 <= 6 * rms and largest4 <= 16 * largest
    assert rms4 < 6e-6 and largest4 < 3e-5
    assert rms4 > 2 * rms2, "this is not F(4x4)"


def both(x, w, b, dy, padding, precision):
    """Forward pass and input gradient."""
    x, w, dy = (np.ascontiguousarray(a) for a in (x, w, dy))
    options = {"padding": padding, "precision": precision}
    y = conv2d_forward(x, w, b, **options)
    like = np.empty((*x.shape[:3], w.shape[3]), np.float32)
    return array(y), array(conv2d_backward_input(dy, w, like, **options))


@pytest.mark.parametrize("precision", ["float32", "fast"])
@pytest.mark.parametrize("case", [CASES[0], CASES[1], CASES[6]], ids=str)
def test_bits_do_not_depend_on_threads(rng, threads, case, precision):
    x, w, b, dy = make(rng, (40, *case[1:]), normal)
    seen = []
    for n in (1, 2, 3, 4, 4):
        _core.set_threads(n)
        seen.append([a.tobytes() for a in both(x, w, b, dy, case[-1], precision)])
    assert all(s == seen[0] for s in seen)


@pytest.mark.parametrize("precision", ["precise", "float32", "fast"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_bits_do_not_depend_on_the_batch(rng, case, precision):
    x, w, b, dy = make(rng, (31, *case[1:]), normal)
    whole = both(x, w, b, dy, case[-1], precision)
    for part in (slice(0, 1), slice(1, 8), slice(8, 31)):
        few = both(x[part], w, b, dy[part], case[-1], precision)
        for a, c in zip(few, whole, strict=True):
            assert np.array_equal(a, c[part])


@pytest.mark.parametrize("precision", ["float32", "fast"])
def test_masked_equals_pruned(rng, precision):
    """Channels and filters set to zero, or taken out: the same numbers."""
    x, w, b, dy = make(rng, (3, 9, 9, 64, 80, 1), normal)
    keep_c, keep_k = np.arange(64) % 5 != 2, np.arange(80) % 3 != 1
    y, _ = both(x, w * keep_c, b, dy, 1, precision)
    small, _ = both(
        x[..., keep_c], w[keep_k][..., keep_c], b[keep_k], dy[..., keep_k], 1, precision
    )
    assert np.array_equal(y[..., keep_k], small)
    masked = w * keep_k[:, None, None, None]
    _, dx = both(x, masked, b, dy, 1, precision)
    _, less = both(x, w[keep_k], b[keep_k], dy[..., keep_k], 1, precision)
    assert np.array_equal(dx, less)


@pytest.mark.parametrize(
    ("x", "w", "padding", "default", "fast"),
    [
        ((100, 32, 32, 64), (64, 3, 3, 64), 1, "F(2x2)", "F(4x4)"),
        ((100, 32, 32, 16), (16, 3, 3, 16), 1, "F(2x2)", "F(4x4)"),
        ((1, 8, 8, 256), (256, 3, 3, 256), 1, "F(2x2)", "F(4x4)"),
        ((8, 14, 14, 512), (512, 3, 3, 512), 1, "F(2x2)", "F(2x2)"),  # 36 MB of filters
        ((100, 32, 32, 3), (64, 3, 3, 3), 1, "direct", "direct"),
        ((100, 14, 14, 32), (64, 5, 5, 32), 2, None, None),
        ((100, 3, 3, 64), (64, 3, 3, 64), 0, "direct", "direct"),  # one output each
        ((100, 32, 32, 64), (64, 3, 3, 32), 1, "direct", "direct"),  # two groups
    ],
    ids=str,
)
def test_choice_of_the_algorithm(x, w, padding, default, fast):
    if default is None:  # not 3x3: fast is never another algorithm than the default
        window = ((1, 1), (padding, padding), (1, 1))
        sizes = [
            _core.conv2d_workspace("forward", x, w, *window, p, "cpu") for p in ("float32", "fast")
        ]
        assert sizes[0] == sizes[1]
        return
    assert algorithm("forward", x, w, padding, "precise") == "direct"
    assert algorithm("forward", x, w, padding, "float32") == default
    assert algorithm("forward", x, w, padding, "fast") == fast


@pytest.mark.parametrize("precision", ["float32", "fast"])
def test_nan_reaches_the_outputs_that_see_it(precision):
    x, w = np.zeros((1, 8, 8, 64), np.float32), np.ones((64, 3, 3, 64), np.float32)
    x[0, 4, 4, 3] = np.nan
    y = array(conv2d_forward(x, w, padding=1, relu=True, precision=precision))
    assert np.isnan(y[0, 3:6, 3:6]).all()
    assert np.isfinite(y[0, :, 0]).all()
