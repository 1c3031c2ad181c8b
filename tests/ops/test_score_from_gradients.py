"""Batch sums of x . g from parameters and gradients: exact, close, refuses, threads, and the identity."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close, assert_exact, integers, normal, shifted
from reference import scores as ref
from sentei import _core, ops
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec
from sentei.tensor import Tensor

# Rows of one number, of a thread, of a warp, of a block; aligned to 16 bytes and not.
LISTS = [
    [((13,), True)],
    [((1,), False), ((300,), True)],
    [((37, 3, 3, 1), True), ((5, 1, 1, 31), False)],
    [((9, 32), True), ((70, 3, 3, 8), False), ((3, 37), True)],
    [((3, 2048), True), ((2, 3, 3, 229), False), ((2, 5000), True)],
    [((2,), True)] * 65,  # more than a launch holds
    [((0, 4), True), ((4,), True)],
]


def layers_of(rng, sizes, draw):
    return [
        (draw(rng, s), draw(rng, s), *((draw(rng, s[:1]), draw(rng, s[:1])) if b else ()))
        for s, b in sizes
    ]


def small(rng, shape):
    return integers(rng, shape, 2)


@pytest.mark.devices
@pytest.mark.parametrize("sizes", LISTS, ids=range(len(LISTS)))
def test_exact(rng, sizes):
    layers = layers_of(rng, sizes, small)
    want = ref.from_gradients(layers)
    stats = np.zeros_like(want)
    for times in (1, 2):  # it adds to what is there
        assert ops.score_from_gradients(stats, *layers) is None
        assert_exact(stats, times * want)


@pytest.mark.devices
@pytest.mark.parametrize("sizes", LISTS[:5], ids=range(5))
def test_close(rng, sizes):
    layers = layers_of(rng, sizes, normal)
    want = ref.from_gradients(layers)
    stats = np.zeros_like(want)
    ops.score_from_gradients(stats, *layers)
    np.testing.assert_allclose(stats, want, rtol=1e-10, atol=1e-11)


@pytest.mark.devices
@pytest.mark.parametrize("shape", [(3, 64), (2, 4096)])
def test_memory_without_alignment(rng, shape, device):
    w, dw = small(rng, shape), small(rng, shape)
    stats = Tensor.zeros((2, shape[0]), "float64", device=device)
    ops.score_from_gradients(stats, (shifted(w, device), shifted(dw, device)))
    assert_exact(stats, ref.from_gradients([(w, dw)]))


@pytest.mark.devices
def test_same_bits_again_and_for_any_threads(rng, threads):
    layers = layers_of(rng, [((40, 3, 3, 100), True), ((64,), True)], normal)
    found = []
    for n in (1, 3, 3):
        _core.set_threads(n)
        stats = np.zeros((2, 104))
        ops.score_from_gradients(stats, *layers)
        found.append(stats.tobytes())
    assert len(set(found)) == 1


@pytest.mark.devices
@pytest.mark.parametrize("relu", [False, True])
def test_a_batch_norm_gives_the_sum_of_its_output_times_its_gradient(rng, relu):
    x, dy = normal(rng, (4, 5, 3, 13)), normal(rng, (4, 5, 3, 13))
    gamma, beta = normal(rng, (13,)), normal(rng, (13,))
    y, mean, rstd = ops.batch_norm_forward(
        x, gamma, beta, np.zeros(13, np.float32), np.ones(13, np.float32), relu=relu
    )
    _, dgamma, dbeta = ops.batch_norm_backward(
        dy, x, gamma, mean, rstd, beta if relu else None, relu=relu
    )
    stats = np.zeros((2, 13))
    ops.score_from_gradients(stats, *[[np.array(a.numpy() if isinstance(a, Tensor) else a)
                                       for a in (gamma, dgamma, beta, dbeta)]])  # fmt: skip
    exact = y.numpy().astype(np.float64) * dy
    assert_close(stats[0], exact.sum((0, 1, 2)), 60, float(np.abs(exact).sum((0, 1, 2)).max()))


def f32(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("stats", "layers", "error", "message"),
    [
        (np.zeros((2, 4)), [(f32(4, 3), f32(4, 2))], ShapeError, r"rows1 must have shape \(4, 3\)"),
        (
            np.zeros((2, 4)),
            [(f32(4, 3), f32(4, 3), f32(4), f32(3))],
            ShapeError,
            r"rows3 must have shape \(4,\), got \(3,\)",
        ),
        (np.zeros((3, 4)), [(f32(4), f32(4))], ShapeError, r"stats must have shape \(2, 4\)"),
        (np.zeros((2, 4)), [(f32(4), f32(4))] * 2, ShapeError, r"stats must have shape \(2, 8\)"),
        (np.zeros((2, 4)), [(f32(4), f32(4), f32(4))], ShapeError, "rows must hold 2 tensors"),
        (f32(2, 4), [(f32(4), f32(4))], DTypeError, "stats must be float64, got float32"),
        (np.zeros((2, 4)), [(f32(4), np.zeros(4))], DTypeError, "rows1 must be float32"),
    ],
)
def test_refuses(stats, layers, error, message):
    with pytest.raises(error, match=message):
        ops.score_from_gradients(stats, *layers)


def test_the_core_checks_by_itself():
    t = _core.Tensor.from_numpy
    row, stats = t(f32(4)), t(np.zeros((2, 4)))
    for rows, bias, message in (
        ([row], [False], "rows must hold 2 tensors for 1 layers, got 1"),
        ([row, t(f32(3))], [False], r"rows1 must have shape \(4,\), got \(3,\)"),
        ([row, row, row, row], [False, False], r"stats must have shape \(2, 8\)"),
    ):
        with pytest.raises(ShapeError, match=message):
            _core.score_from_gradients(stats, rows, bias)
    shared = t(np.zeros(16))
    own = shared.view((2, 4), 0, "float64")
    with pytest.raises(ValueError, match="stats must not overlap rows1"):
        _core.score_from_gradients(own, [row, shared.view((4,), 32, "float32")], [False])


def test_ties_place_the_rows_in_the_columns():
    specs = {
        "stats": Spec((2, 7)), "rows0": Spec((3, 2)), "rows1": Spec((3, 2)),
        "rows2": Spec((4,)), "rows3": Spec((4,)), "rows4": Spec((4,)), "rows5": Spec((4,)),
    }  # fmt: skip
    ties = ops.SCORE_FROM_GRADIENTS.ties(specs, {}, {"bias": (False, True)})
    columns = {t.a: t.ib.tolist() for t in ties if t.b == ("stats", 1)}
    assert columns == {("rows0", 0): [0, 1, 2], ("rows2", 0): [3, 4, 5, 6]}
    assert {(t.a, t.b) for t in ties if t.ib is None} == {
        (("rows0", 0), ("rows1", 0)), (("rows0", 1), ("rows1", 1)), (("rows2", 0), ("rows3", 0)),
        (("rows2", 0), ("rows4", 0)), (("rows2", 0), ("rows5", 0)),
    }  # fmt: skip
