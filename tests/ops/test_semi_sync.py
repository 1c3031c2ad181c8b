"""Semi-synchronous update: exact, close, rows at rest, vectors, refuses, threads."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close, assert_exact, assert_vector, cases, integers, normal, vectors
from reference import semi_sync as ref
from sentei import _core, ops
from sentei.errors import DTypeError, ShapeError
from sentei.tensor import Tensor

F64 = np.float64
SHAPES = [
    (1,),
    (10,),
    (37, 13),
    (11, 1),
    (13, 3, 3, 5),
    (300, 8),
    (2100,),
    (4, 20000),
    (5, 2050),
    (10, 0),
    (0, 4),
]
SINGLE = [c for c in cases("semi_sync") if f"{c}.db" in vectors("semi_sync")]


def one(x, dtype=np.float32):
    return np.array([x], dtype)


def setup(rng, shape, make, compact):
    """w, dw as the op takes it, dw of all rows, v, rows, offsets."""
    m = shape[0]
    rows, offsets = ref.partition(m, rng.permutation(m))
    w, v, full = make(rng, shape), make(rng, shape), make(rng, shape)
    return w, full, v, rows, offsets


def given(full, rows, offsets, t, compact):
    """What the op gets: NaN wherever it must not look."""
    active = rows[offsets[t] : offsets[t + 1]]
    if compact:
        dw = np.full((int(np.diff(offsets).max()), *full.shape[1:]), np.nan, np.float32)
        dw[: len(active)] = full[active]
    else:
        dw = np.full_like(full, np.nan)
        dw[active] = full[active]
    return active, dw


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("momentum", [None, 0.5])
def test_exact(rng, shape, compact, momentum):
    w, full, v, rows, offsets = setup(rng, shape, integers, compact)
    kw = {"momentum": momentum or 0.0, "weight_decay": 0.5, "l2": 0.25}
    v = None if momentum is None else v
    for t in range(len(offsets) - 1):
        active, dw = given(full, rows, offsets, t, compact)
        before = w.copy()
        want, want_v = ref.update(w.astype(F64), full, v, active, 0.25, **kw)
        ops.semi_sync_update(
            w, dw, v, rows, offsets, one(t, np.int32), one(0.25), compact=compact, **kw
        )
        assert_exact(w, want)
        if v is not None:
            assert_exact(v, want_v)
            break  # a second step would leave the exact range
        rest = np.setdiff1d(np.arange(shape[0]), active)
        assert w[rest].tobytes() == before[rest].tobytes()
        w = before


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("momentum", [None, 0.9])
def test_close(rng, shape, compact, momentum):
    w, full, v, rows, offsets = setup(rng, shape, normal, compact)
    kw = {"momentum": momentum or 0.0, "weight_decay": 0.01, "l2": 0.02}
    v = None if momentum is None else v
    t = len(offsets) - 2
    active, dw = given(full, rows, offsets, t, compact)
    lr = one(0.1)
    want, want_v = ref.update(w.astype(F64), full, v, active, float(lr[0]), **kw)
    group = one(t, np.int64)
    ops.semi_sync_update(w, dw, v, rows, offsets, group, lr, compact=compact, **kw)
    assert_close(w, want)
    if v is not None:
        assert_close(v, want_v)


@pytest.mark.devices
@pytest.mark.parametrize("value", [-0.0, np.nan, np.inf])
def test_rows_at_rest_keep_their_bits(value):
    w = np.full((4, 5), value, np.float32)
    w[:2] = 1
    before = w.copy()
    rows, offsets = ref.partition(4)
    dw = np.ones_like(w)
    ops.semi_sync_update(w, dw, None, rows, offsets, one(0, np.int32), one(0.5), weight_decay=0.5)
    assert w[2:].tobytes() == before[2:].tobytes()
    assert (w[:2] == 0.25).all()


@pytest.mark.devices
@pytest.mark.parametrize("width", [4, 3])
@pytest.mark.parametrize("momentum", [None, 0.5])
@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize(
    "bad",
    [
        {"group": [2]},
        {"group": [-1]},
        {"offsets": [0, 7, 5]},
        {"offsets": [-1, 3, 5]},
        {"offsets": [3, 2, 5]},
    ],
)
def test_a_group_out_of_range(rng, device, width, momentum, compact, bad):
    """The cpu refuses it; elsewhere no row is active."""
    w, dw, v = (normal(rng, (5, width)) for _ in range(3))
    if momentum is None:
        v = None
    args = {"offsets": [0, 3, 5], "group": [0], **bad}
    args = {k: np.array(x, np.int32) for k, x in args.items()}
    args |= {"rows": np.arange(5, dtype=np.int32), "lr": one(0.25), "compact": compact}
    args |= {"momentum": momentum or 0.0, "weight_decay": 0.5}
    if device == "cpu":
        with pytest.raises(ValueError, match="must"):
            ops.semi_sync_update(w, dw, v, **args)
        return
    want_w, want_v = ref.update(w.astype(F64), dw, v, np.zeros(0, int), 0.25, momentum or 0.0)
    ops.semi_sync_update(w, dw, v, **args)
    assert_close(w, want_w)
    if v is not None:
        assert_close(v, want_v)


@pytest.mark.devices
@pytest.mark.parametrize("momentum", [None, 0.5])
@pytest.mark.parametrize("wrong", [5, -1, 2**31 - 1])
def test_a_row_out_of_range(rng, device, momentum, wrong):
    """The cpu refuses it; elsewhere it is left out."""
    w, dw, v = (normal(rng, (5, 4)) for _ in range(3))
    if momentum is None:
        v = None
    rows, offsets = np.array([1, wrong, 2, 3, 4], np.int32), np.array([0, 3, 5], np.int32)
    group, kw = one(0, np.int32), {"momentum": momentum or 0.0}
    if device == "cpu":
        with pytest.raises(ValueError, match="rows must lie in"):
            ops.semi_sync_update(w, dw, v, rows, offsets, group, one(0.25), **kw)
        return
    want_w, _ = ref.update(w.astype(F64), dw, v, np.array([1, 2]), 0.25, **kw)
    ops.semi_sync_update(w, dw, v, rows, offsets, group, one(0.25), **kw)
    assert_close(w, want_w)


@pytest.mark.devices
def test_recorded_updates_follow_the_group(rng, device):
    """On a device nothing may be read when the kernels are launched, only when they run."""
    if device == "cpu":
        pytest.skip("the cpu records nothing")
    start, g = integers(rng, (6, 4)), integers(rng, (6, 4))
    rows, offsets = ref.partition(6, rng.permutation(6))
    plain, w, v = (Tensor.from_numpy(x).to(device) for x in (start, start, 0 * start))
    dw, r, o, group, lr = (
        Tensor.from_numpy(x).to(device) for x in (g, rows, offsets, one(0, np.int32), one(0))
    )
    scratch = Tensor.empty((24,), "uint8", device=device)
    capture = _core.Capture()
    _core.semi_sync_update(plain, dw, None, r, o, group, lr, 0.0, 0.0, 0.0, False, scratch)
    _core.semi_sync_update(w, dw, v, r, o, group, lr, 0.5, 0.0, 0.0, False, scratch)
    _core.counter_advance(group, len(offsets) - 1)
    capture.end()
    a, b, c = start.astype(F64), start.astype(F64), np.zeros((6, 4))
    for t in range(5):
        k = t % (len(offsets) - 1)
        active = rows[offsets[k] : offsets[k + 1]]
        rate = 2.0 ** (t - 3)
        lr.copy_from(one(rate))
        capture.replay()
        a, _ = ref.update(a, g, None, active, rate, momentum=0.0)
        b, c = ref.update(b, g, c, active, rate, momentum=0.5)
        assert_exact(plain, a)
        assert_exact(w, b)
        assert_exact(v, c)


@pytest.mark.devices
@pytest.mark.parametrize("compact", [False, True])
def test_one_group_is_sgd(rng, compact):
    w, dw, v = (normal(rng, (6, 19)) for _ in range(3))
    a, b = (w.copy(), v.copy()), (w.copy(), v.copy())
    kw = {"momentum": 0.9, "weight_decay": 0.01}
    rows, offsets = np.arange(6, dtype=np.int32), np.array([0, 6], np.int32)
    group = one(0, np.int32)
    ops.semi_sync_update(a[0], dw, a[1], rows, offsets, group, one(0.1), compact=compact, **kw)
    ops.sgd_update(b[0], dw, b[1], one(0.1), **kw)
    assert a[0].tobytes() == b[0].tobytes()
    assert a[1].tobytes() == b[1].tobytes()


@pytest.mark.devices
@pytest.mark.parametrize("case", SINGLE)
@pytest.mark.parametrize("compact", [False, True])
def test_vectors(case, compact):
    z = {k.split(".", 1)[1]: v for k, v in vectors("semi_sync").items() if k.startswith(f"{case}.")}
    w, b = z["W0"].copy(), z["b0"].copy()
    alpha, decay = float(z["alpha"]), float(z["weight_decay"])
    v_w, v_b = (np.zeros_like(w), np.zeros_like(b)) if alpha else (None, None)
    rows, offsets = ref.partition(len(w), z["permutation"])
    counts = np.bincount(z["group_of_row"])
    assert np.array_equal(np.diff(offsets), counts)
    group = one(0, np.int32)
    got_w, got_b = [], []
    for t, lr in enumerate(z["lr"]):
        assert int(group[0]) == t % len(counts)
        active, dw = given(z["dW"][t], rows, offsets, int(group[0]), compact)
        assert np.array_equal(np.sort(active), np.flatnonzero(z["group_of_row"] == group[0]))
        where = (rows, offsets, group, one(lr))
        ops.semi_sync_update(
            w, dw, v_w, *where, momentum=alpha, weight_decay=decay, compact=compact
        )
        ops.semi_sync_update(b, z["db"][t], v_b, *where, momentum=alpha)
        ops.counter_advance(group, modulo=len(counts))
        got_w.append(w.copy())
        got_b.append(b.copy())
    assert_vector(np.stack(got_w), z["W"], 1e-5)
    assert_vector(np.stack(got_b), z["b"], 1e-5)
    if alpha:
        assert_vector(v_w, z["v_W"], 1e-5)
        assert_vector(v_b, z["v_b"], 1e-5)


def test_partition_matches_vectors():
    z = vectors("semi_sync")
    for m in z["groups.M"]:
        assert np.array_equal(ref.partition(int(m))[1], z[f"groups.M{m}.offsets"])


def test_bits_do_not_depend_on_threads(rng, threads):
    w0, full, v0, rows, offsets = setup(rng, (300, 401), normal, True)
    _, dw = given(full, rows, offsets, 3, True)
    found = []
    for n in (1, 3):
        _core.set_threads(n)
        w, v = w0.copy(), v0.copy()
        ops.semi_sync_update(
            w, dw, v, rows, offsets, one(3, np.int32), one(0.1), momentum=0.9, compact=True
        )
        found.append(w.tobytes() + v.tobytes())
    assert found[0] == found[1]


GOOD = {
    "w": np.ones((5, 3), np.float32),
    "dw": np.ones((5, 3), np.float32),
    "v": np.ones((5, 3), np.float32),
    "rows": np.arange(5, dtype=np.int32),
    "offsets": np.array([0, 3, 5], np.int32),
    "group": np.array([0], np.int32),
    "lr": np.array([1], np.float32),
}


def i32(*x):
    return np.array(x, np.int32)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"w": np.ones((5, 3))}, DTypeError, "w must be float32, got float64"),
        ({"w": np.ones((), np.float32)}, ShapeError, "w must have an axis of rows"),
        ({"dw": np.ones((3, 3), np.float32)}, ShapeError, r"dw must have shape \(5, 3\)"),
        (
            {"dw": np.ones((2, 3), np.float32), "compact": True},
            ShapeError,
            "dw must have a row for each of the 3 active rows",
        ),
        (
            {"dw": np.ones((3, 4), np.float32), "compact": True},
            ShapeError,
            r"dw must have shape \(3, 3\), got \(3, 4\)",
        ),
        ({"v": np.ones((5, 2), np.float32)}, ShapeError, r"v must have shape \(5, 3\)"),
        ({"rows": np.arange(5)}, DTypeError, "rows must be int32, got int64"),
        ({"rows": i32(0, 1, 2, 3)}, ShapeError, r"rows must have shape \(5,\)"),
        ({"rows": i32(0, 5, 2, 3, 4)}, ValueError, r"rows must lie in \[0, 5\), got 5"),
        ({"rows": i32(0, 2, 2, 3, 4)}, ValueError, "rows must list every row once, got 2 twice"),
        ({"offsets": i32(0)}, ShapeError, "offsets must have one entry more"),
        ({"offsets": i32(0, 6, 5)}, ValueError, r"offsets must rise within \[0, 5\], got 0 to 6"),
        ({"offsets": i32(3, 2, 5)}, ValueError, "offsets must rise"),
        ({"group": i32(2)}, ValueError, r"group must lie in \[0, 2\), got 2"),
        ({"group": i32(-1)}, ValueError, r"group must lie in \[0, 2\), got -1"),
        ({"group": np.array([0.0])}, DTypeError, "group must be int32 or int64, got float64"),
        ({"group": i32(0, 0)}, ShapeError, r"group must have shape \(1,\)"),
        ({"lr": np.ones(2, np.float32)}, ShapeError, r"lr must have shape \(1,\)"),
        ({"momentum": 1.0}, ValueError, r"momentum must lie in \[0, 1\)"),
        ({"momentum": 0.5, "v": None}, ValueError, "momentum must be 0 without v"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be at least 0"),
        ({"l2": -0.1}, ValueError, "l2 must be at least 0"),
    ],
)
def test_refuses_and_changes_nothing(change, error, message):
    args = {k: v.copy() for k, v in GOOD.items()} | change
    before = args["w"].copy()
    with pytest.raises(error, match=message):
        ops.semi_sync_update(**args)
    assert np.array_equal(args["w"], before)


def test_refuses_shared_memory_and_a_short_workspace():
    args = {k: v.copy() for k, v in GOOD.items()}
    with pytest.raises(ValueError, match="v must not overlap dw"):
        ops.semi_sync_update(**{**args, "v": args["dw"]})
    tensors = [_core.Tensor.from_numpy(v) for v in GOOD.values()]
    with pytest.raises(ShapeError, match="workspace must have at least 20 bytes, got 19"):
        _core.semi_sync_update(*tensors, 0.0, 0.0, 0.0, False, _core.Tensor.empty((19,), "uint8"))


@pytest.mark.devices
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_counter(dtype):
    t = one(0, dtype)
    seen = []
    for _ in range(7):
        seen.append(int(t[0]))
        ops.counter_advance(t, modulo=3)
    assert seen == [0, 1, 2, 0, 1, 2, 0]
    ops.counter_advance(t)
    ops.counter_advance(t)
    assert int(t[0]) == 3


@pytest.mark.devices
@pytest.mark.parametrize(
    ("value", "dtype"), [(-1, np.int32), (2**31 - 1, np.int32), (-5, np.int64)]
)
def test_a_counter_out_of_range(device, value, dtype):
    """The cpu refuses it; elsewhere it stays."""
    t = one(value, dtype)
    if device == "cpu":
        with pytest.raises(ValueError, match="counter must lie in"):
            ops.counter_advance(t, modulo=3)
    else:
        ops.counter_advance(t, modulo=3)
    assert t.tolist() == [value]


@pytest.mark.parametrize(
    ("counter", "modulo", "error", "message"),
    [
        (i32(-1), 3, ValueError, "counter must lie in"),
        (i32(2**31 - 1), 0, ValueError, "counter must lie in"),
        (i32(0), -1, ValueError, "modulo must be at least 0, got -1"),
        (i32(0, 0), 3, ShapeError, r"counter must have shape \(1,\)"),
        (np.zeros(1), 3, DTypeError, "counter must be int32 or int64, got float64"),
    ],
)
def test_counter_refuses(counter, modulo, error, message):
    with pytest.raises(error, match=message):
        ops.counter_advance(counter, modulo=modulo)


def test_ties():
    from sentei.graph import Spec

    specs = {"w": Spec((4, 3)), "dw": Spec((2, 3)), "v": Spec((4, 3))}
    ties = {(t.a, t.b) for t in ops.SEMI_SYNC_UPDATE.ties(specs, {}, {"compact": True})}
    assert ties == {(("w", 0), ("v", 0)), (("w", 1), ("v", 1)), (("w", 1), ("dw", 1))}
