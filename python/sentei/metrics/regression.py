"""Metrics of a regression, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import ShapeError

__all__ = ["mae", "mse", "r2", "rmse"]


def _pair(
    name: str, t: NDArray[Any], y: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(t, np.float64), np.asarray(y, np.float64)
    if a.shape != b.shape:
        raise ShapeError(f"{name}: y must have shape {a.shape}, got {b.shape}")
    if a.size == 0:
        raise ShapeError(f"{name}: t must hold at least one value, got shape {a.shape}")
    return a, b


def mse(t: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the mean of (t - y)^2 over observed t and predicted y of one shape."""
    a, b = _pair("mse", t, y)
    return float(np.mean((a - b) ** 2))


def rmse(t: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the square root of the mean of (t - y)^2."""
    return float(np.sqrt(mse(t, y)))


def mae(t: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the mean of |t - y|."""
    a, b = _pair("mae", t, y)
    return float(np.mean(np.abs(a - b)))


def r2(t: NDArray[Any], y: NDArray[Any]) -> float:
    """Return R^2 = 1 - sum (t - y)^2 / sum (t - mean t)^2, averaged over the columns of (N, K).

    Where the observed values are all the same: 1 if they are met exactly, else 0.
    """
    a, b = _pair("r2", t, y)
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    off, spread = ((a - b) ** 2).sum(0), ((a - a.mean(0)) ** 2).sum(0)
    same = (a == a[:1]).all(0)  # the mean of equal numbers may differ from them by a rounding
    safe = np.where(same, 1.0, spread)
    return float(np.mean(np.where(same, (off == 0).astype(np.float64), 1.0 - off / safe)))
