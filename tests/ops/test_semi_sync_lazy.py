"""Semi-synchronous update with lazy momentum: the same steps, idle rows untouched, refuses, threads."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import array, assert_close, assert_exact, integers, normal, shifted
from reference import semi_sync as ref
from sentei import _core, ops
from sentei.errors import DTypeError, ShapeError
from sentei.optim.semi_sync import group_of
from sentei.tensor import Tensor

F64 = np.float64
SHAPES = [(1,), (10,), (37, 13), (11, 1), (13, 3, 3, 5), (300, 8), (4, 20000), (10, 0), (0, 4)]


def one(x, dtype=np.float32):
    return np.array([x], dtype)


def fresh(groups):
    return np.tile(np.array([1, 0], np.float32), (groups, 1))


def compact(full, rows, offsets, t):
    """Rows of the active group first, NaN behind, and their numbers."""
    active = rows[offsets[t] : offsets[t + 1]]
    dw = np.full((int(np.diff(offsets).max()), *full.shape[1:]), np.nan, np.float32)
    dw[: len(active)] = full[active]
    return dw, active


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("permuted", [False, True])
def test_same_steps_as_the_update_of_all_rows(rng, shape, permuted):
    """Three cycles of float32 against float64, with decay and an lr that changes."""
    m = shape[0]
    rows, offsets = ref.partition(m, rng.permutation(m) if permuted else None)
    of, count = group_of(rows, offsets), len(offsets) - 1
    kw = {"momentum": 0.9, "weight_decay": 0.01, "l2": 0.02}
    w, v, coef, group = normal(rng, shape), normal(rng, shape), fresh(count), one(0, np.int32)
    want, want_v = w.astype(F64), v.astype(F64)
    for t in range(3 * count):
        dw, active = compact(normal(rng, shape), rows, offsets, t % count)
        full = np.zeros(shape)
        full[active] = dw[: len(active)]
        lr = one(0.1 / (1 + t))
        before = w.copy(), v.copy()
        ops.semi_sync_update_lazy(w, dw, v, coef, rows, offsets, group, lr, **kw)
        ops.counter_advance(group, modulo=count)
        want, want_v = ref.update(want, full, want_v, active, float(lr[0]), **kw)
        rest = np.setdiff1d(np.arange(m), active)
        assert w[rest].tobytes() == before[0][rest].tobytes()
        assert v[rest].tobytes() == before[1][rest].tobytes()
        got = array(ops.semi_sync_lazy_weight(w, v, coef, of))
        scale = max(1.0, float(np.abs(want).max(initial=0)))
        assert np.abs(got - want).max(initial=0) <= 1e-6 * scale
    shown = array(ops.semi_sync_lazy_weight(w, v, coef, of))
    ops.semi_sync_materialise(w, v, coef, of)
    assert w.tobytes() == shown.tobytes()
    assert np.array_equal(coef, fresh(count))
    assert_close(v, want_v, 3 * count)
    assert ops.semi_sync_lazy_weight(w, v, coef, of).numpy().tobytes() == w.tobytes()


@pytest.mark.devices
@pytest.mark.parametrize("shape", [(7, 8), (7, 5), (3, 2100)])
def test_exact(rng, shape):
    rows, offsets = ref.partition(shape[0], rng.permutation(shape[0]))
    of = group_of(rows, offsets)
    w, v, full = (integers(rng, shape) for _ in range(3))
    coef = np.array([[0.5, 2.0], [2.0, 0.25], [1.0, 0.0]], np.float32)[: len(offsets) - 1]
    dw, active = compact(full, rows, offsets, 1)
    settled, moving = w + coef[of, 1:] * v.astype(F64), coef[of, :1] * v.astype(F64)
    assert_exact(ops.semi_sync_lazy_weight(w, v, coef, of), settled)
    change = 0.5 * moving - 0.25 * (full + settled)
    want, want_v = w.astype(F64), v.astype(F64)
    want[active], want_v[active] = (settled + change)[active], change[active]
    old = coef.copy()
    ops.semi_sync_update_lazy(
        w, dw, v, coef, rows, offsets, one(1, np.int64), one(0.25), momentum=0.5, weight_decay=0.5, l2=0.25
    )  # fmt: skip
    assert_exact(w, want)
    assert_exact(v, want_v)
    old[:, 0] *= 0.5
    old[:, 1] += old[:, 0]
    old[1] = 1, 0
    assert np.array_equal(coef, old)


@pytest.mark.devices
def test_memory_that_is_not_aligned(rng, device):
    w, v = integers(rng, (9, 8)), integers(rng, (9, 8))
    coef, of = integers(rng, (3, 2)), (np.arange(9) % 3).astype(np.int32)
    want, want_v = w + coef[of, 1:].astype(F64) * v, coef[of, :1].astype(F64) * v
    t = [shifted(a, device) for a in (w, v, coef, of)]
    assert_exact(ops.semi_sync_lazy_weight(*t), want)
    ops.semi_sync_materialise(*t)
    assert_exact(t[0], want)
    assert_exact(t[1], want_v)
    assert np.array_equal(t[2].numpy(), fresh(3))


@pytest.mark.devices
def test_momentum_fades_away_without_harm(rng):
    """Thousands of idle steps: m underflows to 0, c stays at its limit."""
    rows, offsets = np.arange(2, dtype=np.int32), np.array([0, 1, 2], np.int32)
    w, v, coef = normal(rng, (2, 3)), normal(rng, (2, 3)), fresh(2)
    want = w[0] + 9.0 * v[0].astype(F64)
    zero = np.zeros((1, 3), np.float32)
    for _ in range(3000):
        ops.semi_sync_update_lazy(
            w, zero, v, coef, rows, offsets, one(1, np.int32), one(0), momentum=0.9
        )
    assert coef[0, 0] < 1e-40 and abs(coef[0, 1] - 9) < 1e-4
    got = array(ops.semi_sync_lazy_weight(w, v, coef, np.array([0, 1], np.int32)))
    assert np.abs(got[0] - want).max() < 1e-4


@pytest.mark.devices
def test_recorded_updates_follow_the_group(rng, device):
    """On a device nothing may be read when the kernels are launched, only when they run."""
    if device == "cpu":
        pytest.skip("the cpu records nothing")
    start, g = normal(rng, (7, 4)), normal(rng, (7, 4))
    rows, offsets = ref.partition(7, rng.permutation(7))
    count, of = len(offsets) - 1, group_of(rows, offsets)
    put = [start, g[:3], 0 * start, fresh(count), rows, offsets, one(0, np.int32), one(0), of]
    w, dw, v, coef, r, o, group, lr, where = (Tensor.from_numpy(x).to(device) for x in put)
    out = Tensor.empty((7, 4), device=device)
    capture = _core.Capture()
    scratch = Tensor.empty((0,), "uint8")
    _core.semi_sync_update_lazy(w, dw, v, coef, r, o, group, lr, 0.5, 0.0, 0.0, scratch)
    _core.counter_advance(group, count)
    _core.semi_sync_lazy_weight(w, v, coef, where, out)
    capture.end()
    want, want_v = start.astype(F64), np.zeros((7, 4))
    for t in range(7):
        active = rows[offsets[t % count] : offsets[t % count + 1]]
        full = np.zeros((7, 4))
        full[active] = g[: len(active)]
        lr.copy_from(one(2.0 ** (t - 5)))
        capture.replay()
        want, want_v = ref.update(want, full, want_v, active, 2.0 ** (t - 5), momentum=0.5)
        assert_close(out, want, 4)


@pytest.mark.devices
@pytest.mark.parametrize("width", [4, 3])
@pytest.mark.parametrize(
    "bad",
    [{"group": [2]}, {"group": [-1]}, {"offsets": [0, 7, 5]}, {"offsets": [3, 2, 5]}],
)
def test_a_group_out_of_range(rng, device, width, bad):
    """The cpu refuses it; elsewhere no row is active, all groups idle."""
    w, dw, v = (normal(rng, (5, width)) for _ in range(3))
    args = {"offsets": [0, 3, 5], "group": [0], **bad}
    args = {k: np.array(x, np.int32) for k, x in args.items()}
    args |= {"rows": np.arange(5, dtype=np.int32), "lr": one(0.25), "coef": fresh(2)}
    before = w.tobytes(), v.tobytes()
    if device == "cpu":
        with pytest.raises(ValueError, match="must"):
            ops.semi_sync_update_lazy(w, dw, v, **args, momentum=0.5)
    else:
        ops.semi_sync_update_lazy(w, dw, v, **args, momentum=0.5)
        assert (args["coef"] == 0.5).all()
    assert (w.tobytes(), v.tobytes()) == before


@pytest.mark.devices
@pytest.mark.parametrize("wrong", [2, -1, 2**31 - 1])
def test_a_row_or_its_group_out_of_range(rng, device, wrong):
    """The cpu refuses it; elsewhere the row is left out, and NaN in the copy."""
    w, dw, v = (integers(rng, (2, 4)) for _ in range(3))
    before = w.copy()
    coef, of = fresh(2) + 1, np.array([wrong, 1], np.int32)
    rows, offsets = np.array([1, wrong], np.int32), np.array([0, 2, 2], np.int32)
    args = (rows, offsets, one(0, np.int32), one(1))
    if device == "cpu":
        with pytest.raises(ValueError, match="rows must lie in"):
            ops.semi_sync_update_lazy(w, dw, v, coef, *args, momentum=0.5)
        for call in (ops.semi_sync_materialise, ops.semi_sync_lazy_weight):
            with pytest.raises(ValueError, match="group_of must lie in"):
                call(w, v, coef, of)
        return
    out = array(ops.semi_sync_lazy_weight(w, v, coef, of))
    assert np.isnan(out[0]).all() and np.array_equal(out[1], (w + v)[1])
    ops.semi_sync_materialise(w, v, coef, of)
    assert np.array_equal(w[0], before[0]) and np.array_equal(w[1], out[1])
    ops.semi_sync_update_lazy(w, dw, v, coef, *args, momentum=0.5)
    assert np.array_equal(w[0], before[0]) and not np.array_equal(w[1], out[1])


def test_bits_do_not_depend_on_threads(rng, threads):
    rows, offsets = ref.partition(300)
    of = group_of(rows, offsets)
    w0, v0, dw = normal(rng, (300, 401)), normal(rng, (300, 401)), normal(rng, (18, 401))
    found = []
    for n in (1, 3):
        _core.set_threads(n)
        w, v, coef = w0.copy(), v0.copy(), fresh(17) + 0.5
        group = one(3, np.int32)
        ops.semi_sync_update_lazy(w, dw, v, coef, rows, offsets, group, one(0.1), momentum=0.9)
        ops.semi_sync_materialise(w, v, coef, of)
        found.append(w.tobytes() + v.tobytes())
    assert found[0] == found[1]


GOOD = {
    "w": np.ones((5, 3), np.float32),
    "dw": np.ones((3, 3), np.float32),
    "v": np.ones((5, 3), np.float32),
    "coef": fresh(2),
    "rows": np.arange(5, dtype=np.int32),
    "offsets": np.array([0, 3, 5], np.int32),
    "group": np.array([0], np.int32),
    "lr": np.array([1], np.float32),
    "momentum": 0.5,
}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"w": np.ones((5, 3))}, DTypeError, "w must be float32, got float64"),
        ({"w": np.ones((), np.float32)}, ShapeError, "w must have an axis of rows"),
        ({"dw": np.ones((2, 3), np.float32)}, ShapeError, "a row for each of the 3 active rows"),
        ({"dw": np.ones((3, 4), np.float32)}, ShapeError, r"dw must have shape \(3, 3\)"),
        ({"v": np.ones((5, 2), np.float32)}, ShapeError, r"v must have shape \(5, 3\)"),
        ({"coef": fresh(3)}, ShapeError, r"coef must have shape \(2, 2\), got \(3, 2\)"),
        ({"coef": np.ones((2, 2))}, DTypeError, "coef must be float32"),
        ({"rows": np.arange(5)}, DTypeError, "rows must be int32, got int64"),
        ({"group": np.array([0.0])}, DTypeError, "group must be int32 or int64"),
        ({"lr": np.ones(2, np.float32)}, ShapeError, r"lr must have shape \(1,\)"),
        ({"momentum": 1.0}, ValueError, r"momentum must lie in \[0, 1\)"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be at least 0"),
        ({"l2": float("inf")}, ValueError, "l2 must be at least 0"),
    ],
)
def test_refuses_and_changes_nothing(change, error, message):
    args = {k: v.copy() if k != "momentum" else v for k, v in GOOD.items()} | change
    before = args["coef"].tobytes()
    with pytest.raises(error, match=message):
        ops.semi_sync_update_lazy(**args)
    assert args["coef"].tobytes() == before


def test_refuses_shared_memory():
    w = Tensor.zeros((2, 2))
    of = Tensor.from_numpy(np.zeros(2, np.int32))
    with pytest.raises(ValueError, match="w must not overlap v"):
        _core.semi_sync_materialise(w, w, Tensor.zeros((1, 2)), of)
    with pytest.raises(ValueError, match="out must not overlap w"):
        _core.semi_sync_lazy_weight(w, Tensor.zeros((2, 2)), Tensor.zeros((1, 2)), of, w)


def test_ties():
    from sentei.graph import Spec

    specs = {"w": Spec((4, 3)), "dw": Spec((2, 3)), "v": Spec((4, 3))}
    ties = {(t.a, t.b) for t in ops.SEMI_SYNC_UPDATE_LAZY.ties(specs, {}, {})}
    assert ties == {(("w", 0), ("v", 0)), (("w", 1), ("v", 1)), (("w", 1), ("dw", 1))}
