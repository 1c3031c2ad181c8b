"""Discriminant regulariser: exact, close, gradient, refuses; degenerate classes; vectors."""

from __future__ import annotations

import numpy as np
import pytest

import reference.discriminant_penalty as reference
from eager_context import gradients
from helpers import (
    array,
    assert_close,
    assert_exact,
    assert_vector,
    cases,
    central_difference,
    normal,
    vectors,
)
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.ops import (
    DISCRIMINANT_PENALTY,
    discriminant_penalty_backward,
    discriminant_penalty_forward,
)
from sentei.tensor import Tensor

ONE = np.ones(1, np.float32)
SIZES = [(1, 1), (8, 3), (13, 37), (100, 10), (64, 100), (5, 1), (33, 32)]


@pytest.mark.devices
def test_exact():
    """Two classes of two: means and squares are whole."""
    y = np.array([[1, 0], [3, 4], [-3, 0], [-1, 4]], np.float32)
    labels = np.array([0, 0, 1, 1])
    value, within, total, ratio = discriminant_penalty_forward(y, labels, lam=5.0)
    assert_exact(within, np.array([1.0, 4.0]))
    assert_exact(total, np.array([5.0, 4.0]))
    np.testing.assert_array_equal(array(ratio), np.array([0.2, 1.0], np.float32))
    assert_exact(value, np.array([6.0]))
    dy = array(discriminant_penalty_backward(y, labels, ONE, lam=50.0))
    assert_exact(dy[:, 1], np.zeros(4))
    assert_close(dy[:, 0], 50 * 2 / 20 * np.array([-1.2, 0.4, -0.4, 1.2]))


@pytest.mark.devices
@pytest.mark.parametrize(("n", "k"), SIZES)
def test_close_and_gradient(rng, n, k):
    y, labels = normal(rng, (n, k)), rng.integers(0, k, n)
    dvalue = np.array([0.7], np.float32)
    w, t, ratio, grad = reference.forward(y, labels)
    got = discriminant_penalty_forward(y, labels, lam=0.3)
    for a, b in zip(got, (np.array([0.3 * ratio.sum()]), w, t, ratio), strict=True):
        assert_close(a, b)
    dout = [dvalue, None, None, None]
    dy, dlabels = gradients(DISCRIMINANT_PENALTY, {"y": y, "labels": labels}, dout, lam=0.3)
    assert dlabels is None
    assert_close(dy, 0.3 * 0.7 * grad)
    nothing = gradients(DISCRIMINANT_PENALTY, {"y": y, "labels": labels}, [None] * 4, lam=0.3)
    assert nothing == [None, None]


@pytest.mark.devices
def test_gradient_against_differences(rng):
    y, labels = normal(rng, (9, 4)), np.array([0, 1, 2, 0, 1, 2, 0, 3, 3])
    dy = array(discriminant_penalty_backward(y, labels, ONE, lam=1.0))
    for i in np.ndindex(y.shape):
        d = central_difference(lambda v: float(reference.forward(v, labels)[2].sum()), y, i)
        assert abs(dy[i] - d) < 1e-6


@pytest.mark.devices
def test_absent_and_only_classes_are_exactly_one(rng):
    y = normal(rng, (1000, 5)) + np.float32(300)
    labels = np.full(1000, 2)
    _, within, total, ratio = discriminant_penalty_forward(y, labels, lam=1.0)
    assert_exact(ratio, np.ones(5))
    np.testing.assert_array_equal(array(within), array(total))
    assert_exact(discriminant_penalty_backward(y, labels, ONE, lam=1.0), np.zeros((1000, 5)))


@pytest.mark.devices
def test_empty_batch():
    y, labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    value, within, _, ratio = discriminant_penalty_forward(y, labels, lam=0.5)
    assert_exact(value, np.array([2.0]))
    assert_exact(ratio, np.ones(4))
    assert_exact(within, np.zeros(4))
    assert array(discriminant_penalty_backward(y, labels, ONE, lam=0.5)).shape == (0, 4)


