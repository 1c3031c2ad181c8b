"""linear on tensor cores (tf32, bfloat16): exact, close, every tile, slots, active rows."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import array, assert_exact, integers, normal
from reference import linear as ref
from sentei.ops import (
    linear_backward_input,
    linear_backward_weight,
    linear_backward_weight_rows,
    linear_forward,
)
from tensor_cores import SIZES, assert_rounded_product, each_precision, on_tensor_cores


@on_tensor_cores
@each_precision
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_exact(rng, size, precision):
    n, i, o = size
    x, w, b = integers(rng, (n, i)), integers(rng, (o, i)), integers(rng, (o,))
    dy = integers(rng, (n, o))
    assert_exact(linear_forward(x, w, b, precision=precision), ref.forward(x, w, b))
    want = np.maximum(ref.forward(x, w), 0)
    assert_exact(linear_forward(x, w, relu=True, precision=precision), want)
    assert_exact(linear_backward_input(dy, w, precision=precision), ref.backward_input(dy, w))
    assert_exact(linear_backward_weight(x, dy, precision=precision), ref.backward_weight(x, dy))


# The plan's rules (csrc/cuda/mma_plan.hpp) give these sizes blocks of 128 x 64 and 128 x 128; all
# others here have 64 x 32 and 64 x 64.
@on_tensor_cores
@each_precision
@pytest.mark.parametrize(
    ("which", "size"),
    [
        ("forward", (16800, 9, 40)),
        ("forward", (8400, 7, 130)),
        ("backward_input", (16800, 40, 9)),
        ("backward_input", (8400, 130, 7)),
        ("backward_weight", (5, 40, 16800)),
        ("backward_weight", (3, 1410, 1530)),
    ],
)
def test_large_blocks(rng, which, size, precision):
    n, i, o = size
    x, w, dy = integers(rng, (n, i)), integers(rng, (o, i)), integers(rng, (n, o))
    if which == "forward":
        assert_exact(linear_forward(x, w, precision=precision), ref.forward(x, w))
    elif which == "backward_input":
        got = linear_backward_input(dy, w, precision=precision)
        assert_exact(got, ref.backward_input(dy, w))
    else:
        got = linear_backward_weight(x, dy, precision=precision)
        assert_exact(got, ref.backward_weight(x, dy))


@on_tensor_cores
@each_precision
@pytest.mark.parametrize("size", [(3, 5, 7), (50, 401, 37), (7, 1100, 90), (1100, 9, 40)], ids=str)
def test_close(rng, size, precision):
    n, i, o = size
    x, w, dy = normal(rng, (n, i)), normal(rng, (o, i)), normal(rng, (n, o))
    got = linear_forward(x, w, precision=precision)
    assert_rounded_product(got, ref.forward, x, w, precision)
    got = linear_backward_input(dy, w, precision=precision)
    assert_rounded_product(got, ref.backward_input, dy, w, precision)
    got = linear_backward_weight(x, dy, precision=precision)
    assert_rounded_product(got, ref.backward_weight, x, dy, precision)


@on_tensor_cores
@each_precision
@pytest.mark.parametrize(
    "size", [(9, 33, 20, 3), (40, 130, 150, 12), (1100, 12, 90, 9), (600, 7, 81, 1)], ids=str
)
def test_active_rows(rng, size, precision):
    n, i, o, groups = size
    x, dy = integers(rng, (n, i)), integers(rng, (n, o))
    rows = rng.permutation(o).astype(np.int32)
    offsets = np.linspace(0, o, groups + 1).astype(np.int32)
    most = -(-o // groups)
    want = ref.backward_weight(x, dy)
    for active in {0, groups // 2, groups - 1}:
        group = np.array([active], np.int32)
        got = array(linear_backward_weight_rows(x, dy, rows, offsets, group, precision=precision))
        mine = rows[offsets[active] : offsets[active + 1]]
        assert got.shape == (most, i)
        assert_exact(got[: mine.size], want[mine])
        assert np.isnan(got[mine.size :]).all(), "rows of no group must not be written"


@on_tensor_cores
@each_precision
def test_active_rows_stay_in_bounds(rng, precision):
    x, dy = integers(rng, (9, 6)), integers(rng, (9, 8))
    rows, offsets = np.arange(8, dtype=np.int32), np.array([0, 4, 8], np.int32)
    rows[1], rows[2] = 99, -1

    def gradient(group):
        group = np.array([group], np.int32)
        return array(linear_backward_weight_rows(x, dy, rows, offsets, group, precision=precision))

    got = gradient(0)
    assert np.isnan(got[1:3]).all()
    assert_exact(got[[0, 3]], ref.backward_weight(x, dy)[[0, 3]])
    for missing in (-1, 2, 10**6):
        assert np.isnan(gradient(missing)).all()


@on_tensor_cores
@each_precision
def test_same_bits_twice(rng, precision):
    x, w, dy = normal(rng, (1100, 40)), normal(rng, (40, 40)), normal(rng, (1100, 40))
    for f in (
        lambda: linear_forward(x, w, precision=precision),
        lambda: linear_backward_input(dy, w, precision=precision),
        lambda: linear_backward_weight(x, dy, precision=precision),
    ):
        assert array(f()).tobytes() == array(f()).tobytes()


def test_cpu_refuses_tf32():
    with pytest.raises(ValueError, match=r"precision must be .* on cpu, got "):
        linear_forward(np.zeros((2, 3), np.float32), np.zeros((4, 3), np.float32), precision="tf32")
