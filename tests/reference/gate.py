"""Gates of auxiliary variables in float64 NumPy."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def value(m: Array, kind: str, alpha: float) -> Array:
    m = m.astype(np.float64)
    return (m > 0).astype(np.float64) if kind == "step" else 0.5 * (1 + np.tanh(alpha * m / 2))


def slope(m: Array, kind: str, alpha: float) -> Array:
    m = m.astype(np.float64)
    if kind == "step":
        return 0.5 * (1 + np.tanh(m / 2))
    return alpha / (2 * np.cosh(np.minimum(np.abs(alpha * m) / 2, 300.0))) ** 2


def weights_gradient(dy: Array, w: Array, h: Array, estimator: str) -> tuple[Array, Array]:
    w, dy, h = (a.astype(np.float64) for a in (w, dy, h))
    wide = h.reshape(*h.shape, *[1] * (w.ndim - h.ndim))
    seen = np.sign(w) if estimator == "sign" else w
    return dy * wide, (dy * seen).sum(axis=tuple(range(h.ndim, w.ndim)))