@pytest.mark.devices
@pytest.mark.parametrize("k", [3, 40])
def test_a_label_out_of_range(rng, device, k):
    """The cpu refuses it; elsewhere all is NaN."""
    y, labels = normal(rng, (6, k)), np.array([0, 1, -1, 2, k, 0])
    if device == "cpu":
        with pytest.raises(ValueError, match="labels must be in"):
            discriminant_penalty_forward(y, labels, lam=1.0)
        return
    for t in discriminant_penalty_forward(y, labels, lam=1.0):
        assert np.isnan(array(t)).all()
    assert np.isnan(array(discriminant_penalty_backward(y, labels, ONE, lam=1.0))).all()


@pytest.mark.devices
def test_in_place(rng, device):
    y, labels = normal(rng, (40, 37)), rng.integers(0, 37, 40)
    t, rest = Tensor.from_numpy(y).to(device), [Tensor.from_numpy(labels), Tensor.from_numpy(ONE)]
    scratch = Tensor.empty((_core.discriminant_penalty_workspace(37),), "uint8", device=device)
    _core.discriminant_penalty_backward(t, *(r.to(device) for r in rest), t, 0.5, scratch)
    want = discriminant_penalty_backward(y, labels, ONE, lam=0.5)
    np.testing.assert_array_equal(array(t), array(want))


@pytest.mark.usefixtures("threads")
def test_threads_change_nothing(rng):
    y, labels = normal(rng, (300, 100)), rng.integers(0, 100, 300)
    _core.set_threads(1)
    one = [array(t) for t in discriminant_penalty_forward(y, labels, lam=1.0)]
    _core.set_threads(3)
    for got, want in zip(discriminant_penalty_forward(y, labels, lam=1.0), one, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.devices
@pytest.mark.parametrize("case", cases("discriminant"))
def test_reference_vectors(case):
    v = vectors("discriminant")
    y, labels, lam = v[f"{case}.y"], v[f"{case}.labels"], float(v[f"{case}.lambda"])
    tol = 1e-4 if case == "offset" else 1e-5
    value, within, total, ratio = discriminant_penalty_forward(y, labels, lam=lam)
    assert_vector(within, v[f"{case}.W"], tol)
    assert_vector(total, v[f"{case}.T"], tol)
    assert_vector(ratio, v[f"{case}.ratio"], tol)
    assert_vector(value, lam * v[f"{case}.G"].reshape(1), tol)
    grad = discriminant_penalty_backward(y, labels, ONE, lam=1.0)
    assert_vector(grad, v[f"{case}.grad_G"], tol)


Y, LABELS = np.zeros((2, 3), np.float32), np.array([0, 2])


@pytest.mark.parametrize(
    ("y", "labels", "lam", "error", "message"),
    [
        (np.zeros(6, np.float32), LABELS, 1.0, ShapeError, r"y must have 2 axes, got shape \(6,\)"),
        (np.zeros((2, 3)), LABELS, 1.0, DTypeError, "y must be float32, got float64"),
        (Y, np.array([0, 1, 2]), 1.0, ShapeError, r"labels must have shape \(2,\), got \(3,\)"),
        (Y, LABELS.astype(np.int32), 1.0, DTypeError, "labels must be int64, got int32"),
        (Y, np.array([0, 3]), 1.0, ValueError, r"labels must be in \[0, 3\), got 3 at 1"),
        (Y, np.array([-1, 0]), 1.0, ValueError, r"labels must be in \[0, 3\), got -1 at 0"),
        (Y, LABELS, -1.0, ValueError, "lam must be a finite number >= 0, got -1"),
    ],
)
def test_refuses(y, labels, lam, error, message):
    with pytest.raises(error, match=f"discriminant_penalty_forward: {message}"):
        discriminant_penalty_forward(y, labels, lam=lam)
    with pytest.raises(error, match=f"discriminant_penalty_backward: {message}"):
        discriminant_penalty_backward(y, labels, ONE, lam=lam)


def test_refuses_dvalue_and_workspace():
    with pytest.raises(ShapeError, match=r"dvalue must have shape \(1,\), got \(2,\)"):
        discriminant_penalty_backward(Y, LABELS, np.ones(2, np.float32), lam=1.0)
    t, k = Tensor.borrow(Y), [Tensor.zeros((3,)) for _ in range(3)]
    with pytest.raises(ShapeError, match="workspace must have at least 144 bytes, got 4"):
        _core.discriminant_penalty_forward(
            t, Tensor.borrow(LABELS), Tensor.zeros((1,)), *k, 1.0, Tensor.empty((4,), "uint8")
        )
