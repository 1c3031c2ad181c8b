"""Sums behind the scores: exact, close, cut into batches, vectors, refuses, threads."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close, assert_exact, assert_vector, cases, integers, normal, vectors
from reference import scores as ref
from sentei import _core, ops
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec
from sentei.prune import importance

SHAPES = [
    (1, 1, 1, 1),
    (7, 13),
    (0, 4, 4, 3),
    (3, 5),
    (5, 7, 3, 37),
    (4, 20, 21, 13),
    (2, 33, 31, 1),
    (3, 6, 7, 200),
    (2, 1000),
    (70, 3, 3, 5),
    (40, 2, 2, 33),
]
LAYERS = [c for c in cases("scores") if f"{c}.x" in vectors("scores") and c != "net"]


def accumulators(shape):
    return np.zeros((6, shape[-1])), np.zeros(shape[1:]), np.zeros(shape[1:])


def accumulate(x, g, cuts=()):
    stats, sum_x, sum_g = accumulators(x.shape)
    for xs, gs in zip(np.split(x, cuts), np.split(g, cuts), strict=True):
        ops.score_accumulate(
            np.ascontiguousarray(xs), np.ascontiguousarray(gs), stats, sum_x, sum_g
        )
    mean_g = sum_g / max(1, len(x))
    second = np.zeros((2, x.shape[-1]))
    for xs in np.split(x, cuts):
        ops.trace_accumulate(np.ascontiguousarray(xs), mean_g, second)
    return stats, sum_x, sum_g, second


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_exact(rng, shape):
    x, g = integers(rng, shape, 2), integers(rng, shape, 2)
    want = ref.sums(x, g)
    stats, sum_x, sum_g = accumulators(shape)
    for times in (1, 2):  # it adds to what is there
        assert ops.score_accumulate(x, g, stats, sum_x, sum_g) is None
        for got, expected in zip((stats, sum_x, sum_g), want, strict=True):
            assert_exact(got, times * expected)
    mean_g = integers(rng, shape[1:], 2).astype(np.float64)
    second = np.zeros((2, shape[-1]))
    ops.trace_accumulate(x, mean_g, second)
    assert_exact(second, ref.trace_sums(x, mean_g))


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_close(rng, shape):
    x, g = normal(rng, shape), normal(rng, shape)
    stats, sum_x, sum_g, second = accumulate(x, g)
    want_stats, want_x, want_g = ref.sums(x, g)
    for got, expected in zip(stats, want_stats, strict=True):  # each row has its own scale
        assert_close(got, expected)
    assert_close(sum_x, want_x)
    assert_close(sum_g, want_g)
    for got, expected in zip(second, ref.trace_sums(x, want_g / max(1, len(x))), strict=True):
        assert_close(got, expected)


@pytest.mark.devices
@pytest.mark.parametrize(
    "shape", [(7, 13), (5, 7, 3, 37), (4, 20, 21, 13), (9, 6, 7, 200), (39, 9, 8, 5)]
)
def test_the_cut_into_batches_changes_no_bit(rng, shape):
    x, g = normal(rng, shape), normal(rng, shape)
    whole = accumulate(x, g)
    for cuts in ((1,), (2, 3), tuple(range(1, shape[0]))):
        for a, b in zip(whole, accumulate(x, g, cuts), strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.devices
def test_parts_may_be_left_out(rng):
    x, g = normal(rng, (4, 5, 6, 13)), normal(rng, (4, 5, 6, 13))
    full = accumulate(x, g)[0]
    without_maps, only_x = np.zeros((6, 13)), np.zeros((6, 13))
    ops.score_accumulate(x, g, without_maps)
    ops.score_accumulate(x, None, only_x)
    assert without_maps.tobytes() == full.tobytes()
    assert only_x[[0, 3]].tobytes() == full[[0, 3]].tobytes()
    assert not only_x[[1, 2, 4, 5]].any()


@pytest.mark.devices
@pytest.mark.parametrize("cut", [(), (2,)])
@pytest.mark.parametrize("case", LAYERS)
def test_vectors(case, cut):
    z = {k.split(".", 1)[1]: v for k, v in vectors("scores").items() if k.startswith(f"{case}.")}
    n = len(z["x"])
    stats, sum_x, sum_g, second = accumulate(z["x"], z["g"], cut)
    got = {
        "robust": importance.robust(sum_x, sum_g, n),
        "trace": importance.trace(second, n),
    } | {
        name: getattr(importance, name)(stats, n)
        for name in ("norm", "first", "first_second", "fisher", "oracle")
    }
    for name, values in got.items():
        assert_vector(values, z[name], 2e-5)
        if f"{name}.normalised" in z:
            rows = [importance.normalize(name, values, float(p)) for p in vectors("scores")["p"]]
            assert_vector(np.stack(rows), z[f"{name}.normalised"], 2e-5)


def test_all_single_layer_cases_are_there():
    assert LAYERS == ["conv", "fc", "ragged", "outliers", "dead_channel", "all_dead"]


@pytest.mark.devices
@pytest.mark.parametrize("layer", [1, 2])
def test_net_vectors(layer):
    z = vectors("scores")
    x = z[f"net.layer{layer}.map"].astype(np.float32)
    g = z[f"net.layer{layer}.map_grad"].astype(np.float32)
    stats, sum_x, sum_g, second = accumulate(x, g)
    n = len(x)
    assert_vector(importance.fisher(stats, n), z[f"net.layer{layer}.fisher"], 2e-5)
    assert_vector(importance.robust(sum_x, sum_g, n), z[f"net.layer{layer}.robust"], 2e-5)
    assert_vector(importance.trace(second, n), z[f"net.layer{layer}.trace"], 2e-5)


def test_bits_do_not_depend_on_threads(rng, threads):
    x, g = normal(rng, (6, 20, 21, 150)), normal(rng, (6, 20, 21, 150))
    found = []
    for n in (1, 3):
        _core.set_threads(n)
        found.append(b"".join(a.tobytes() for a in accumulate(x, g)))
    assert found[0] == found[1]


def f32(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((f32(4), None, np.zeros((6, 4))), ShapeError, r"x must have shape \(N, H, W, C\) or"),
        ((np.zeros((2, 4)), None, np.zeros((6, 4))), DTypeError, "x must be float32, got float64"),
        ((f32(2, 4), f32(2, 3), np.zeros((6, 4))), ShapeError, r"g must have shape \(2, 4\)"),
        ((f32(2, 4), np.zeros((2, 4)), np.zeros((6, 4))), DTypeError, "g must be float32"),
        ((f32(2, 4), None, np.zeros((5, 4))), ShapeError, r"stats must have shape \(6, 4\)"),
        ((f32(2, 4), None, f32(6, 4)), DTypeError, "stats must be float64, got float32"),
        (
            (f32(2, 4), f32(2, 4), np.zeros((6, 4)), np.zeros(4)),
            ValueError,
            "sum_x and sum_g must be given together",
        ),
        (
            (f32(2, 4), None, np.zeros((6, 4)), np.zeros(4), np.zeros(4)),
            ValueError,
            "g must be given with sum_g",
        ),
        (
            (f32(2, 4), f32(2, 4), np.zeros((6, 4)), np.zeros(4), np.zeros(3)),
            ShapeError,
            r"sum_g must have shape \(4,\)",
        ),
        (
            (f32(2, 4), f32(2, 4), np.zeros((6, 4)), f32(4), np.zeros(4)),
            DTypeError,
            "sum_x must be float64",
        ),
    ],
)
def test_refuses(args, error, message):
    with pytest.raises(error, match=message):
        ops.score_accumulate(*args)


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((f32(4), np.zeros(4), np.zeros((2, 4))), ShapeError, "x must have shape"),
        ((f32(2, 4), np.zeros(3), np.zeros((2, 4))), ShapeError, r"mean_g must have shape \(4,\)"),
        ((f32(2, 4), f32(4), np.zeros((2, 4))), DTypeError, "mean_g must be float64"),
        ((f32(2, 4), np.zeros(4), np.zeros((1, 4))), ShapeError, r"stats must have shape \(2, 4\)"),
        ((f32(2, 4), np.zeros(4), f32(2, 4)), DTypeError, "stats must be float64"),
    ],
)
def test_trace_refuses(args, error, message):
    with pytest.raises(error, match=message):
        ops.trace_accumulate(*args)


def test_refuses_shared_memory_and_a_short_workspace():
    maps = np.zeros(4)
    with pytest.raises(ValueError, match="sum_x must not overlap sum_g"):
        ops.score_accumulate(f32(2, 4), f32(2, 4), np.zeros((6, 4)), maps, maps)
    t = _core.Tensor.from_numpy
    maps = (2, 20, 20, 4)
    args = (t(f32(*maps)), t(f32(*maps)), t(np.zeros((6, 4))), None, None)
    need = _core.score_workspace(maps, 2)
    assert need == 2 * 4 * 2 * 8 * 2  # samples, channels, sums, bytes, pixel blocks
    assert _core.score_workspace((2, 4), 2) == 0
    with pytest.raises(
        ShapeError, match=f"workspace must have at least {need} bytes, got {need - 1}"
    ):
        _core.score_accumulate(*args, _core.Tensor.empty((need - 1,), "uint8"))
    with pytest.raises(ShapeError, match="x must have shape"):
        _core.score_workspace((4,), 2)


def test_ties_join_the_channels():
    specs = {"x": Spec((2, 3, 3, 4)), "stats": Spec((6, 4)), "sum_x": Spec((3, 3, 4))}
    ties = {(t.a, t.b) for t in ops.SCORE_ACCUMULATE.ties(specs, {}, {})}
    assert ties == {(("x", 3), ("stats", 1)), (("x", 3), ("sum_x", 2))}
