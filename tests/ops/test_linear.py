"""linear: exact, close, gradient, refuses, vectors, rows of a group, thread-independent."""

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
    central_difference,
    integers,
    normal,
    vectors,
)
from reference import linear as ref
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.ops import (
    bias_backward,
    linear_backward_input,
    linear_backward_weight,
    linear_backward_weight_rows,
    linear_forward,
)
from sentei.tensor import Tensor

#        N    I     O
SIZES = [
    (1, 1, 1),
    (1, 64, 64),
    (1, 37, 51),
    (3, 37, 13),
    (7, 11, 5),
    (0, 4, 3),
    (5, 1, 64),
    (6, 64, 1),
    (100, 64, 10),
    (100, 130, 70),
    (13, 1500, 65),
    (33, 129, 200),
    (16, 4, 0),
    (16, 0, 4),
]


# On a GPU these sizes take every tile (128 x 128, 128 x 64, 128 x 32, 64 x 64, 32 x 32) of every
# pass, with vectors and without, whole and split over the depth.
DEVICE_SIZES = [
    (33792, 3, 3),
    (33792, 4, 4),
    (65, 4, 4),
    (3, 65, 96),
    (2050, 3, 515),
    (8192, 65, 3),
    (3, 768, 1024),
    (8192, 3, 200),
    (8192, 200, 3),
    (260, 260, 512),
    (33792, 3, 33),
    (33792, 33, 3),
    (3, 384, 2050),
    (3, 2050, 384),
    (8192, 4, 200),
    (3, 1024, 2048),
    (3, 1022, 2048),
    (3, 1023, 2047),
    (3, 2050, 1024),
    (3, 1030, 1024),
    (33792, 4, 33),
    (8192, 200, 4),
    (33792, 48, 4),
    (3, 768, 4096),
    (3, 2050, 2050),
    (8192, 64, 200),
    (8192, 65, 200),
]


@pytest.mark.devices
@pytest.mark.parametrize("size", SIZES + DEVICE_SIZES, ids=str)
def test_exact(rng, size):
    n, i, o = size
    x, w, b, dy = (integers(rng, s, 2) for s in ((n, i), (o, i), (o,), (n, o)))
    assert_exact(linear_forward(x, w, b), ref.forward(x, w, b))
    assert_exact(linear_forward(x, w, b, relu=True), np.maximum(ref.forward(x, w, b), 0))
    assert_exact(linear_forward(x, w), ref.forward(x, w))
    assert_exact(linear_backward_input(dy, w), ref.backward_input(dy, w))
    assert_exact(linear_backward_weight(x, dy), ref.backward_weight(x, dy))


@pytest.mark.devices
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 40), st.integers(1, 150), st.integers(1, 150), st.integers(0, 2**32 - 1))
def test_exact_on_random_sizes(n, i, o, seed):
    test_exact(np.random.default_rng(seed), (n, i, o))


@pytest.mark.devices
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_close(rng, size):
    n, i, o = size
    x, w, b, dy = (normal(rng, s) for s in ((n, i), (o, i), (o,), (n, o)))
    assert_close(linear_forward(x, w, b), ref.forward(x, w, b), i + 1)
    assert_close(linear_backward_input(dy, w), ref.backward_input(dy, w), o)
    assert_close(linear_backward_weight(x, dy), ref.backward_weight(x, dy), max(n, 1))


def test_reference_gradient(rng):
    x, w, dy = normal(rng, (4, 6)), normal(rng, (5, 6)), normal(rng, (4, 5))
    dx, dw = ref.backward_input(dy, w), ref.backward_weight(x, dy)
    for at in ((0, 0), (3, 5), (2, 1)):
        slope = central_difference(lambda a: float((ref.forward(a, w) * dy).sum()), x, at)
        assert dx[at] == pytest.approx(slope, rel=1e-6)
        slope = central_difference(lambda a: float((ref.forward(x, a) * dy).sum()), w, at)
        assert dw[at] == pytest.approx(slope, rel=1e-6)


@pytest.mark.devices
@pytest.mark.parametrize("case", ["linear", "linear_ragged", "linear_one"])
def test_vectors(case):
    v = {k.removeprefix(f"{case}."): a for k, a in vectors("dense").items()}
    x, w, b, dy = (np.ascontiguousarray(v[k]) for k in ("x", "w", "b", "dy"))
    tol = 1e-5
    assert_vector(linear_forward(x, w, b), v["y"], tol)
    assert_vector(linear_backward_input(dy, w), v["dx"], tol)
    assert_vector(linear_backward_weight(x, dy), v["dw"], tol)


