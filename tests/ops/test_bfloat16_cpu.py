"""bfloat16 on the CPU, on every unit that this machine has: AMX tiles, AVX512_BF16, rounded copies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import array, assert_exact, integers, normal
from reference import conv2d as ref
from reference import linear as linear_ref
from sentei import _core
from sentei.ops import (
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
    linear_backward_input,
    linear_backward_weight,
    linear_backward_weight_rows,
    linear_forward,
    linear_lazy_forward,
)
from sentei.ops.linear_lazy import linear_lazy_backward_input
from tensor_cores import CASES, SIZES, assert_rounded_product, check_exact, make, rounded

BF16 = {"precision": "bfloat16"}
INFO = _core.bfloat16_info()
each_unit = pytest.mark.parametrize("unit", INFO["supported"], indirect=True)

# Chunks of images and of rows, slots, several blocks of 32 either way, and what a tile leaves over.
LARGE = [
    (40, 32, 32, 3, 40, 3, 3, (1, 1), (1, 1), (1, 1)),  # merged columns, slots
    (21, 16, 16, 64, 33, 3, 3, (1, 1), (1, 1), (1, 1)),  # one copy for all columns
    (37, 4, 4, 96, 130, 3, 3, (1, 1), (1, 1), (1, 1)),  # one copy a column, parts of one chunk
    (70, 2, 2, 65, 70, 3, 3, (1, 1), (1, 1), (1, 1)),
    (1, 70, 66, 70, 17, 3, 3, (1, 1), (1, 1), (1, 1)),  # chunks of rows
    (24, 14, 14, 32, 64, 5, 5, (1, 1), (2, 2), (1, 1)),
    (26, 28, 28, 1, 32, 5, 5, (1, 1), (2, 2), (1, 1)),
    (18, 16, 16, 32, 64, 1, 1, (2, 2), (0, 0), (1, 1)),
    (18, 17, 16, 40, 64, 3, 3, (2, 2), (1, 1), (1, 1)),
    (33, 32, 32, 32, 16, 3, 3, (1, 1), (2, 2), (2, 2)),
    (5, 16, 48, 34, 15, 2, 3, (1, 1), (0, 4), (1, 2)),
    (600, 1, 1, 100, 40, 1, 1, (1, 1), (0, 0), (1, 1)),
]


@pytest.fixture
def unit(request: pytest.FixtureRequest) -> Iterator[str]:
    _core.set_bfloat16_unit(request.param)
    yield request.param
    _core.set_bfloat16_unit(INFO["active"])


def passes(rng, case, draw=normal):
    """The three passes of a case as functions of nothing, with what float64 makes of a and b."""
    x, w, _, dy, window = make(rng, case, draw)
    modes = {**window, **BF16}
    return [
        (lambda: conv2d_forward(x, w, **modes), lambda a, f: ref.forward(a, f, **window), x, w),
        (
            lambda: conv2d_backward_input(dy, w, x, **modes),
            lambda a, f: ref.backward_input(a, f, x.shape, **window),
            dy,
            w,
        ),
        (
            lambda: conv2d_backward_weight(x, dy, w, **modes),
            lambda a, d: ref.backward_weight(a, d, w.shape, **window),
            x,
            dy,
        ),
    ]


@each_unit
@pytest.mark.parametrize("case", CASES + LARGE, ids=str)
def test_exact(rng, case, unit):
    check_exact(rng, case, "bfloat16")


@each_unit
@pytest.mark.parametrize("case", [*(CASES[i] for i in (1, 2, 3, 4, 7, 12)), *LARGE], ids=str)
def test_close(rng, case, unit):
    for f, product, a, b in passes(rng, case):
        assert_rounded_product(f(), product, a, b, "bfloat16")


@each_unit
def test_exact_on_random_geometry(unit):
    random_geometry()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def random_geometry(data):
    size = st.integers(1, 3)
    channels = st.sampled_from([1, 2, 3, 5, 8, 13, 16, 17, 31, 32, 33, 37, 64, 70])
    c, k = data.draw(channels, label="C"), data.draw(channels, label="K")
    r, s = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    stride, dilation = (data.draw(size), data.draw(size)), (data.draw(size), data.draw(size))
    padding = (data.draw(st.integers(0, 4)), data.draw(st.integers(0, 4)))
    h = data.draw(st.integers(max(1, dilation[0] * (r - 1) + 1 - 2 * padding[0]), 20))
    w = data.draw(st.integers(max(1, dilation[1] * (s - 1) + 1 - 2 * padding[1]), 20))
    n = data.draw(st.integers(0, 20))
    seed = data.draw(st.integers(0, 2**32 - 1))
    case = (n, h, w, c, k, r, s, stride, padding, dilation)
    check_exact(np.random.default_rng(seed), case, "bfloat16")


@each_unit
@pytest.mark.parametrize("size", [*SIZES, (100, 1030, 500)], ids=str)
def test_linear(rng, size, unit):
    n, i, o = size
    x, w, b = integers(rng, (n, i)), integers(rng, (o, i)), integers(rng, (o,))
    dy = integers(rng, (n, o))
    assert_exact(linear_forward(x, w, b, **BF16), linear_ref.forward(x, w, b))
    want = np.maximum(linear_ref.forward(x, w), 0)
    assert_exact(linear_forward(x, w, relu=True, **BF16), want)
    assert_exact(linear_backward_input(dy, w, **BF16), linear_ref.backward_input(dy, w))
    assert_exact(linear_backward_weight(x, dy, **BF16), linear_ref.backward_weight(x, dy))
    x, w, dy = normal(rng, (n, i)), normal(rng, (o, i)), normal(rng, (n, o))
    assert_rounded_product(linear_forward(x, w, **BF16), linear_ref.forward, x, w, "bfloat16")
    got = linear_backward_input(dy, w, **BF16)
    assert_rounded_product(got, linear_ref.backward_input, dy, w, "bfloat16")
    got = linear_backward_weight(x, dy, **BF16)
    assert_rounded_product(got, linear_ref.backward_weight, x, dy, "bfloat16")


@each_unit
@pytest.mark.parametrize("size", [(9, 33, 20, 3), (1100, 12, 90, 9), (600, 7, 81, 1)], ids=str)
def test_active_rows(rng, size, unit):
    n, i, o, groups = size
    x, dy = integers(rng, (n, i)), integers(rng, (n, o))
    rows = rng.permutation(o).astype(np.int32)
    offsets = np.linspace(0, o, groups + 1).astype(np.int32)
    want = linear_ref.backward_weight(x, dy)
    for active in {0, groups // 2, groups - 1}:
        group = np.array([active], np.int32)
        got = array(linear_backward_weight_rows(x, dy, rows, offsets, group, **BF16))
        mine = rows[offsets[active] : offsets[active + 1]]
        assert_exact(got[: mine.size], want[mine])
        assert np.isnan(got[mine.size :]).all(), "rows of no group must not be written"


@each_unit
@pytest.mark.parametrize("n", [3, 40])
def test_lazy_weight_is_rounded_as_a_whole(rng, n, unit):
    i, o = 33, 21
    x, w, v, dy = (normal(rng, s) for s in ((n, i), (o, i), (o, i), (n, o)))
    coef = np.array([[0.9, -0.5], [0.8, 0.25]], np.float32)  # m, c: c v is exact
    group_of = rng.integers(0, 2, o).astype(np.int32)
    v = rounded(v, "bfloat16")
    added = w + coef[group_of, 1][:, None] * v
    got = linear_lazy_forward(x, w, v, coef, group_of, **BF16)
    assert array(got).tobytes() == array(linear_forward(x, added, **BF16)).tobytes()
    got = linear_lazy_backward_input(dy, w, v, coef, group_of, **BF16)
    assert array(got).tobytes() == array(linear_backward_input(dy, added, **BF16)).tobytes()


@each_unit
@pytest.mark.parametrize("case", [LARGE[i] for i in (0, 1, 2, 4, 6, 8)], ids=str)
def test_bits_do_not_depend_on_threads(rng, case, unit, threads):
    found = []
    for n in (1, 2, 5):
        _core.set_threads(n)
        found.append([array(f()).tobytes() for f, *_ in passes(np.random.default_rng(1), case)])
    assert found[0] == found[1] == found[2]


@each_unit
def test_rounding_is_to_nearest_even(unit):
    """A product with 1 shows the rounded operand: ties, neighbours of ties, the largest numbers. (Units flush
    what is below the smallest normal number.)"""
    top = np.array([0x3F80, 0x3F81, 0x4000, 0xC07F, 0x7F7F, 0x0080, 0x8081], np.uint32)
    low = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    x = ((top[:, None] << 16) | low).astype(np.uint32).view(np.float32).reshape(-1, 1)
    one = np.ones((1, 1), np.float32)
    want = rounded(x, "bfloat16")
    assert array(linear_forward(x, one, **BF16)).tobytes() == (want + 0.0).tobytes()
    got = array(linear_backward_weight(one, x.T.copy(), **BF16))
    assert got.tobytes() == (want + 0.0).tobytes()


@each_unit
def test_special_values_propagate(unit):
    x = np.zeros((1, 4, 4, 2), np.float32)
    x[0, 1, 1, 0], x[0, 3, 3, 1], x[0, 2, 2, 1] = np.nan, np.inf, -np.inf
    w = np.ones((3, 1, 1, 2), np.float32)
    y = array(conv2d_forward(x, w, **BF16))
    assert np.isnan(y[0, 1, 1]).all() and np.isposinf(y[0, 3, 3]).all()
    assert np.isneginf(y[0, 2, 2]).all() and np.isfinite(y).sum() == y.size - 9
    y = array(conv2d_forward(x, w, relu=True, **BF16))
    assert np.isnan(y[0, 1, 1]).all() and not y[0, 2, 2].any()


@each_unit
def test_unaligned_tensors(rng, unit):
    """Tensors may start at any float."""
    x, w, b, dy, window = make(rng, CASES[2], integers)
    odd = [np.empty(a.size + 1, np.float32)[1:].reshape(a.shape) for a in (x, w, b, dy)]
    for to, a in zip(odd, (x, w, b, dy), strict=True):
        to[...] = a
    modes = {**window, **BF16}
    assert_exact(conv2d_forward(odd[0], odd[1], odd[2], **modes), ref.forward(x, w, b, **window))
    want = ref.backward_weight(x, dy, w.shape, **window)
    assert_exact(conv2d_backward_weight(odd[0], odd[3], w, **modes), want)


@each_unit
@pytest.mark.parametrize(("c", "k", "groups"), [(6, 9, 3), (5, 5, 5)])
def test_groups_run_in_float32(rng, c, k, groups, unit):
    """More exact than asked for, never less."""
    x, w = normal(rng, (2, 6, 6, c)), normal(rng, (k, 3, 3, c // groups))
    dy = normal(rng, (2, 4, 4, k))
    for f in (
        lambda p: conv2d_forward(x, w, precision=p),
        lambda p: conv2d_backward_input(dy, w, x, precision=p),
        lambda p: conv2d_backward_weight(x, dy, w, precision=p),
    ):
        assert array(f("bfloat16")).tobytes() == array(f("float32")).tobytes()


def test_units():
    assert INFO["active"] in INFO["supported"] and set(INFO["supported"]) <= set(INFO["built"])
    assert "portable" in INFO["supported"]
    with pytest.raises(ValueError, match="set_bfloat16_unit: must be one of amx, avx512, portable"):
        _core.set_bfloat16_unit("tpu")


def run_python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )


def test_environment_chooses():
    code = "from sentei import _core; print(_core.bfloat16_info()['active'])"
    for name in INFO["supported"]:
        assert run_python(code, SENTEI_BF16=name).stdout.strip() == name
    assert "SENTEI_BF16: must be one of" in run_python(code, SENTEI_BF16="tpu").stderr
