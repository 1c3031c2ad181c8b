"""Sparse regulariser: exact, close, gradient, refuses; both forms; reference vectors."""

from __future__ import annotations

import numpy as np
import pytest

import reference.sparse_penalty as reference
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
from sentei.ops import SPARSE_PENALTY, sparse_penalty_backward, sparse_penalty_forward
from sentei.tensor import Tensor

SHAPES = [
    (1, 1),
    (3, 37),
    (2, 5, 7, 13),
    (1, 1, 1, 1),
    (6, 9, 9, 100),
    (3, 30, 30, 32),
    (2, 25, 25, 3),
]
FORMS = ["neuron", "channel"]
ONE = np.ones(1, np.float32)


@pytest.mark.devices
@pytest.mark.parametrize("form", FORMS)
def test_exact(form):
    """u of 0 and 1 with power-of-two counts: the gradient is a whole fraction."""
    u = np.zeros((2, 2, 2, 4), np.float32)
    assert_exact(sparse_penalty_forward(u, lam=3.0, form=form), np.zeros(1))
    assert_exact(sparse_penalty_backward(u, ONE, lam=3.0, form=form), np.zeros_like(u, float))
    u[0, 0, 0, 1] = u[1, 1, 0, 2] = 1
    want = reference.gradient(u, 4.0, form)
    assert want.max() == 4 / 32
    assert_exact(sparse_penalty_backward(u, ONE, lam=4.0, form=form), want)


@pytest.mark.devices
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1e-4, 1.0, 300.0])
def test_close_and_gradient(rng, shape, form, size):
    u, dvalue = normal(rng, shape) * np.float32(size), np.array([0.7], np.float32)
    want = np.array([reference.value(u, 0.3, form)])
    # log(1 + q) of small q is q: relative figures must survive the sum and the shared logarithms
    assert_close(sparse_penalty_forward(u, lam=0.3, form=form), want, terms=4)
    (du,) = gradients(SPARSE_PENALTY, {"u": u}, [dvalue], lam=0.3, form=form)
    assert_close(du, 0.7 * reference.gradient(u, 0.3, form), terms=4)


@pytest.mark.devices
@pytest.mark.parametrize("form", FORMS)
def test_gradient_against_differences(rng, form):
    u = normal(rng, (2, 3, 3, 5))
    du = array(sparse_penalty_backward(u, ONE, lam=2.0, form=form))
    for i in np.ndindex(u.shape):
        d = central_difference(lambda v: reference.value(v, 2.0, form), u, i)
        assert abs(du[i] - d) < 1e-6


@pytest.mark.devices
@pytest.mark.parametrize("shape", [(0, 4), (3, 0, 0, 2)])
@pytest.mark.parametrize("form", FORMS)
def test_empty(form, shape):
    u = np.zeros(shape, np.float32)
    assert_exact(sparse_penalty_forward(u, lam=1.0, form=form), np.zeros(1))
    assert array(sparse_penalty_backward(u, ONE, lam=1.0, form=form)).shape == shape


@pytest.mark.devices
def test_huge_numbers_do_not_overflow(rng):
    u = normal(rng, (4, 500))
    u.ravel()[[0, 17, 300]] = [3e38, -1e25, 1e12]
    want = np.array([reference.value(u, 1.0, "neuron")])
    assert_close(sparse_penalty_forward(u, lam=1.0), want, terms=4)
    du = array(sparse_penalty_backward(u, ONE, lam=1.0))
    assert_close(du, reference.gradient(u, 1.0, "neuron"), terms=4)
    u[2, 2] = np.inf
    assert array(sparse_penalty_forward(u, lam=1.0))[0] == np.inf
    u[2, 2] = np.nan
    assert np.isnan(array(sparse_penalty_forward(u, lam=1.0))).all()


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("form", FORMS)
def test_threads_change_nothing(rng, form):
    u = normal(rng, (7, 40, 40, 70))
    _core.set_threads(1)
    one = array(sparse_penalty_forward(u, lam=1.0, form=form))
    _core.set_threads(3)
    np.testing.assert_array_equal(sparse_penalty_forward(u, lam=1.0, form=form), one)


