"""sgd_update_many: the bits of single updates, refuses, ties."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import normal
from sentei import ops
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec


def one(x):
    return np.array([x], np.float32)


def zeros(n=3, dtype=np.float32):
    return np.zeros(n, dtype)


MANY = [(3,), (70, 5), (1,), (0, 4), (2048,), (2049,), (5, 3, 3, 13), (7000,)]


def many(rng, with_v, copies=1):
    """xs, and attributes that differ from parameter to parameter."""
    shapes = MANY * copies
    xs = [normal(rng, s) for s in shapes for _ in range(3 if with_v else 2)]
    k = len(shapes)
    attrs = {
        "momentum": [0.9 * i / k if with_v else 0.0 for i in range(k)],
        "weight_decay": [0.01 * (i % 3) for i in range(k)],
        "l2": [0.02 * (i % 2) for i in range(k)],
    }
    return xs, attrs


@pytest.mark.devices
@pytest.mark.parametrize("with_v", [False, True])
@pytest.mark.parametrize("copies", [1, 24])  # 192: three tables of a launch
def test_many_updates_have_the_bits_of_single_ones(rng, with_v, copies):
    xs, attrs = many(rng, with_v, copies)
    single = [x.copy() for x in xs]
    each = 3 if with_v else 2
    for i in range(len(xs) // each):
        w, g, *v = single[i * each : (i + 1) * each]
        kw = {k: a[i] for k, a in attrs.items()}
        ops.sgd_update(w, g, v[0] if v else None, one(0.1), **kw)
    before = [x.copy() for x in xs]
    assert ops.sgd_update_many(one(0.1), *xs, with_v=with_v, **attrs) is None
    for i, (got, want) in enumerate(zip(xs, single, strict=True)):
        assert got.tobytes() == want.tobytes()
        changed = got.tobytes() != before[i].tobytes()
        assert changed == (i % each != 1 and got.size > 0)


def test_no_updates_at_all():
    ops.sgd_update_many(one(0.1))


@pytest.mark.parametrize(
    ("xs", "kw", "error", "message"),
    [
        ([3, 3, 3], {}, ShapeError, "xs must hold w, g for each parameter, got 3 tensors"),
        ([3, 3], {"with_v": True}, ShapeError, "xs must hold w, g, v for each parameter, got 2"),
        ([3, 4], {}, ShapeError, r"xs1 must have shape \(3,\), got \(4,\)"),
        ([3, 3], {"l2": [0.0, 1.0]}, ValueError, "l2 must have a number for each of 1 param"),
        ([3, 3], {"momentum": [0.5]}, ValueError, "momentum must be 0 without v, got 0.5"),
        ([3, 3], {"weight_decay": [-1.0]}, ValueError, "weight_decay must be at least 0"),
        ([3, 3, 3], {"with_v": True, "momentum": [1.0]}, ValueError, "momentum must lie in"),
    ],
)
def test_many_refuses(xs, kw, error, message):
    with pytest.raises(error, match=f"sgd_update_many: {message}"):
        ops.sgd_update_many(one(1), *(zeros(n) for n in xs), **kw)


def test_many_refuses_dtypes_and_shared_memory():
    a, b, c, d = (zeros(8) for _ in range(4))
    many = ops.sgd_update_many
    with pytest.raises(DTypeError, match="xs1 must be float32, got float64"):
        many(one(1), a, zeros(8, np.float64))
    with pytest.raises(DTypeError, match="lr must be float32"):
        many(zeros(1, np.float64), a, b)
    with pytest.raises(ShapeError, match=r"lr must have shape \(1,\), got \(2,\)"):
        many(zeros(2), a, b)
    with pytest.raises(ValueError, match=r"xs\d must not overlap xs\d"):
        many(one(1), a, b, a, d)
    with pytest.raises(ValueError, match=r"xs\d must not overlap xs\d"):
        many(one(1), a, b, c, a)
    with pytest.raises(ValueError, match=r"xs\d must not overlap xs\d"):
        many(one(1), a[:5], b[:5], c[:5], a[4:8], d[:4], c[4:8], with_v=True)
    with pytest.raises(ValueError, match="must not overlap"):
        many(a[:1], a, b)
    many(one(1), a, c, b, c)  # gradients are only read
    frozen = zeros(8)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="xs2 must be writable"):
        many(one(1), a, b, frozen, d)


def test_many_ties_each_parameter_with_its_own():
    specs = {"lr": Spec((1,))} | {
        f"xs{i}": Spec(s) for i, s in enumerate([(4, 3)] * 3 + [(5,)] * 3)
    }
    ties = {(t.a, t.b) for t in ops.SGD_UPDATE_MANY.ties(specs, {}, {"with_v": True})}
    want = {(("xs0", i), (f"xs{k}", i)) for i in (0, 1) for k in (1, 2)}
    assert ties == want | {(("xs3", 0), (f"xs{k}", 0)) for k in (4, 5)}