def even_groups(rng, o, groups, shuffled):
    sizes = np.full(groups, o // groups)
    sizes[: o % groups] += 1
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return (rng.permutation(o) if shuffled else np.arange(o)).astype(np.int32), offsets


@pytest.mark.devices
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize(
    ("n", "i", "o", "groups"),
    [
        (5, 13, 10, 3),
        (7, 130, 37, 6),
        (100, 70, 64, 8),
        (300, 36, 35, 5),
        (500, 1024, 192, 2),
        (500, 1023, 192, 2),
        (0, 5, 6, 2),
    ],
)
def test_rows_of_the_active_group(rng, n, i, o, groups, shuffled):
    rows, offsets = even_groups(rng, o, groups, shuffled)
    x, dy = integers(rng, (n, i)), integers(rng, (n, o))
    whole = ref.backward_weight(x, dy)
    for g in range(groups):
        active = rows[offsets[g] : offsets[g + 1]]
        got = array(linear_backward_weight_rows(x, dy, rows, offsets, np.array([g], np.int32)))
        assert got.shape == (-(-o // groups), i)
        assert_exact(got[: len(active)], whole[active])
        assert np.isnan(got[len(active) :]).all(), "rows past the group are not written"


@pytest.mark.parametrize("device", ["cusim", "cuda"], indirect=True)
@pytest.mark.parametrize("n", [2, 3000])
@pytest.mark.parametrize(
    ("rows", "offsets", "group", "written"),
    [
        ([0, 1, 2, 9], [0, 2, 4], 1, [True, False]),
        ([0, -1, 2, 3], [0, 2, 4], 0, [True, False]),
        ([0, 1, 2, 3], [0, 2, 5], 1, [False, False]),
        ([0, 1, 2, 3], [-1, 2, 4], 0, [False, False]),
        ([0, 1, 2, 3], [0, 2, 4], 2, [False, False]),
        ([0, 1, 2, 3], [0, 2, 4], -1, [False, False]),
        ([0, 1, 2, 3], [0, 4, 4], 0, [True, True]),
    ],
)
def test_device_skips_wrong_rows(rng, n, rows, offsets, group, written):
    """What the host cannot check stays in bounds, and rows that make no sense are not written."""
    x, dy = integers(rng, (n, 5)), integers(rng, (n, 4))
    index = [np.array(a, np.int32) for a in (rows, offsets, [group])]
    got = array(linear_backward_weight_rows(x, dy, *index))
    assert (~np.isnan(got)).all(axis=1).tolist() == written
    assert np.isnan(got).all(axis=1).tolist() == [not w for w in written]


@pytest.mark.devices
@pytest.mark.parametrize("size", [(1, 200, 300), (100, 130, 70), (260, 260, 512)], ids=str)
def test_same_run_same_bits(rng, size):
    n, i, o = size
    x, w, b, dy = (normal(rng, s) for s in ((n, i), (o, i), (o,), (n, o)))
    runs = [
        (
            linear_forward(x, w, b),
            linear_backward_input(dy, w),
            linear_backward_weight(x, dy),
        )
        for _ in range(3)
    ]
    seen = [[array(a).tobytes() for a in run] for run in runs]
    assert seen[1] == seen[0] and seen[2] == seen[0]


@pytest.mark.devices
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_bias_is_exact(rng, size):
    dy = integers(rng, (size[0], size[2]))
    assert_exact(bias_backward(dy), dy.astype(np.float64).sum(0))


@pytest.mark.devices
@pytest.mark.parametrize("case", ["linear", "linear_ragged", "linear_one"])
def test_bias_vectors(case):
    v = vectors("dense")
    assert_vector(bias_backward(np.ascontiguousarray(v[f"{case}.dy"])), v[f"{case}.db"], 1e-5)


@pytest.mark.parametrize("size", [(1, 200, 300), (100, 130, 70), (33, 1500, 65)], ids=str)
def test_bits_do_not_depend_on_threads(rng, threads, size):
    n, i, o = size
    x, w, b, dy = (normal(rng, s) for s in ((n, i), (o, i), (o,), (n, o)))
    seen = []
    for t in (1, 2, 3, 4, 4):
        _core.set_threads(t)
        outs = (
            linear_forward(x, w, b),
            linear_backward_input(dy, w),
            linear_backward_weight(x, dy),
        )
        seen.append([np.asarray(a).tobytes() for a in outs])
    assert all(s == seen[0] for s in seen)


def zeros(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: linear_forward(zeros(2, 3, 4), zeros(5, 4)),
            ShapeError,
            r"x must have shape \(N, I\)",
        ),
        (
            lambda: linear_forward(zeros(2, 3), zeros(5, 4)),
            ShapeError,
            r"w must have shape \(O, 3\) to match x, got \(5, 4\)",
        ),
        (
            lambda: linear_forward(zeros(2, 3), zeros(5, 3), zeros(4)),
            ShapeError,
            r"b must have shape \(5,\)",
        ),
        (
            lambda: linear_forward(np.zeros((2, 3)), zeros(5, 3)),
            DTypeError,
            "x must be float32, got float64",
        ),
        (
            lambda: linear_backward_input(zeros(2, 4), zeros(5, 3)),
            ShapeError,
            r"dy must have shape \(N, 5\)",
        ),
        (
            lambda: linear_backward_weight(zeros(2, 4), zeros(3, 5)),
            ShapeError,
            r"dy must have shape \(2, O\)",
        ),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("rows", "offsets", "group", "message"),
    [
        ([0, 1, 2, 9], [0, 2, 4], [1], r"rows must be in \[0, 4\), got 9"),
        ([0, 1, 2, 3], [0, 2, 5], [1], "offsets must rise from 0 to 4"),
        ([0, 1, 2, 3], [0, 2, 4], [2], r"group must be in \[0, 2\), got 2"),
        ([0, 1, 2, 3], [0, 2, 4], [-1], r"group must be in \[0, 2\), got -1"),
        ([0, 1, 2, 3], [0, 3, 4], [0], "dw must have a row for each"),
    ],
)
def test_refuses_wrong_groups(rows, offsets, group, message):
    index = [np.array(a, np.int32) for a in (rows, offsets, group)]
    with pytest.raises(ValueError, match=message):
        linear_backward_weight_rows(zeros(2, 3), zeros(2, 4), *index)


def test_refuses_overlap():
    x = Tensor.zeros((4, 4))
    with pytest.raises(ValueError, match="y must not overlap x"):
        _core.linear_forward(
            x, Tensor.zeros((4, 4)), None, x, Tensor.zeros((1 << 20,), "uint8"), False
        )
