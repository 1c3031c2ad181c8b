"""batch_norm and batch_norm_inference: vectors, exact, close, gradient, refuses, determinism."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import (
    array,
    assert_close,
    assert_exact,
    assert_vector,
    cases,
    central_difference,
    integers,
    normal,
    vectors,
)
from reference import batch_norm as ref
from sentei import _core
from sentei.errors import ShapeError
from sentei.ops import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference_backward,
    batch_norm_inference_backward_input,
    batch_norm_inference_forward,
)
from sentei.tensor import Tensor

EPS = 1e-5
SHAPES = [
    (1, 1, 1, 1),
    (1, 1, 1, 37),
    (5, 13),
    (7, 1),
    (2, 3, 5, 1),
    (4, 7, 5, 3),
    (3, 5, 7, 13),
    (2, 9, 9, 16),
    (2, 3, 4, 37),
    (3, 17, 13, 64),
    (2, 5, 3, 109),
    (100, 12, 11, 13),
    (40, 512),
]


def unaligned(a, device):
    """A copy of `a` on the device, 4 bytes off any boundary."""
    whole = Tensor.from_numpy(np.concatenate([np.zeros(1, np.float32), a.ravel()])).to(device)
    return whole.view(a.shape, 4)


def channels(rng, c):
    return [normal(rng, (c,)) for _ in range(3)] + [np.abs(normal(rng, (c,))) + np.float32(0.1)]


@pytest.mark.devices
@pytest.mark.parametrize("case", cases("batchnorm"))
def test_vectors(case):
    v = {k[len(case) + 1 :]: a for k, a in vectors("batchnorm").items() if k.startswith(case + ".")}
    tol = 5e-5 if case == "hard" else 1e-5
    eps, momentum = float(v["eps"]), float(v["momentum"])
    running = v["running_mean_0"].copy(), v["running_var_0"].copy()
    args = (v["x"], v["gamma"], v["beta"], *running)
    y, mean, rstd = batch_norm_forward(*args, eps=eps, momentum=momentum)
    assert_vector(y, v["train.y"], tol)
    assert_vector(mean, v["train.mean"], tol)
    assert_vector(rstd, 1 / np.sqrt(v["train.var"] + eps), tol)
    assert_vector(running[0], v["train.running_mean"], tol)
    assert_vector(running[1], v["train.running_var"], tol)
    grads = batch_norm_backward(v["dy"], v["x"], v["gamma"], mean, rstd)
    for got, name in zip(grads, ("dx", "dgamma", "dbeta"), strict=True):
        assert_vector(got, v[f"train.{name}"], tol)
    fixed = v["running_mean_0"], v["running_var_0"]
    assert_vector(
        batch_norm_inference_forward(v["x"], v["gamma"], v["beta"], *fixed, eps=eps),
        v["eval.y"],
        tol,
    )
    grads = batch_norm_inference_backward(v["dy"], v["x"], v["gamma"], *fixed, eps=eps)
    for got, name in zip(grads, ("dx", "dgamma", "dbeta"), strict=True):
        assert_vector(got, v[f"eval.{name}"], tol)
    dx = batch_norm_inference_backward_input(v["dy"], v["gamma"], fixed[1], eps=eps)
    assert_vector(dx, v["eval.dx"], tol)


@pytest.mark.devices
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("c", [1, 3, 13, 16, 37, 64, 109])
def test_exact(rng, c, relu):
    # Balanced +-1: mean 0, variance 1; eps 3 makes rstd 1/2.
    x = np.where(np.arange(4 * 6 * 2).reshape(4, 6, 2, 1) % 2, 1, -1).astype(np.float32)
    x = x * rng.choice(np.float32([-1, 1]), c)
    gamma, beta = 2 * integers(rng, (c,)), integers(rng, (c,))
    running = np.full(c, 4, np.float32), np.full(c, 5, np.float32)
    y, mean, rstd = batch_norm_forward(x, gamma, beta, *running, eps=3.0, momentum=0.5, relu=relu)
    assert_exact(mean, np.zeros(c))
    assert_exact(rstd, np.full(c, 0.5))
    assert_exact(y, ref.normalise(x, gamma, beta, np.zeros(c), np.ones(c), 3.0, relu))
    assert_exact(running[0], np.full(c, 2.0))
    assert_exact(running[1], np.full(c, 3.0))
    dy = integers(rng, x.shape)
    dx, dgamma, dbeta = batch_norm_inference_backward(
        dy, x, gamma, mean, np.ones(c, np.float32), beta, eps=3.0, relu=relu
    )
    want = ref.frozen_gradient(dy, x, gamma, beta, np.zeros(c), np.ones(c), 3.0, relu)
    for got, w in zip((dx, dgamma, dbeta), want, strict=True):
        assert_exact(got, w)
    _, dgamma, dbeta = batch_norm_backward(dy, x, gamma, mean, rstd, beta, relu=relu)
    assert_exact(dgamma, want[1])
    assert_exact(dbeta, want[2])


@pytest.mark.devices
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_close(rng, shape, relu):
    x, dy = normal(rng, shape), normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, shape[-1])
    mean, var = ref.statistics(x)
    n = x.size // shape[-1]
    running = rm.copy(), rv.copy()
    y, m, rstd = batch_norm_forward(x, gamma, beta, *running, relu=relu)
    assert_close(m, mean, n, scale=1.0)
    assert_close(rstd, 1 / np.sqrt(var + EPS), n)
    assert_close(running[0], 0.9 * rm + 0.1 * mean, n)
    assert_close(running[1], 0.9 * rv + 0.1 * var, n)
    assert_close(y, ref.normalise(x, gamma, beta, mean, var, EPS, relu), n, scale=5.0)
    want = ref.gradient(dy, x, gamma, beta, EPS, relu)
    grads = batch_norm_backward(dy, x, gamma, m, rstd, beta, relu=relu)
    scale = max(float(np.abs(gamma / np.sqrt(var + EPS)).max()) * 4, 1.0)
    for got, w, s in zip(grads, want, (scale, float(n), float(n)), strict=True):
        assert_close(got, w, n, scale=s)
    y = batch_norm_inference_forward(x, gamma, beta, rm, rv, relu=relu)
    assert_close(y, ref.normalise(x, gamma, beta, rm, rv, EPS, relu), scale=30.0)
    want = ref.frozen_gradient(dy, x, gamma, beta, rm, rv, EPS, relu)
    grads = batch_norm_inference_backward(dy, x, gamma, rm, rv, beta, relu=relu)
    for got, w in zip(grads, want, strict=True):
        assert_close(got, w, n, scale=max(float(np.abs(w).max()), 1.0) * n**0.5)
    dx = batch_norm_inference_backward_input(dy, gamma, rv, x, rm, beta, relu=relu)
    assert np.array_equal(array(dx), array(grads[0]))


@pytest.mark.devices
def test_statistics_of_many_pixels_far_from_zero(rng):
    """1e5 pixels of mean 1000 and deviation 1, the first pixel an outlier; plain sums of squares fail."""
    x = (normal(rng, (10, 100, 100, 3)) + np.float32(1000)).astype(np.float32)
    x[0, 0, 0] = 0
    x[..., 2] = 1234.5
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    y, m, rstd = batch_norm_forward(x, ones, zeros, zeros.copy(), ones.copy())
    mean, var = ref.statistics(x)
    assert_close(m, mean)
    assert_close(rstd, 1 / np.sqrt(var + EPS), 128)
    assert_exact(array(y)[..., 2], np.zeros(x.shape[:-1]))
    assert_exact(array(rstd)[2], np.float64(np.float32(1 / np.sqrt(EPS))))


@pytest.mark.devices
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_gradient_is_the_slope(rng, relu, frozen):
    shape = (3, 2, 3, 5)
    x, dy = normal(rng, shape), normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, 5)

    def loss(x, gamma, beta):
        mean, var = (rm, rv) if frozen else ref.statistics(x)
        return float((ref.normalise(x, gamma, beta, mean, var, EPS, relu) * dy).sum())

    if frozen:
        dx, dgamma, dbeta = batch_norm_inference_backward(dy, x, gamma, rm, rv, beta, relu=relu)
    else:
        _, m, rstd = batch_norm_forward(x, gamma, beta, rm, rv, relu=relu)
        dx, dgamma, dbeta = batch_norm_backward(dy, x, gamma, m, rstd, beta, relu=relu)
    for i in [(0, 0, 0, 0), (1, 1, 2, 3), (2, 0, 1, 4)]:
        slope = central_difference(lambda a: loss(a, gamma, beta), x, i)
        assert array(dx)[i] == pytest.approx(slope, rel=1e-3, abs=1e-4)
    for c in range(5):
        slope = central_difference(lambda a: loss(x, a, beta), gamma, (c,))
        assert array(dgamma)[c] == pytest.approx(slope, rel=1e-3, abs=1e-4)
        slope = central_difference(lambda a: loss(x, gamma, a), beta, (c,))
        assert array(dbeta)[c] == pytest.approx(slope, rel=1e-3, abs=1e-4)


@pytest.mark.devices
def test_relu_mask_is_the_forward_one(rng):
    """A gradient passes exactly where the forward value is above 0, also where rounding decides."""
    x = normal(rng, (50, 37)) * np.float32(1e-7) + np.float32(1)
    gamma, beta, rm, rv = channels(rng, 37)
    beta[:] = 0
    y, m, rstd = batch_norm_forward(x, gamma, beta, rm, rv, relu=True)
    _, _, dbeta = batch_norm_backward(np.ones_like(x), x, gamma, m, rstd, beta, relu=True)
    assert_exact(dbeta, (array(y) > 0).sum(axis=0).astype(np.float64))
    zero = np.zeros(37, np.float32)
    y, m, rstd = batch_norm_forward(x, zero, zero, rm, rv, relu=True)
    dx, _, dbeta = batch_norm_backward(np.ones_like(x), x, zero, m, rstd, zero, relu=True)
    assert not array(dbeta).any() and not array(dx).any()  # 0 at 0


@pytest.mark.devices
def test_nan_stays_visible(rng):
    x = normal(rng, (4, 13))
    x[2, 5] = np.nan
    one = np.ones(13, np.float32)
    y = batch_norm_inference_forward(x, one, one, one, one, relu=True)
    assert np.array_equal(np.isnan(array(y)), np.isnan(x))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("shape", [(100, 14, 14, 37), (64, 16, 16, 64), (300, 109)])
def test_bits_do_not_depend_on_threads(rng, shape):
    x, dy = normal(rng, shape), normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, shape[-1])
    runs = []
    for n in (1, 2, 3, 3):
        _core.set_threads(n)
        running = rm.copy(), rv.copy()
        out = batch_norm_forward(x, gamma, beta, *running, relu=True)
        out += batch_norm_backward(dy, x, gamma, *out[1:], beta, relu=True)
        out += batch_norm_inference_backward(dy, x, gamma, rm, rv, beta, relu=True)
        runs.append([*(np.asarray(t).tobytes() for t in out), *(r.tobytes() for r in running)])
    assert all(r == runs[0] for r in runs)


@pytest.mark.devices
@pytest.mark.parametrize("shape", [(100, 14, 14, 37), (300, 512)])
def test_same_bits_twice(rng, shape):
    x, dy = normal(rng, shape), normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, shape[-1])
    runs = []
    for _ in range(2):
        running = rm.copy(), rv.copy()
        out = batch_norm_forward(x, gamma, beta, *running, relu=True)
        out += batch_norm_backward(dy, x, gamma, *out[1:], beta, relu=True)
        out += batch_norm_inference_backward(dy, x, gamma, rm, rv, beta, relu=True)
        runs.append([*(array(t).tobytes() for t in out), *(r.tobytes() for r in running)])
    assert runs[0] == runs[1]


@pytest.mark.devices
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 5, 16), (3, 5, 7, 13), (70000, 64)])
def test_unaligned(rng, device, shape, relu):
    """Tensors at any multiple of 4 bytes; the last shape also has many rows for a thread to sum."""
    x, dy = normal(rng, shape) + np.float32(30), normal(rng, shape)
    gamma, beta, rm, rv = channels(rng, shape[-1])
    odd = [unaligned(a, device) for a in (x, dy, gamma, beta, rm, rv)]
    n = x.size // shape[-1]
    mean, var = ref.statistics(x)
    running = [Tensor.from_numpy(a).to(device) for a in (rm, rv)]
    y, m, rstd = batch_norm_forward(odd[0], *odd[2:4], *running, relu=relu)
    assert_close(m, mean)
    assert_close(rstd, 1 / np.sqrt(var + EPS), n)
    assert_close(y, ref.normalise(x, gamma, beta, mean, var, EPS, relu), n, scale=30.0)
    aligned = batch_norm_forward(x, *odd[2:4], *running, relu=relu)
    assert_close(aligned[0], array(y), n, scale=30.0)
    want = ref.frozen_gradient(dy, x, gamma, beta, array(m), 1 / array(rstd) ** 2, EPS, False)
    _, dgamma, dbeta = batch_norm_backward(odd[1], odd[0], odd[2], m, rstd)
    assert_close(dgamma, want[1], n, scale=float(n))
    assert_close(dbeta, want[2], n, scale=float(n))
    grads = batch_norm_backward(odd[1], odd[0], odd[2], m, rstd, odd[3], relu=relu)
    want = batch_norm_backward(dy, x, gamma, m, rstd, beta, relu=relu)
    for got, w, s in zip(grads, want, (30.0, float(n), float(n)), strict=True):
        assert_close(got, array(w), n, scale=s)
    grads = batch_norm_inference_backward(odd[1], odd[0], odd[2], *odd[4:], odd[3], relu=relu)
    want = batch_norm_inference_backward(dy, x, gamma, rm, rv, beta, relu=relu)
    for got, w, s in zip(grads, want, (1.0, 30.0 * n, float(n)), strict=True):
        assert_close(got, array(w), n, scale=s)
    dx = batch_norm_inference_backward_input(
        odd[1], odd[2], odd[5], odd[0], odd[4], odd[3], relu=relu
    )
    assert np.array_equal(array(dx), array(grads[0]))


@pytest.mark.devices
def test_in_place(rng, device):
    x, dy = normal(rng, (6, 5, 4, 37)), normal(rng, (6, 5, 4, 37))
    gamma, beta, rm, rv = channels(rng, 37)
    want = batch_norm_inference_forward(x, gamma, beta, rm, rv).numpy()
    t = Tensor.from_numpy(x).to(device)
    small = [Tensor.from_numpy(a).to(device) for a in (gamma, beta, rm, rv)]
    scratch = Tensor.empty((_core.batch_norm_workspace(x.shape, device),), "uint8", device=device)
    _core.batch_norm_inference_forward(t, *small, t, scratch, EPS, False)
    assert np.array_equal(t.numpy(), want)
    _, m, rstd = batch_norm_forward(x, gamma, beta, rm, rv)
    want = batch_norm_backward(dy, x, gamma, m, rstd)[0].numpy()
    t, out = (
        Tensor.from_numpy(dy).to(device),
        [Tensor.empty((37,), device=device) for _ in range(2)],
    )
    args = (t, Tensor.from_numpy(x).to(device), small[0], m, rstd, None, t, *out, scratch, False)
    _core.batch_norm_backward(*args)
    assert np.array_equal(t.numpy(), want)


@pytest.mark.devices
def test_empty_batch():
    x = np.zeros((0, 3, 3, 5), np.float32)
    one = np.ones(5, np.float32)
    assert batch_norm_inference_forward(x, one, one, one, one).shape == x.shape
    dx, dgamma, dbeta = batch_norm_inference_backward(x, x, one, one, one)
    assert dx.shape == x.shape
    assert_exact(dgamma, np.zeros(5))
    assert_exact(dbeta, np.zeros(5))
    assert batch_norm_inference_backward_input(x, one, one).shape == x.shape
    with pytest.raises(ShapeError, match="x must have at least one element per channel"):
        batch_norm_forward(x, one, one, one, one)
    with pytest.raises(ShapeError, match="x must have at least one element per channel"):
        batch_norm_backward(x, x, one, one, one)


@pytest.mark.devices
def test_no_channels():
    x, none = np.zeros((2, 3, 3, 0), np.float32), np.zeros(0, np.float32)
    assert batch_norm_inference_forward(x, none, none, none, none).shape == x.shape
    grads = batch_norm_inference_backward(x, x, none, none, none)
    assert [g.shape for g in grads] == [x.shape, (0,), (0,)]
    assert batch_norm_inference_backward_input(x, none, none).shape == x.shape
