"""linear with a lazily kept weight: exact, close, every tile, refuses, rows out of range, threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import array, assert_close, assert_exact, integers, normal, shifted
from reference import linear as ref
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.ops import linear_lazy_backward_input, linear_lazy_forward
from sentei.tensor import Tensor

F64 = np.float64
#        N    I     O
SIZES = [
    (1, 1, 1),
    (1, 64, 64),
    (3, 37, 13),
    (7, 130, 70),
    (8, 33, 5),
    (0, 4, 3),
    (6, 64, 1),
    (100, 64, 10),
    (100, 130, 70),
    (13, 1500, 65),
    (33, 129, 200),
    (16, 4, 0),
    (16, 0, 4),
]
# On a GPU these take every tile of both passes, with vectors and without, whole and split.
DEVICE_SIZES = [
    (33792, 3, 3),
    (33792, 4, 4),
    (8192, 65, 3),
    (8192, 64, 200),
    (8192, 65, 200),
    (8192, 200, 64),
    (260, 260, 512),
    (33792, 4, 33),
    (33792, 33, 4),
    (33792, 3, 33),
    (33792, 33, 3),
    (33792, 48, 4),
    (33792, 4, 48),
    (3, 2050, 384),
    (3, 384, 2050),
    (3, 1024, 2048),
    (3, 1023, 2047),
    (8192, 200, 4),
    (8192, 4, 200),
    (8192, 3, 200),
    (8192, 200, 3),
    (12000, 5, 33),
]


def lazily(rng, o, i, make=integers, coef=None):
    """w, v, coef, group_of, and the weight that counts in float64."""
    groups = max(1, round(o**0.5))
    w, v = make(rng, (o, i), 2), make(rng, (o, i), 2)
    if coef is None:
        coef = rng.integers(0, 3, (groups, 2)).astype(np.float32)
    of = rng.integers(0, groups, o).astype(np.int32)
    return (w, v, coef, of), w.astype(F64) + coef.astype(F64)[of, 1:] * v


def real(rng, shape, _):
    return normal(rng, shape)


@pytest.mark.devices
@pytest.mark.parametrize("size", SIZES + DEVICE_SIZES, ids=str)
def test_exact(rng, size):
    n, i, o = size
    weight, w = lazily(rng, o, i)
    x, b, dy = (integers(rng, s, 2) for s in ((n, i), (o,), (n, o)))
    assert_exact(linear_lazy_forward(x, *weight, b), ref.forward(x, w, b))
    relu = linear_lazy_forward(x, *weight, b, relu=True)
    assert_exact(relu, np.maximum(ref.forward(x, w, b), 0))
    assert_exact(linear_lazy_forward(x, *weight), ref.forward(x, w))
    assert_exact(linear_lazy_backward_input(dy, *weight), ref.backward_input(dy, w))


@pytest.mark.devices
@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 40), st.integers(1, 150), st.integers(1, 150), st.integers(0, 2**32 - 1))
def test_exact_on_random_sizes(n, i, o, seed):
    test_exact(np.random.default_rng(seed), (n, i, o))


@pytest.mark.devices
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_close(rng, size):
    n, i, o = size
    coef = rng.uniform(0, 9, (max(1, round(o**0.5)), 2)).astype(np.float32)
    weight, w = lazily(rng, o, i, real, coef)
    x, b, dy = (normal(rng, s) for s in ((n, i), (o,), (n, o)))
    assert_close(linear_lazy_forward(x, *weight, b), ref.forward(x, w, b), i + 1)
    assert_close(linear_lazy_backward_input(dy, *weight), ref.backward_input(dy, w), o)


@pytest.mark.devices
def test_memory_that_is_not_aligned(rng, device):
    weight, w = lazily(rng, 40, 24)
    x, dy = integers(rng, (20, 24), 2), integers(rng, (20, 40), 2)
    moved = [shifted(a, device) for a in weight]
    assert_exact(linear_lazy_forward(shifted(x, device), *moved), ref.forward(x, w))
    assert_exact(linear_lazy_backward_input(shifted(dy, device), *moved), ref.backward_input(dy, w))


@pytest.mark.devices
@pytest.mark.parametrize("wrong", [4, -1, 2**31 - 1])
def test_a_group_out_of_range(rng, device, wrong):
    """The cpu refuses it; elsewhere what the row takes part in is NaN."""
    (w, v, coef, of), full = lazily(rng, 16, 12)
    of[5] = wrong
    x, dy = integers(rng, (10, 12), 2), integers(rng, (10, 16), 2)
    if device == "cpu":
        with pytest.raises(ValueError, match=r"group_of must lie in \[0, 4\), got"):
            linear_lazy_forward(x, w, v, coef, of)
        with pytest.raises(ValueError, match=r"group_of must lie in \[0, 4\), got"):
            linear_lazy_backward_input(dy, w, v, coef, of)
        return
    y = array(linear_lazy_forward(x, w, v, coef, of))
    rest = np.arange(16) != 5
    assert np.isnan(y[:, 5]).all()
    assert_exact(np.ascontiguousarray(y[:, rest]), ref.forward(x, full[rest]))
    assert np.isnan(array(linear_lazy_backward_input(dy, w, v, coef, of))).all()


@pytest.mark.devices
@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_precision(rng, device, precision):
    """Rounded operands of the weight that counts; whole numbers this small are not rounded."""
    weight, w = lazily(rng, 33, 20)
    x, b, dy = (integers(rng, s, 2) for s in ((17, 20), (33,), (17, 33)))
    if device == "cpu" and precision == "tf32":
        with pytest.raises(ValueError, match=r"precision must be .* on cpu, got "):
            linear_lazy_forward(x, *weight, precision=precision)
        return
    got = linear_lazy_forward(x, *weight, b, relu=True, precision=precision)
    assert_exact(got, np.maximum(ref.forward(x, w, b), 0))
    got = linear_lazy_backward_input(dy, *weight, precision=precision)
    assert_exact(got, ref.backward_input(dy, w))


def test_bits_do_not_depend_on_threads(rng, threads):
    weight, _ = lazily(rng, 300, 400, real, rng.uniform(0, 9, (17, 2)).astype(np.float32))
    x, dy = normal(rng, (100, 400)), normal(rng, (100, 300))
    found = []
    for n in (1, 3):
        _core.set_threads(n)
        y, dx = linear_lazy_forward(x, *weight), linear_lazy_backward_input(dy, *weight)
        found.append(array(y).tobytes() + array(dx).tobytes())
    assert found[0] == found[1]


GOOD = {
    "x": np.ones((2, 3), np.float32),
    "w": np.ones((4, 3), np.float32),
    "v": np.ones((4, 3), np.float32),
    "coef": np.ones((2, 2), np.float32),
    "group_of": np.zeros(4, np.int32),
    "b": np.ones(4, np.float32),
}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": np.ones((2, 3))}, DTypeError, "x must be float32, got float64"),
        ({"x": np.ones((2, 4), np.float32)}, ShapeError, r"w must have shape \(O, 4\) to match x"),
        ({"v": np.ones((4, 2), np.float32)}, ShapeError, r"v must have shape \(4, 3\)"),
        ({"coef": np.ones((2, 3), np.float32)}, ShapeError, r"coef must have shape \(G, 2\)"),
        ({"coef": np.ones((2, 2))}, DTypeError, "coef must be float32"),
        ({"group_of": np.zeros(3, np.int32)}, ShapeError, r"group_of must have shape \(4,\)"),
        ({"group_of": np.zeros(4, np.int64)}, DTypeError, "group_of must be int32, got int64"),
        ({"b": np.ones(3, np.float32)}, ShapeError, r"b must have shape \(4,\)"),
    ],
)
def test_refuses(change, error, message):
    with pytest.raises(error, match=message):
        linear_lazy_forward(**{**GOOD, **change})


def test_refuses_dy_that_does_not_fit_and_shared_memory():
    weight = [GOOD[k] for k in ("w", "v", "coef", "group_of")]
    with pytest.raises(ShapeError, match=r"dy must have shape \(N, 4\)"):
        linear_lazy_backward_input(np.ones((2, 3), np.float32), *weight)
    tensors = [Tensor.from_numpy(a) for a in weight]
    y = Tensor.zeros((3, 3))
    with pytest.raises(ShapeError, match=r"dy must have shape \(3, 4\)"):
        _core.linear_lazy_backward_input(y, *tensors, y, None)
    scratch = Tensor.empty((4096,), "uint8")
    with pytest.raises(ValueError, match="y must not overlap v"):
        _core.linear_lazy_forward(
            Tensor.zeros((3, 3)), *tensors, None, tensors[1].view((3, 4)), scratch, False
        )
    with pytest.raises(ValueError, match="pass must be forward or backward_input, got dw"):
        _core.linear_lazy_workspace("dw", 1, 1, 1)
