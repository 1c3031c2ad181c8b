"""conv2d on tensor cores (tf32, bfloat16): exact, close, every tile, slots, unaligned tensors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import array, normal
from reference import conv2d as ref
from sentei.ops import conv2d_backward_input, conv2d_backward_weight, conv2d_forward
from tensor_cores import (
    CASES,
    PRECISIONS,
    assert_rounded_product,
    check_exact,
    each_precision,
    make,
    on_tensor_cores,
)


@on_tensor_cores
@each_precision
@pytest.mark.parametrize("case", CASES, ids=str)
def test_exact(rng, case, precision):
    check_exact(rng, case, precision)


@on_tensor_cores
@each_precision
@pytest.mark.parametrize("case", [CASES[i] for i in (1, 2, 3, 7, 12)], ids=str)
def test_close(rng, case, precision):
    x, w, _, dy, window = make(rng, case, normal)
    modes = {**window, "precision": precision}
    assert_rounded_product(
        conv2d_forward(x, w, **modes), lambda a, b: ref.forward(a, b, **window), x, w, precision
    )
    assert_rounded_product(
        conv2d_backward_input(dy, w, x, **modes),
        lambda a, b: ref.backward_input(a, b, x.shape, **window),
        dy,
        w,
        precision,
    )
    assert_rounded_product(
        conv2d_backward_weight(x, dy, w, **modes),
        lambda a, b: ref.backward_weight(a, b, w.shape, **window),
        x,
        dy,
        precision,
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def random_geometry(data):
    size = st.integers(1, 3)
    channels = st.sampled_from([1, 2, 3, 7, 8, 13, 16, 32, 37, 40, 65, 72])
    c, k = data.draw(channels, label="C"), data.draw(channels, label="K")
    r, s = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    stride, dilation = (data.draw(size), data.draw(size)), (data.draw(size), data.draw(size))
    padding = (data.draw(st.integers(0, 4)), data.draw(st.integers(0, 4)))
    h = data.draw(st.integers(max(1, dilation[0] * (r - 1) + 1 - 2 * padding[0]), 15))
    w = data.draw(st.integers(max(1, dilation[1] * (s - 1) + 1 - 2 * padding[1]), 15))
    n = data.draw(st.integers(0, 5))
    precision = data.draw(st.sampled_from(PRECISIONS))
    seed = data.draw(st.integers(0, 2**32 - 1))
    case = (n, h, w, c, k, r, s, stride, padding, dilation)
    check_exact(np.random.default_rng(seed), case, precision)


@on_tensor_cores
def test_exact_on_random_geometry(device):
    random_geometry()


# The plan's rules (csrc/cuda/mma_plan.hpp) give these sizes blocks of 128 x 64 and 128 x 128
# pixels and channels in both directions; all other cases have 64 x 32 and 64 x 64.
@on_tensor_cores
@each_precision
@pytest.mark.parametrize(
    "case",
    [
        (7, 49, 49, 12, 40, 1, 1, (1, 1), (0, 0), (1, 1)),
        (7, 49, 49, 40, 12, 1, 1, (1, 1), (0, 0), (1, 1)),
        (1, 92, 91, 5, 130, 1, 1, (1, 1), (0, 0), (1, 1)),
        (1, 92, 91, 130, 5, 1, 1, (1, 1), (0, 0), (1, 1)),
        (1, 66, 65, 15, 130, 3, 3, (1, 1), (1, 1), (1, 1)),  # slots of 128 x 128 in tf32
    ],
    ids=str,
)
def test_large_blocks(rng, case, precision):
    check_exact(rng, case, precision)


@on_tensor_cores
@each_precision
@pytest.mark.parametrize(("c", "k", "groups"), [(6, 9, 3), (5, 5, 5)])
def test_groups_run_in_float32(rng, c, k, groups, precision):
    """More exact than asked for, never less."""
    x, w = normal(rng, (2, 6, 6, c)), normal(rng, (k, 3, 3, c // groups))
    dy = normal(rng, (2, 4, 4, k))
    for f in (
        lambda p: conv2d_forward(x, w, precision=p),
        lambda p: conv2d_backward_input(dy, w, x, precision=p),
        lambda p: conv2d_backward_weight(x, dy, w, precision=p),
    ):
        assert array(f(precision)).tobytes() == array(f("float32")).tobytes()


@on_tensor_cores
@each_precision
def test_same_bits_twice(rng, precision):
    x, w, b, dy, window = make(rng, CASES[3], normal)
    modes = {**window, "precision": precision}
    for f in (
        lambda: conv2d_forward(x, w, b, **modes),
        lambda: conv2d_backward_input(dy, w, x, **modes),
        lambda: conv2d_backward_weight(x, dy, w, **modes),
    ):
        assert array(f()).tobytes() == array(f()).tobytes()


@on_tensor_cores
@each_precision
def test_special_values_propagate(rng, precision):
    x = np.zeros((1, 4, 4, 2), np.float32)
    x[0, 1, 1, 0], x[0, 3, 3, 1] = np.nan, np.inf
    w = np.ones((3, 1, 1, 2), np.float32)
    y = array(conv2d_forward(x, w, precision=precision, relu=True))
    assert np.isnan(y[0, 1, 1]).all() and np.isposinf(y[0, 3, 3]).all()
    assert np.isfinite(y).sum() == y.size - 6


def test_division_of_large_numbers_on_cusim():
    """Past 2**32 pixels the division is a wide one: no test has memory for so many."""
    cusim = pytest.importorskip("sentei._cusim", reason="the emulator is not built")
    a = [0, 5, 2**32 - 1, 2**32, 2**32 + 6, 7 * 2**33 - 1, 2**47 + 2**25 + 1]
    rows = [(n >> 24, n & 0xFFFFFF, b) for n in a for b in (1, 7, 2**23 + 1)]
    got = cusim.run_probe("divided", np.array(rows, np.float32).ravel(), 3 * len(rows))
    for (high, low, b), found in zip(rows, got.reshape(-1, 3).astype(np.int64), strict=True):
        q, rest = divmod((high << 24) + low, b)
        assert found.tolist() == [q >> 24, q & 0xFFFFFF, rest]


def test_cpu_refuses_tf32():
    x, w = np.zeros((1, 3, 3, 1), np.float32), np.zeros((1, 3, 3, 1), np.float32)
    with pytest.raises(ValueError, match=r"precision must be .* on cpu, got "):
        conv2d_forward(x, w, precision="tf32")
