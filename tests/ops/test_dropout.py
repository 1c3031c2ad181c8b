"""Dropout: the generator, the mask, both forms, inference, gradients, refuses."""

from __future__ import annotations

import numpy as np
import pytest

from eager_context import gradients
from helpers import (
    array,
    assert_close,
    assert_exact,
    assert_vector,
    integers,
    normal,
    shifted,
    vectors,
)
from reference.philox import dropout_mask as reference_mask
from reference.philox import philox
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec
from sentei.ops import (
    DROPOUT,
    MASK_MULTIPLY,
    SCALE,
    dropout_backward,
    dropout_forward,
    dropout_mask,
    mask_multiply_forward,
    scale_forward,
)
from sentei.tensor import Tensor

SHAPES = [(1,), (3, 37), (2, 5, 7, 13), (1, 1, 1, 1), (0, 4), (3, 28, 28, 32), (16384 + 5,)]
ZERO = ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]
ONES = ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]


def rng_of(seed, step):
    return np.array([seed, step], np.int64)


def test_known_answers_of_philox():
    assert [f"{w:08x}" for w in _core.philox(0, 0, 0, 0)] == ZERO
    full = 2**64 - 1
    assert [f"{w:08x}" for w in _core.philox(full, 2**32 - 1, 2**32 - 1, full)] == ONES
    assert [f"{int(w):08x}" for w in philox((0, 0, 0, 0), (0, 0))] == ZERO


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("keep", [0.5, 0.8, 1.0, 2.0**-24])
def test_mask_equals_reference(shape, keep):
    for seed, step, stream in [(0, 0, 0), (20261120, 3, 7), (-5, 2**32 + 1, 2**32 - 1)]:
        got = dropout_mask(shape, rng_of(seed, step), keep=keep, stream=stream)
        assert_exact(got, reference_mask(shape, seed, step, keep, stream))


def test_mask_is_kept_as_often_as_asked():
    n = 1 << 20
    for keep in (0.1, 0.5, 0.9):
        mask = np.asarray(dropout_mask((n,), rng_of(1, 1), keep=keep, stream=0))
        deviation = np.sqrt(keep * (1 - keep) / n)
        assert abs(mask.mean() - keep) < 5 * deviation


@pytest.mark.devices
def test_masks_differ_by_seed_step_and_stream():
    base = array(dropout_mask((1000,), rng_of(1, 1), keep=0.5, stream=1))
    for seed, step, stream in [(2, 1, 1), (1, 2, 1), (1, 1, 2)]:
        other = array(dropout_mask((1000,), rng_of(seed, step), keep=0.5, stream=stream))
        assert 400 < (base != other).sum() < 600


@pytest.mark.usefixtures("threads")
def test_mask_knows_neither_threads_nor_what_follows():
    rng = rng_of(9, 4)
    _core.set_threads(1)
    one = np.asarray(dropout_mask((100, 1001), rng, keep=0.5, stream=2))
    _core.set_threads(3)
    np.testing.assert_array_equal(dropout_mask((100, 1001), rng, keep=0.5, stream=2), one)
    # the first samples draw the same in a smaller batch
    np.testing.assert_array_equal(dropout_mask((7, 1001), rng, keep=0.5, stream=2), one[:7])


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("inverted", [False, True])
def test_exact(rng, shape, inverted):
    x, state = integers(rng, shape), rng_of(11, 5)
    mask = reference_mask(shape, 11, 5, 0.25, 3)
    factor = 4.0 if inverted else 1.0
    y = dropout_forward(x, state, keep=0.25, stream=3, inverted=inverted)
    assert_exact(y, x * mask * factor)
    dx = dropout_backward(x, state, keep=0.25, stream=3, inverted=inverted)
    assert_exact(dx, x * mask * factor)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("inverted", [False, True])
def test_close_and_gradient(rng, shape, inverted):
    x, dy, state = normal(rng, shape), normal(rng, shape), rng_of(2, 2)
    mask = reference_mask(shape, 2, 2, 0.7, 1) / (0.7 if inverted else 1.0)
    attrs = {"keep": 0.7, "stream": 1, "inverted": inverted}
    assert_close(dropout_forward(x, state, **attrs), x * mask)
    dx, drng = gradients(DROPOUT, {"x": x, "rng": state}, [dy], **attrs)
    assert drng is None
    assert_close(dx, dy * mask)


@pytest.mark.devices
def test_reads_the_step_when_it_runs(rng, device):
    x, state = normal(rng, (100,)), Tensor.from_numpy(rng_of(1, 1)).to(device)
    first = array(dropout_forward(x, state, keep=0.5, stream=0)).copy()
    state.copy_from(rng_of(1, 2))
    assert (array(dropout_forward(x, state, keep=0.5, stream=0)) != first).any()


@pytest.mark.devices
def test_non_finite_numbers_are_not_hidden():
    x = np.full(64, np.nan, np.float32)
    assert np.isnan(array(dropout_forward(x, rng_of(0, 0), keep=0.5, stream=0))).all()


@pytest.mark.devices
def test_in_place_and_at_any_address(rng, device):
    x, state = normal(rng, (5, 13)), Tensor.from_numpy(rng_of(3, 3)).to(device)
    want = array(dropout_forward(x, state, keep=0.5, stream=0))
    for t in (Tensor.from_numpy(x).to(device), shifted(x, device)):
        _core.dropout_forward(t, state, t, 0.5, 0, False)
        np.testing.assert_array_equal(array(t), want)
    mask = shifted(x, device)
    _core.dropout_mask(state, mask, 0.5, 0)
    np.testing.assert_array_equal(array(mask), want == x)


