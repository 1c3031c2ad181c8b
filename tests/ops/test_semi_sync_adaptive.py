"""Adaptive updates of active rows: close, idle rows at rest, as the whole update, refuses, threads."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close, normal
from reference import optimizers as whole
from reference import semi_sync as ref
from sentei import _core, ops
from sentei.errors import DTypeError, ShapeError

F64 = np.float64
SHAPES = [(1,), (10,), (37, 13), (11, 1), (13, 3, 3, 5), (300, 8), (4, 20000), (10, 0), (0, 4)]
RULES = ["adagrad", "rmsprop", "adam", "adam inside"]
KW = {"weight_decay": 0.01, "l2": 0.02}


def one(x, dtype=np.float32):
    return np.array([x], dtype)


def setup(rng, shape, rule, permuted=True):
    m = shape[0]
    rows, offsets = ref.partition(m, rng.permutation(m) if permuted else None)
    w, full = normal(rng, shape), normal(rng, shape)
    h = normal(rng, shape) if rule.startswith("adam") else np.abs(normal(rng, shape))
    v = np.abs(normal(rng, shape)) if rule.startswith("adam ") or rule == "adam" else None
    count = rng.integers(0, 4, m) if v is not None else None
    return w, full, h, v, count, rows, offsets


def given(full, active, offsets, compact):
    """NaN wherever the op must not look."""
    if compact:
        dw = np.full((int(np.diff(offsets).max()), *full.shape[1:]), np.nan, np.float32)
        dw[: len(active)] = full[active]
    else:
        dw = np.full_like(full, np.nan)
        dw[active] = full[active]
    return dw


def settings(rule):
    if rule == "adagrad":
        return {"rule": "adagrad", "eps": 1e-10}
    if rule == "rmsprop":
        return {"rule": "rmsprop", "beta1": 0.9, "eps": 1e-3}
    return {"rule": "adam", "beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "eps_inside": "in" in rule}


def expected(rule, w, g, h, v, count, lr):
    """The whole update in float64, each row with its own count."""
    s = settings(rule)
    if rule == "adagrad":
        return (*whole.adagrad(w, g, h, lr, s["eps"], **KW), None)
    if rule == "rmsprop":
        return (*whole.rmsprop(w, g, h, lr, s["beta1"], s["eps"], **KW), None)
    t = (count + 1).reshape(-1, *[1] * (w.ndim - 1)).astype(F64)
    return whole.adam(w, g, h, v, t, lr, 0.9, 0.99, s["eps"], s["eps_inside"], **KW)


@pytest.mark.devices
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("compact", [False, True])
def test_close_and_at_rest(rng, shape, rule, compact):
    w, full, h, v, count, rows, offsets = setup(rng, shape, rule, permuted=len(shape) > 1)
    t = len(offsets) - 2
    active = rows[offsets[t] : offsets[t + 1]]
    rest = np.setdiff1d(np.arange(shape[0]), active)
    lr = one(0.1)
    want = expected(rule, *(None if a is None else a.astype(F64) for a in (w, full, h, v)), count,
                    float(lr[0]))  # fmt: skip
    written = [a for a in (w, h, v, count) if a is not None]
    before = [a.copy() for a in written]
    dw = given(full, active, offsets, compact)
    ops.semi_sync_adaptive_update(
        w, dw, h, v, count, rows, offsets, one(t, np.int32), lr, compact=compact, **settings(rule), **KW
    )  # fmt: skip
    for got, exact in zip((w, h, v), want, strict=True):
        if got is not None:
            assert_close(got[active], exact[active])
    for got, old in zip(written, before, strict=True):
        assert got[rest].tobytes() == old[rest].tobytes()
    if count is not None:
        assert np.array_equal(count[active], before[-1][active] + 1)


@pytest.mark.parametrize("rule", ["adagrad", "rmsprop", "adam"])
def test_one_group_is_the_whole_update_to_the_bit(rng, rule):
    w, g, h, v, count, *_ = setup(rng, (19, 33), rule)
    rows, offsets = np.arange(19, dtype=np.int32), np.array([0, 19], np.int32)
    s = {k: x for k, x in settings(rule).items() if k != "rule"}
    w2, h2 = w.copy(), h.copy()
    v2 = None if v is None else v.copy()
    if count is not None:
        count[:] = 4
    ops.semi_sync_adaptive_update(
        w, g, h, v, count, rows, offsets, one(0, np.int32), one(0.1), **settings(rule), **KW
    )
    if rule == "adam":
        ops.adam_update(w2, g, h2, v2, np.array([5]), one(0.1), **s, **KW)
        assert v.tobytes() == v2.tobytes()
    elif rule == "adagrad":
        ops.adagrad_update(w2, g, h2, one(0.1), **s, **KW)
    else:
        ops.rmsprop_update(w2, g, h2, one(0.1), alpha=s["beta1"], eps=s["eps"], **KW)
    assert w.tobytes() == w2.tobytes() and h.tobytes() == h2.tobytes()


def test_threads_give_the_same_bits(rng):
    made, before = [], _core.threads()
    base = setup(rng, (8, 40000), "adam")
    for threads in (1, 2, 3):
        _core.set_threads(threads)
        w, g, h, v, count, rows, offsets = (None if a is None else a.copy() for a in base)
        ops.semi_sync_adaptive_update(
            w, g, h, v, count, rows, offsets, one(1, np.int32), one(0.1), **settings("adam")
        )
        made.append(w.tobytes() + v.tobytes())
    _core.set_threads(before)
    assert len(set(made)) == 1


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"h": np.zeros((3, 2), np.float32)}, ShapeError, "h must have shape"),
        ({"v": None}, ValueError, "v and count must be given with adam"),
        ({"rule": "sgd"}, ValueError, "v and count must be given with adam|rule must be 'adagrad'"),
        ({"rule": "adagrad"}, ValueError, "v and count must be given with adam"),
        (
            {"rule": "sgd", "v": None, "count": None},
            ValueError,
            "rule must be 'adagrad', 'rmsprop'",
        ),
        ({"count": np.zeros(4, np.int32)}, DTypeError, "count must be int64"),
        ({"count": np.zeros(3, np.int64)}, ShapeError, "count must have shape"),
        ({"count": np.full(4, -1)}, ValueError, "count must not be negative, got -1"),
        ({"group": one(2, np.int32)}, ValueError, r"group must lie in \[0, 2\), got 2"),
        ({"group": one(0)}, DTypeError, "group must be int32 or int64"),
        ({"rows": np.array([0, 0, 2, 3], np.int32)}, ValueError, "rows must list every row once"),
        ({"beta1": 1.0}, ValueError, "beta1 must lie in"),
        ({"beta2": -0.1}, ValueError, "beta2 must lie in"),
        ({"eps": 0.0}, ValueError, "eps must be positive"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay must be at least 0"),
        ({"dw": np.zeros((4, 3), np.float32)}, ShapeError, "dw must have shape"),
        ({"lr": np.zeros(2, np.float32)}, ShapeError, "lr must have shape"),
    ],
)
def test_refuses(change, kind, message):
    z = np.zeros((4, 2), np.float32)
    args = {
        "w": z.copy(), "dw": z.copy(), "h": z.copy(), "v": z.copy(), "count": np.zeros(4, np.int64),
        "rows": np.arange(4, dtype=np.int32), "offsets": np.array([0, 2, 4], np.int32),
        "group": one(0, np.int32), "lr": one(0.1), **settings("adam"), **change,
    }  # fmt: skip
    with pytest.raises(kind, match=message):
        ops.semi_sync_adaptive_update(**args)


def test_refuses_shared_memory():
    w = np.zeros((4, 2), np.float32)
    rows, offsets = np.arange(4, dtype=np.int32), np.array([0, 2, 4], np.int32)
    with pytest.raises(ValueError, match="h must not overlap"):
        ops.semi_sync_adaptive_update(
            w, np.ones_like(w), w, None, None, rows, offsets, one(0, np.int32), one(0.1), rule="adagrad"
        )  # fmt: skip
