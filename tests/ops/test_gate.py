"""Gates: h(m), gated weights, penalty, clipping: exact, close, gradient, refuses; vectors."""

from __future__ import annotations

import numpy as np
import pytest

import reference.gate as ref
from eager_context import gradients
from helpers import (
    array,
    assert_close,
    assert_exact,
    assert_vector,
    central_difference,
    integers,
    normal,
    shifted,
    vectors,
)
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec
from sentei.ops import (
    GATE,
    GATE_PENALTY,
    GATE_WEIGHTS,
    channel_scale_backward,
    channel_scale_forward,
    gate_backward,
    gate_clip_update,
    gate_forward,
    gate_penalty_backward,
    gate_penalty_forward,
    gate_weights_backward,
    gate_weights_forward,
)
from sentei.tensor import Tensor

KINDS = [("step", 50.0), ("sigmoid", 50.0), ("sigmoid", 3.0)]
ONE = np.ones(1, np.float32)
ROWS = [
    ((1,), 1),
    ((37,), 1),
    ((13, 3, 3, 5), 1),
    ((6, 1, 1, 1), 1),
    ((5, 700), 1),
    ((3, 20000), 1),
]
ROWS += [((6, 3, 3, 4), 4), ((40, 37), 2), ((0, 3), 1), ((3, 0), 1)]