@pytest.mark.devices
@pytest.mark.parametrize("form", FORMS)
def test_in_place(rng, device, form):
    u = normal(rng, (3, 5, 5, 37))
    t = Tensor.from_numpy(u).to(device)
    _core.sparse_penalty_backward(t, Tensor.from_numpy(ONE).to(device), t, 1.0, form)
    want = sparse_penalty_backward(u, ONE, lam=1.0, form=form)
    np.testing.assert_array_equal(array(t), array(want))


@pytest.mark.devices
@pytest.mark.parametrize("form", FORMS)
def test_memory_not_aligned_for_vectors(rng, device, form):
    u = normal(rng, (3, 40))
    t = Tensor.empty((121,), device=device).view((3, 40), 4)
    t.copy_from(u)
    assert_close(
        sparse_penalty_forward(t, lam=1.0, form=form), [reference.value(u, 1.0, form)], terms=4
    )
    du = sparse_penalty_backward(t, ONE, lam=1.0, form=form)
    assert_close(du, reference.gradient(u, 1.0, form), terms=4)


@pytest.mark.devices
@pytest.mark.parametrize("form", FORMS)
def test_twice_the_same_bits(rng, form):
    u = normal(rng, (3, 40, 40, 20))
    a, b = (array(sparse_penalty_forward(u, lam=1.0, form=form)) for _ in range(2))
    assert a.tobytes() == b.tobytes()


@pytest.mark.devices
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", cases("sparse"))
def test_reference_vectors(case, form):
    v = vectors("sparse")
    u, lam = v[f"{case}.u"], float(v[f"{case}.lambda"])
    value = sparse_penalty_forward(u, lam=lam, form=form)
    assert_vector(value, v[f"{case}.{form}.value"].reshape(1), 1e-5)
    du = sparse_penalty_backward(u, ONE, lam=lam, form=form)
    assert_vector(du, v[f"{case}.{form}.grad"], 1e-5)
    each = [
        array(sparse_penalty_forward(u[i : i + 1], lam=1.0, form=form))[0] for i in range(len(u))
    ]
    assert_vector(each, v[f"{case}.{form}.per_sample"], 1e-5)


def test_refuses():
    u = np.zeros((2, 3), np.float32)
    with pytest.raises(
        ShapeError, match=r"u must have 2 to 4 axes \(N, ..., C\), got shape \(6,\)"
    ):
        sparse_penalty_forward(np.zeros(6, np.float32), lam=1.0)
    with pytest.raises(ValueError, match="form must be 'neuron' or 'channel', got 'layer'"):
        sparse_penalty_forward(u, lam=1.0, form="layer")
    with pytest.raises(ValueError, match="form must be 'neuron' or 'channel', got 'layer'"):
        sparse_penalty_backward(u, ONE, lam=1.0, form="layer")
    for lam in (-1.0, np.nan):
        with pytest.raises(
            ValueError, match="sparse_penalty_forward: lam must be a finite number >= 0"
        ):
            sparse_penalty_forward(u, lam=lam)
        with pytest.raises(
            ValueError, match="sparse_penalty_backward: lam must be a finite number"
        ):
            sparse_penalty_backward(u, ONE, lam=lam)
    with pytest.raises(DTypeError, match="u must be float32, got float64"):
        sparse_penalty_forward(np.zeros((2, 3)), lam=1.0)
    with pytest.raises(ShapeError, match=r"dvalue must have shape \(1,\), got \(2,\)"):
        sparse_penalty_backward(u, np.ones(2, np.float32), lam=1.0)
    with pytest.raises(ShapeError, match=r"2 to 4 axes .*, got 5"):
        _core.sparse_penalty_workspace([2, 3, 4, 5, 6], "neuron")
    with pytest.raises(ShapeError, match="workspace must have at least 8 bytes, got 4"):
        _core.sparse_penalty_forward(
            Tensor.borrow(u), Tensor.zeros((1,)), 1.0, "neuron", Tensor.empty((4,), "uint8")
        )
