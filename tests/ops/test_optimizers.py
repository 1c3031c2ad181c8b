"""SGD, AdaGrad, RMSprop, Adam: exact, close, refuses, vectors, threads."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close, assert_exact, assert_vector, cases, integers, normal, vectors
from reference import optimizers as ref
from sentei import _core, ops
from sentei.errors import DTypeError, GraphError, ShapeError
from sentei.graph import Graph, Spec
from sentei.tensor import Tensor

SHAPES = [(1,), (13,), (3, 37), (5, 3, 3, 13), (0, 4), (40000,)]
F64 = np.float64


def one(x):
    return np.array([x], np.float32)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("momentum", [None, 0.5])
def test_sgd_exact(rng, shape, momentum):
    w, g, v = (integers(rng, shape) for _ in range(3))
    state = None if momentum is None else v
    kw = {"momentum": momentum or 0.0, "weight_decay": 0.5, "l2": 0.25}
    want_w, want_v = ref.sgd(w.astype(F64), g, state, 0.25, **kw)
    assert ops.sgd_update(w, g, state, one(0.25), **kw) is None
    assert_exact(w, want_w)
    if state is not None:
        assert_exact(v, want_v)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_sgd_close(rng, shape):
    w, g, v = (normal(rng, shape) for _ in range(3))
    kw = {"momentum": 0.9, "weight_decay": 0.01, "l2": 0.02}
    want_w, want_v = ref.sgd(w.astype(F64), g, v.astype(F64), float(np.float32(0.1)), **kw)
    ops.sgd_update(w, g, v, one(0.1), **kw)
    assert_close(w, want_w)
    assert_close(v, want_v)


@pytest.mark.devices
def test_memory_not_aligned_for_vectors(rng, device):
    xs = [normal(rng, (70,)) for _ in range(4)]
    xs[3] = xs[3] ** 2 + 1
    lr, t = Tensor.from_numpy(one(0.1)).to(device), Tensor.from_numpy(np.array([3])).to(device)
    updates = [
        lambda w, g, v, h: _core.sgd_update(w, g, v, lr, 0.9, 0.01, 0.0),
        lambda w, g, v, h: _core.sgd_update(w, g, None, lr, 0.0, 0.01, 0.0),
        lambda w, g, v, h: _core.adagrad_update(w, g, h, lr, 1e-8, 0.01, 0.0),
        lambda w, g, v, h: _core.rmsprop_update(w, g, h, lr, 0.9, 1e-8, 0.01, 0.0),
        lambda w, g, v, h: _core.adam_update(w, g, v, h, t, lr, 0.9, 0.99, 1e-8, False, 0.01, 0.0),
    ]
    for update in updates:
        found = []
        for offset in (0, 4):
            ts = [Tensor.empty((71,), device=device).view((70,), offset) for _ in xs]
            for a, x in zip(ts, xs, strict=True):
                a.copy_from(x)
            update(*ts)
            found.append([a.numpy() for a in ts])
        assert not np.array_equal(found[0][0], xs[0])
        for a, b in zip(*found, strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.devices
def test_recorded_updates_follow_step_size_and_count(rng, device):
    """On a device nothing may be read when the kernels are launched, only when they run."""
    if device == "cpu":
        pytest.skip("the cpu records nothing")
    names = ("sgd", "many", "adagrad", "rmsprop", "adam")
    start, g = normal(rng, (37,)), normal(rng, (37,))
    w = {n: Tensor.from_numpy(start).to(device) for n in names}
    s = {n: [Tensor.zeros((37,), device=device) for _ in range(2)] for n in names}
    dw, lr = Tensor.from_numpy(g).to(device), Tensor.zeros((1,), device=device)
    t = Tensor.from_numpy(np.array([1])).to(device)
    capture = _core.Capture()
    _core.sgd_update(w["sgd"], dw, s["sgd"][0], lr, 0.9, 0.0, 0.0)
    _core.sgd_update_many(lr, [w["many"], dw, s["many"][0]], True, [0.9], [0.0], [0.0])
    _core.adagrad_update(w["adagrad"], dw, s["adagrad"][0], lr, 1e-8, 0.0, 0.0)
    _core.rmsprop_update(w["rmsprop"], dw, s["rmsprop"][0], lr, 0.9, 1e-8, 0.0, 0.0)
    _core.adam_update(w["adam"], dw, *s["adam"], t, lr, 0.9, 0.99, 1e-8, False, 0.0, 0.0)
    _core.counter_advance(t, 0)
    capture.end()
    want = {n: (start.astype(F64), *(np.zeros(37) for _ in range(2))) for n in names}
    for k in (1, 2, 3):
        rate = float(one(0.1 * k)[0])
        lr.copy_from(one(rate))
        capture.replay()
        for n in ("sgd", "many"):
            want[n] = (*ref.sgd(want[n][0], g, want[n][1], rate, momentum=0.9), want[n][2])
        a = want["adagrad"]
        want["adagrad"] = (*ref.adagrad(a[0], g, a[1], rate, 1e-8), a[2])
        a = want["rmsprop"]
        want["rmsprop"] = (*ref.rmsprop(a[0], g, a[1], rate, 0.9, 1e-8), a[2])
        want["adam"] = ref.adam(want["adam"][0], g, *want["adam"][1:], k, rate, 0.9, 0.99, 1e-8)
        for n in names:
            assert_close(w[n], want[n][0], terms=4)
    assert t.numpy().tolist() == [4]


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_adaptive_exact(rng, shape):
    # Powers of two: every root and quotient is exact.
    w, g = integers(rng, shape), 2 * rng.choice([-1.0, 1.0], shape).astype(np.float32)
    a, b = w.copy(), w.copy()
    h = np.full(shape, 12, np.float32)
    eps = 4.0
    want, want_h = ref.adagrad(w.astype(F64), g, h.astype(F64), 1.0, eps)
    ops.adagrad_update(a, g, h, one(1.0), eps=eps)
    assert_exact(a, want)
    assert_exact(h, want_h)
    h = np.full(shape, 24, np.float32)
    want, want_h = ref.rmsprop(w.astype(F64), g, h.astype(F64), 1.0, 0.5, 2.0)
    ops.rmsprop_update(b, g, h, one(1.0), alpha=0.5, eps=2.0)
    assert_exact(b, want)
    assert_exact(h, want_h)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eps_inside", [False, True])
def test_adam_exact(rng, shape, eps_inside):
    w, g = integers(rng, shape), 2 * rng.choice([-1.0, 1.0], shape).astype(np.float32)
    m, v = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    kw = {"beta1": 0.5, "beta2": 0.75, "eps": 12.0 if eps_inside else 6.0}
    kw["eps_inside"] = eps_inside
    want = ref.adam(w.astype(F64), g, 0.0, 0.0, 1, 2.0, **kw)
    ops.adam_update(w, g, m, v, np.array([1], np.int64), one(2.0), **kw)
    for got, expected in zip((w, m, v), want, strict=True):
        assert_exact(got, np.broadcast_to(expected, shape))


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eps_inside", [False, True])
@pytest.mark.parametrize("t", [1, 7, 100000])
def test_adam_close(rng, shape, eps_inside, t):
    w, g, m, v = (normal(rng, shape) for _ in range(4))
    v = v**2 + 1
    kw = {"eps_inside": eps_inside, "weight_decay": 0.01, "l2": 0.02}
    want = ref.adam(
        *(x.astype(F64) for x in (w, g, m, v)), t, float(np.float32(0.1)), 0.9, 0.999, 1e-8, **kw
    )
    ops.adam_update(w, g, m, v, np.array([t], np.int64), one(0.1), **kw)
    for got, expected in zip((w, m, v), want, strict=True):
        assert_close(got, expected)


@pytest.mark.devices
@pytest.mark.parametrize("shape", SHAPES)
def test_adaptive_close(rng, shape):
    kw = {"weight_decay": 0.01, "l2": 0.02}
    lr = float(np.float32(0.1))
    for update, reference, attrs in (
        (ops.adagrad_update, ref.adagrad, {"eps": 1e-10}),
        (ops.rmsprop_update, ref.rmsprop, {"alpha": 0.99, "eps": 1e-8}),
    ):
        w, g, h = normal(rng, shape), normal(rng, shape), normal(rng, shape) ** 2 + 1
        want = reference(w.astype(F64), g.astype(F64), h.astype(F64), lr, **attrs, **kw)
        update(w, g, h, one(0.1), **attrs, **kw)
        for got, expected in zip((w, h), want, strict=True):
            assert_close(got, expected)


def step(case, z, w, g, states, t):
    get = lambda k, d=0.0: float(z.get(f"{case}.{k}", d))  # noqa: E731
    lr = one(get("lr"))
    kw = {"weight_decay": get("weight_decay"), "l2": get("l2_lambda")}
    kind = case.split("_")[0]
    if kind == "sgd":
        ops.sgd_update(w, g, None, lr, **kw)
    elif kind == "momentum":
        ops.sgd_update(w, g, states[0], lr, momentum=get("alpha"), **kw)
    elif kind == "adagrad":
        ops.adagrad_update(w, g, states[0], lr, eps=get("eps"), **kw)
    elif kind == "rmsprop":
        ops.rmsprop_update(w, g, states[0], lr, alpha=get("alpha"), eps=get("eps"), **kw)
    else:
        betas = {"beta1": get("beta1"), "beta2": get("beta2"), "eps": get("eps")}
        inside = case == "adam_eps_inside"
        ops.adam_update(
            w, g, *states, np.array([t], np.int64), lr, eps_inside=inside, **betas, **kw
        )


@pytest.mark.devices
@pytest.mark.parametrize(
    "case", [c for c in cases("optimizers") if f"{c}.w0" in vectors("optimizers")]
)
def test_vectors(case):
    z = vectors("optimizers")
    w = z[f"{case}.w0"].copy()
    states = [np.zeros_like(w), np.zeros_like(w)]
    got = []
    for t, g in enumerate(z[f"{case}.g"], 1):
        step(case, z, w, g, states, t)
        got.append(w.copy())
    assert_vector(np.stack(got), z[f"{case}.w"], 2e-5)


def test_bits_do_not_depend_on_threads(rng, threads):
    w0, g, v0 = (normal(rng, (70001,)) for _ in range(3))
    found = []
    for n in (1, 3):
        _core.set_threads(n)
        w, v = w0.copy(), v0.copy()
        ops.sgd_update(w, g, v, one(0.1), momentum=0.9, weight_decay=0.01)
        found.append((w, v))
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])


def zeros(n=3, dtype=np.float32):
    return np.zeros(n, dtype)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.sgd_update(zeros(), zeros(4), None, one(1)), ShapeError, r"g must have shape"),
        (
            lambda: ops.sgd_update(zeros(), zeros(), zeros(2), one(1)),
            ShapeError,
            r"v must have sha",
        ),
        (
            lambda: ops.sgd_update(zeros(), zeros(), None, zeros(2)),
            ShapeError,
            r"lr must have shape",
        ),
        (
            lambda: ops.sgd_update(zeros(3, F64), zeros(), None, one(1)),
            DTypeError,
            "w must be float",
        ),
        (
            lambda: ops.sgd_update(zeros(), zeros(3, F64), None, one(1)),
            DTypeError,
            "g must be float",
        ),
        (lambda: ops.sgd_update(zeros(), zeros(), None, one(1).astype(F64)), DTypeError, "lr must"),
        (
            lambda: ops.sgd_update(zeros(), zeros(), None, one(1), momentum=0.5),
            ValueError,
            "momentum must be 0 without v, got 0.5",
        ),
        (
            lambda: ops.sgd_update(zeros(), zeros(), zeros(), one(1), momentum=1.0),
            ValueError,
            r"momentum must lie in \[0, 1\), got 1",
        ),
        (
            lambda: ops.sgd_update(zeros(), zeros(), None, one(1), weight_decay=-1.0),
            ValueError,
            "weight_decay must be at least 0",
        ),
        (
            lambda: ops.sgd_update(zeros(), zeros(), None, one(1), l2=float("nan")),
            ValueError,
            "l2 must be at least 0",
        ),
        (
            lambda: ops.adagrad_update(zeros(), zeros(), zeros(), one(1), eps=0.0),
            ValueError,
            "adagrad_update: eps must be positive",
        ),
        (
            lambda: ops.rmsprop_update(zeros(), zeros(), zeros(), one(1), alpha=1.5),
            ValueError,
            "rmsprop_update: alpha must lie in",
        ),
        (
            lambda: ops.adam_update(
                zeros(), zeros(), zeros(), zeros(), np.array([0], np.int64), one(1)
            ),
            ValueError,
            "t must count updates from 1, got 0",
        ),
        (
            lambda: ops.adam_update(
                zeros(), zeros(), zeros(), zeros(), np.array([1], np.int32), one(1)
            ),
            DTypeError,
            "t must be int64, got int32",
        ),
        (
            lambda: ops.adam_update(
                zeros(), zeros(), zeros(), zeros(), np.array([1]), one(1), beta2=-0.1
            ),
            ValueError,
            "beta2 must lie in",
        ),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_refuses_shared_memory():
    w = zeros()
    with pytest.raises(ValueError, match="w must not overlap g"):
        ops.sgd_update(w, w, None, one(1))
    with pytest.raises(ValueError, match="v must not overlap m"):
        ops.adam_update(zeros(), zeros(), w, w, np.array([1]), one(1))


def test_a_refused_update_changes_nothing(rng):
    w, m, v = normal(rng, (4,)), zeros(4), zeros(4)
    before = w.copy()
    with pytest.raises(ValueError, match="t must"):
        ops.adam_update(w, normal(rng, (4,)), m, v, np.array([0]), one(1))
    assert np.array_equal(w, before)


def test_graph_nodes_without_outputs():
    g = Graph()
    w, dw, lr = (g.add_state(n, Spec(s)) for n, s in (("w", (3,)), ("dw", (3,)), ("lr", (1,))))
    assert g.add(ops.SGD_UPDATE, (w, dw, None, lr), {"weight_decay": 0.1}) == ()
    with pytest.raises(GraphError, match="must be given"):
        g.add(ops.SGD_UPDATE, (w, None, None, lr))
    again = Graph.from_json(g.to_json())
    assert again.nodes[0].op is ops.SGD_UPDATE


def test_ties_cover_gradient_and_states():
    specs = {"w": Spec((4, 3)), "g": Spec((4, 3)), "v": Spec((4, 3)), "lr": Spec((1,))}
    ties = ops.SGD_UPDATE.ties(specs, {}, {})
    assert {(t.a, t.b) for t in ties} == {(("w", i), (a, i)) for a in "gv" for i in (0, 1)}