@pytest.mark.devices
@pytest.mark.parametrize(("kind", "alpha"), KINDS)
@pytest.mark.parametrize("n", [0, 1, 13, 37, 40000])
def test_gate_and_its_gradient(rng, n, kind, alpha):
    m, dh = (0.1 * normal(rng, (n,))).astype(np.float32), normal(rng, (n,))
    m[: n // 7] = 0
    h = gate_forward(m, kind=kind, alpha=alpha)
    if kind == "step":
        assert_exact(h, ref.value(m, kind, alpha))
    # alpha m is rounded before the exponential
    assert_close(h, ref.value(m, kind, alpha), terms=16)
    (dm,) = gradients(GATE, {"m": m}, [dh], kind=kind, alpha=alpha)
    assert_close(dm, dh * ref.slope(m, kind, alpha), terms=64)


@pytest.mark.devices
def test_gate_of_extreme_numbers():
    m = np.array([0, -0.0, 1e-38, -1e-38, 1e4, -1e4, 3e38, -3e38], np.float32)
    one = np.ones_like(m)
    assert array(gate_forward(m, kind="step")).tolist() == [0, 0, 1, 0, 1, 0, 1, 0]
    assert array(gate_forward(m)).tolist() == [0.5, 0.5, 0.5, 0.5, 1, 0, 1, 0]
    assert array(gate_backward(m, one)).tolist() == [12.5] * 4 + [0] * 4
    for kind in ("step", "sigmoid"):
        nan = np.array([np.nan], np.float32)
        assert np.isnan(array(gate_forward(nan, kind=kind))).all()
        assert np.isnan(array(gate_backward(nan, ONE, kind=kind))).all()


@pytest.mark.devices
@pytest.mark.parametrize("estimator", ["value", "sign"])
@pytest.mark.parametrize(("shape", "rank"), ROWS)
def test_gated_weights_exact(rng, shape, rank, estimator):
    w, dy, h = integers(rng, shape), integers(rng, shape), integers(rng, shape[:rank], 2)
    wide = h.reshape(*h.shape, *[1] * (len(shape) - rank)).astype(np.float64)
    assert_exact(gate_weights_forward(w, h), w * wide)
    want = ref.weights_gradient(dy, w, h, estimator)
    for got, expected in zip(
        gate_weights_backward(dy, w, h, estimator=estimator), want, strict=True
    ):
        assert_exact(got, expected)


@pytest.mark.devices
def test_gated_weights_close(rng, device):
    w, dy, h = normal(rng, (9, 3, 3, 130)), normal(rng, (9, 3, 3, 130)), normal(rng, (9,))
    want = ref.weights_gradient(dy, w, h, "value")
    for given in (w, shifted(w, device)):
        dw, dh = gate_weights_backward(dy, given, h)
        assert_close(dw, want[0])
        assert_close(dh, want[1], 9 * 130, scale=(9 * 130) ** 0.5)


@pytest.mark.devices
def test_gated_weights_gradient(rng):
    w, h, dy = normal(rng, (3, 2, 2, 5)), normal(rng, (3,)), normal(rng, (3, 2, 2, 5))

    def loss(w_, h_):
        return float((w_ * h_.reshape(-1, 1, 1, 1) * dy.astype(np.float64)).sum())

    dw, dh = gradients(GATE_WEIGHTS, {"w": w, "h": h}, [dy], estimator="value")
    for k in range(3):
        assert dh[k] == pytest.approx(central_difference(lambda a: loss(w, a), h, (k,)), rel=1e-4)
        i = (k, 1, 0, 2)
        assert dw[i] == pytest.approx(central_difference(lambda a: loss(a, h), w, i), rel=1e-4)


@pytest.mark.devices
@pytest.mark.parametrize("n", [0, 1, 13, 5000])
def test_penalty(rng, n):
    h = rng.integers(0, 2, n).astype(np.float32)
    got = array(gate_penalty_forward(h, lam=0.5))
    want = 0.5 * float(h.mean()) if n else 0.0
    assert got == pytest.approx(want, rel=1e-6)
    (dh,) = gradients(GATE_PENALTY, {"h": h}, [np.array([2.0], np.float32)], lam=0.5)
    assert_close(dh, np.full(n, 1 / n) if n else np.zeros(0))


@pytest.mark.devices
def test_clip(device):
    m = Tensor.from_numpy(np.array([-3, -1, -0.5, 0.25, 1, 7, np.nan], np.float32)).to(device)
    gate_clip_update(m)
    assert array(m)[:6].tolist() == [-1, -1, -0.5, 0.25, 1, 1] and np.isnan(array(m)[6])


@pytest.mark.usefixtures("threads")
def test_bits_do_not_depend_on_threads(rng):
    w, dy, h = normal(rng, (70, 3000)), normal(rng, (70, 3000)), normal(rng, (70,))
    runs = []
    for n in (1, 2, 3, 3):
        _core.set_threads(n)
        out = [gate_weights_forward(w, h), *gate_weights_backward(dy, w, h)]
        out += [gate_forward(w), gate_backward(w, dy), gate_penalty_forward(w, lam=1.0)]
        runs.append([np.asarray(t).tobytes() for t in out])
    assert all(r == runs[0] for r in runs)


@pytest.mark.devices
@pytest.mark.parametrize("kind", ["step", "sigmoid"])
@pytest.mark.parametrize("case", ["layers", "layer"])
def test_vectors_of_layers(case, kind):
    v = vectors("aux_masks")
    alpha, lam, total, i = float(v["alpha"]), float(v[f"{case}.lambda"]), 0.0, 0
    while f"{case}.m_{i}" in v:
        m = v[f"{case}.m_{i}"]
        h = gate_forward(m, kind=kind, alpha=alpha)
        assert_vector(h, v[f"{case}.{kind}.h_{i}"], 5e-5)
        slope = gate_backward(m, np.ones_like(m), kind=kind, alpha=alpha)
        assert_vector(slope, v[f"{case}.{kind}.slope_{i}"], 5e-5)
        dh = gate_penalty_backward(Spec(m.shape), ONE, lam=lam)
        dm = gate_backward(m, dh, kind=kind, alpha=alpha)
        assert_vector(dm, v[f"{case}.{kind}.reg_grad_{i}"], 5e-5)
        total += float(array(gate_penalty_forward(h, lam=lam))[0])
        i += 1
    assert i > 0 and total == pytest.approx(float(v[f"{case}.{kind}.regulariser"]), rel=5e-5)


@pytest.mark.devices
@pytest.mark.parametrize("kind", ["step", "sigmoid"])
def test_vectors_of_filters(kind, device):
    v = vectors("aux_masks")
    m, u, dy = v["filter.m"], v["filter.u"], v["filter.grad_out"]
    alpha, lam, lr = float(v["alpha"]), float(v["filter.lambda"]), float(v["filter.lr"])
    h = gate_forward(m, kind=kind, alpha=alpha)
    assert_vector(channel_scale_forward(u, h), v[f"filter.{kind}.y"], 5e-5)
    du, dh = channel_scale_backward(dy, u, h)
    assert_vector(du, v[f"filter.{kind}.du"], 5e-5)
    dm = array(gate_backward(m, dh, kind=kind, alpha=alpha))
    assert_vector(dm, v[f"filter.{kind}.dm"], 5e-5)
    given = gate_penalty_backward(Spec(m.shape), ONE, lam=lam)
    reg = array(gate_backward(m, given, kind=kind, alpha=alpha))
    assert_vector(reg, v[f"filter.{kind}.reg_grad"], 5e-5)
    moved = Tensor.from_numpy((m - np.float32(lr) * (dm + reg)).astype(np.float32)).to(device)
    gate_clip_update(moved, bound=1.0)
    assert_vector(moved, v[f"filter.{kind}.m_next"], 5e-5)


@pytest.mark.devices
def test_vectors_of_single_weights():
    v = vectors("aux_masks")
    w, m = v["weight.w"], v["weight.m"]
    h = gate_forward(m, kind="step")
    assert_vector(gate_weights_forward(w, h), v["weight.masked_w"], 5e-5)
    _, dh = gate_weights_backward(v["weight.grad_masked_w"], w, h, estimator="sign")
    assert_vector(gate_backward(m, dh, kind="step"), v["weight.dm"], 5e-5)


def z(*shape):
    return np.zeros(shape, np.float32)


def test_refuses():
    with pytest.raises(ValueError, match="kind must be 'step' or 'sigmoid', got 'hard'"):
        gate_forward(z(3), kind="hard")
    with pytest.raises(ValueError, match="alpha must be a finite number > 0, got 0"):
        gate_backward(z(3), z(3), alpha=0.0)
    with pytest.raises(ShapeError, match=r"dh must have shape \(3,\), got \(2,\)"):
        gate_backward(z(3), z(2))
    for h in (z(3), z(2, 4), z(2, 3, 1)):
        with pytest.raises(ShapeError, match="h must have the shape that w begins with"):
            gate_weights_forward(z(2, 3), h)
        with pytest.raises(ShapeError, match="h must have the shape that w begins with"):
            _core.gate_weights_forward(
                Tensor.zeros((2, 3)), Tensor.from_numpy(h), Tensor.zeros((2, 3))
            )
    with pytest.raises(ShapeError, match=r"dy must have shape \(2, 3\), got \(3, 2\)"):
        gate_weights_backward(z(3, 2), z(2, 3), z(2))
    with pytest.raises(ValueError, match="estimator must be 'value' or 'sign', got 'other'"):
        gate_weights_backward(z(2, 3), z(2, 3), z(2), estimator="other")
    with pytest.raises(DTypeError, match="m must be float32, got float64"):
        gate_forward(np.zeros(3))
    with pytest.raises(ValueError, match="gate_penalty_forward: lam must be a finite number >= 0"):
        gate_penalty_forward(z(3), lam=-1.0)
    with pytest.raises(ValueError, match="gate_clip: bound must be a finite number >= 0"):
        gate_clip_update(z(3), bound=-1.0)
    t = Tensor.zeros((2, 3))
    with pytest.raises(ValueError, match="dh must not overlap w"):
        _core.gate_weights_backward(
            Tensor.zeros((2, 3)), t, Tensor.zeros((2,)), Tensor.zeros((2, 3)), t.view((2,)), "value"
        )


def test_ties():
    ins = {"w": Spec((4, 3, 3, 2)), "h": Spec((4,))}
    ties = GATE_WEIGHTS.ties(ins, {"y": ins["w"]}, {})
    assert {(t.a, t.b) for t in ties} == {(("w", i), ("y", i)) for i in range(4)} | {
        (("h", 0), ("y", 0))
    }