@pytest.mark.devices
def test_devices_draw_the_same_bits(device):
    """More numbers than one sweep of a grid draws."""
    if device == "cpu":
        pytest.skip("there is no other device")
    state = Tensor.from_numpy(rng_of(-7, 12))
    shape = (9_000_001,)
    here = dropout_mask(shape, state, keep=0.3, stream=5)
    there = array(dropout_mask(shape, rng_of(-7, 12), keep=0.3, stream=5))
    np.testing.assert_array_equal(there, np.asarray(here))


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_scale_and_mask_multiply(rng, shape):
    x, mask = integers(rng, shape), rng.integers(0, 2, shape).astype(np.float32)
    assert_exact(scale_forward(x, factor=0.5), x * 0.5)
    assert_exact(mask_multiply_forward(x, mask, factor=4.0), x * mask * 4.0)
    r, dy = normal(rng, shape), normal(rng, shape)
    assert_close(scale_forward(r, factor=0.3), r * 0.3)
    assert_close(mask_multiply_forward(r, mask, factor=0.3), r * mask * 0.3)
    (dx,) = gradients(SCALE, {"x": r}, [dy], factor=0.3)
    assert_close(dx, dy * 0.3)
    dx, dmask = gradients(MASK_MULTIPLY, {"x": r, "mask": mask}, [dy], factor=0.3)
    assert dmask is None
    assert_close(dx, dy * mask * 0.3)


@pytest.mark.devices
@pytest.mark.parametrize("case", ["dropout", "dropout_8"])
def test_reference_vectors(case):
    v = vectors("dense")
    x, mask, dy = (v[f"{case}.{q}"] for q in ("x", "mask", "dy"))
    keep = float(v[f"{case}.keep"])
    for prefix, factor in [("", 1.0), ("inverted.", 1 / keep)]:
        assert_vector(
            mask_multiply_forward(x, mask, factor=factor), v[f"{case}.{prefix}train.y"], 1e-5
        )
        dx = gradients(MASK_MULTIPLY, {"x": x, "mask": mask}, [dy], factor=factor)[0]
        assert_vector(dx, v[f"{case}.{prefix}train.dx"], 1e-5)
    assert_vector(scale_forward(x, factor=keep), v[f"{case}.eval.y"], 1e-5)
    assert_vector(x, v[f"{case}.inverted.eval.y"], 1e-5)


@pytest.mark.parametrize("op", [DROPOUT, SCALE, MASK_MULTIPLY])
def test_facts(op):
    spec = Spec((2, 5, 5, 13))
    (tie,) = op.ties({"x": spec}, {"y": spec}, {})
    assert (tie.a, tie.b, tie.ia, tie.ib) == (("x", 3), ("y", 3), None, None)
    assert op.zero_preserving


X = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("rng_in", "attrs", "error", "message"),
    [
        (rng_of(0, 0), {"keep": 0.0, "stream": 0}, ValueError, r"keep must be in \(0, 1\], got 0"),
        (rng_of(0, 0), {"keep": 1.5, "stream": 0}, ValueError, r"keep must be in \(0, 1\]"),
        (rng_of(0, 0), {"keep": np.nan, "stream": 0}, ValueError, r"keep must be in \(0, 1\]"),
        (rng_of(0, 0), {"keep": 0.5, "stream": -1}, ValueError, r"stream must be in \[0, 2\^32\)"),
        (rng_of(0, 0), {"keep": 0.5, "stream": 2**32}, ValueError, r"stream must be in"),
        (
            np.zeros(3, np.int64),
            {"keep": 0.5, "stream": 0},
            ShapeError,
            r"rng must have shape \(2,\)",
        ),
        (
            np.zeros(2, np.int32),
            {"keep": 0.5, "stream": 0},
            DTypeError,
            "rng must be int64, got int32",
        ),
    ],
)
def test_refuses(rng_in, attrs, error, message):
    with pytest.raises(error, match=f"dropout_forward: {message}"):
        dropout_forward(X, rng_in, **attrs)
    with pytest.raises(error, match=f"dropout_backward: {message}"):
        dropout_backward(X, rng_in, **attrs)
    with pytest.raises(error, match=f"dropout_mask: {message}"):
        dropout_mask((2, 3), rng_in, **attrs)


def test_refuses_dtypes_shapes_and_factors():
    with pytest.raises(DTypeError, match="dropout_forward: x must be float32, got float64"):
        dropout_forward(np.zeros(3), rng_of(0, 0), keep=0.5, stream=0)
    with pytest.raises(DTypeError, match="scale_forward: x must be float32, got int64"):
        scale_forward(np.zeros(3, np.int64), factor=1.0)
    with pytest.raises(ShapeError, match=r"mask must have shape \(2, 3\), got \(3, 2\)"):
        mask_multiply_forward(X, np.zeros((3, 2), np.float32))
    with pytest.raises(DTypeError, match="mask must be float32, got uint8"):
        mask_multiply_forward(X, np.zeros((2, 3), np.uint8))
    for f in (np.inf, np.nan):
        with pytest.raises(ValueError, match="scale_forward: factor must be a finite number"):
            scale_forward(X, factor=f)
        with pytest.raises(
            ValueError, match="mask_multiply_forward: factor must be a finite number"
        ):
            mask_multiply_forward(X, X, factor=f)
