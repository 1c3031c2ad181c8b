"""Analytic against numeric gradients, as exactly as float32 allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sentei.errors import GraphError
from sentei.losses import CrossEntropy, Loss
from sentei.model import Model
from sentei.regularizers import Regularizer
from sentei.workflow.check.anatomy import Anatomy

__all__ = ["GradientCheck", "GradientRow", "check_gradients"]

_LADDER = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4)  # rounding at one end, kinks at the other
_CHANGE = 0.03  # by which the longest step is to change the objective, relative
_ROUNDING = 2e-7  # of the objective, relative to max(1, it)
_FAINT = 1e-4  # of the largest gradient: differences below it are rounding
Verdict = Literal["ok", "wrong", "zero", "too small", "not reached"]


@dataclass(frozen=True)
class GradientRow:
    """One parameter. norm: |g|; error: the largest difference over its directions, relative.

    verdict: "ok"; "wrong"; "zero": both vanish; "too small": it, or the difference, is below what
    float32 can show; "not reached": the loss does not depend on it.
    """

    layer: str
    parameter: str
    size: int
    norm: float
    error: float | None
    verdict: Verdict


@dataclass(frozen=True)
class GradientCheck:
    """All parameters of a model."""

    rows: tuple[GradientRow, ...]
    loss: float
    samples: int
    tolerance: float

    @property
    def ok(self) -> bool:
        return not any(r.verdict == "wrong" for r in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The check as JSON data."""
        return {**asdict(self), "ok": self.ok}


def check_gradients(
    model: Model,
    x: NDArray[np.float32],
    labels: NDArray[Any],
    loss: Loss | None = None,
    regularizers: Sequence[Regularizer] = (),
    *,
    directions: int = 2,
    tolerance: float = 0.02,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> GradientCheck:
    """Compare the gradient of every parameter with central differences along some directions.

    (f(w + h v) - f(w - h v)) / 2 h = g . v, with v about half of g's elements and as much of their
    signs (random ones where g is 0), so that a wrong element anywhere shows; h from seven lengths, and
    what two of them say of h = 0: the best counts. f sums the losses of the samples in float64, from
    outputs in float32.

    Args:
        model: not changed; in training form: batch norm takes the batch's statistics, dropout drops
        the same units.
        x (array, (N, ...), float32), labels: a handful of samples; a few are enough.
        directions: per parameter. tolerance: relative difference that is accepted.
    Raises:
        GraphError: the loss is not finite, or depends on no parameter.
    Source:
        L eq. 16.
    """
    if directions < 1:
        raise ValueError(f"check: directions must be at least 1, got {directions}")
    if not 0 < tolerance < 1:
        raise ValueError(f"check: tolerance must be in (0, 1), got {tolerance!r}")
    a = Anatomy(model, loss or CrossEntropy(), regularizers, x, labels, seed)
    value = a.run()
    if not math.isfinite(value):
        raise GraphError(f"check: the loss must be finite before it is differentiated, got {value}")
    params = model.graph.by_role("param")
    if not a.gradients:
        raise GraphError("check: the loss must depend on a parameter of the model")
    found = {p: a.gradient(p) for p in a.gradients}
    rng = np.random.default_rng(seed)
    largest = max(float(np.linalg.norm(g)) for g in found.values())
    rows = []
    for i, p in enumerate(params):
        if progress is not None:
            progress(i, len(params), p)
        layer = p.rpartition(".")[0]
        size = model.tensors[p].numpy().size
        if p not in found:
            rows.append(GradientRow(layer, p, size, 0.0, None, "not reached"))
            continue
        g = found[p]
        tests = [_along(a, p, g, value, rng, tolerance) for _ in range(directions)]
        worst = max(tests, key=lambda t: (t[1] == "wrong", t[1] == "ok", t[0] or 0.0))
        norm = float(np.linalg.norm(g))
        if worst[1] == "wrong" and norm * (worst[0] or 0.0) <= _FAINT * largest and norm:
            worst = worst[0], "too small"  # what is left of a sum that cancels in float32
        rows.append(GradientRow(layer, p, size, norm, *worst))
    return GradientCheck(tuple(rows), value, len(x), tolerance)


def _along(
    a: Anatomy,
    param: str,
    g: NDArray[np.float64],
    value: float,
    rng: np.random.Generator,
    tolerance: float,
) -> tuple[float | None, Verdict]:
    """Relative difference along one direction, and what to think of it."""
    if not np.isfinite(g).all():
        return None, "wrong"
    tensor = a.model.tensors[param]
    w = tensor.numpy()
    half, signs = rng.integers(0, 2, w.shape), rng.choice([-1.0, 1.0], w.shape)
    rms = float(np.sqrt(np.mean(g**2)))
    signs = np.where(g != 0, np.sign(g), signs)  # g . v is a sum that does not cancel
    v = g * half + 0.5 * rms * signs if rms else signs
    v /= np.linalg.norm(v)
    slope = abs(float((g * v).sum()))
    w64 = w.astype(np.float64)
    # not far from the weights, or from what a bias of 0 may become
    most = 0.03 * max(float(np.linalg.norm(w64)), 0.1 * math.sqrt(w.size))
    longest = min(most, _CHANGE * max(value, 0.1) / slope) if slope else most
    rounding = _ROUNDING * max(1.0, abs(value))
    best: tuple[float, bool] | None = None
    longer: tuple[float, float] | None = None  # the step before, and its numeric over analytic
    bends: list[float] = []  # numeric slopes where the analytic one is nothing
    try:
        for part in _LADDER:
            h = longest * part
            up, down = (w64 + h * v).astype(np.float32), (w64 - h * v).astype(np.float32)
            tensor.copy_from(up)
            above = a.value()
            tensor.copy_from(down)
            below = a.value()
            step = (up.astype(np.float64) - down) / 2  # what float32 left of h v
            numeric, analytic = (above - below) / 2, float((g * step).sum())
            scale = max(abs(numeric), abs(analytic))
            off = abs(numeric - analytic)
            if not rounding < 0.1 * scale:  # nothing to be seen; false for NaN too
                continue
            if not rms:
                bends.append(abs(numeric) / part)
                continue
            error, allowed = off / scale, tolerance + rounding / scale
            ratio = numeric / analytic if analytic else math.inf
            if longer is not None:  # units at their kinks make an error that falls as h does
                limit = (longer[0] * ratio - part * longer[1]) / (longer[0] - part)
                error = min(error, abs(limit - 1))
            longer = part, ratio
            if best is None or error < best[0]:
                best = error, error <= allowed
            if best[1]:
                break
    finally:
        tensor.copy_from(w)
    if bends:  # units that begin to speak far away, or a gradient that was forgotten
        if len(bends) > 1 and bends[-1] > bends[0] / 2:
            return 1.0, "wrong"
        return None, "too small"
    if best is not None:
        return best[0], "ok" if best[1] else "wrong"
    return None, "zero" if rms * math.sqrt(w.size) <= 1e-6 else "too small"
