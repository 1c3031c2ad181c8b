"""The perceptron and its error-correction rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import ShapeError

__all__ = ["perceptron"]


def perceptron(
    x: NDArray[Any], target: NDArray[Any], mu: float = 1.0, epochs: int = 1
) -> tuple[NDArray[np.float64], float]:
    """Train one unit y = (w . x + b > 0) sample by sample, from w = 0 and b = 0.

    w = w + mu (t - y) x;  b = b + mu (t - y)

    Args:
        x (array, (N, D)): samples, in the order they are taken. target (array, (N,)): 0 or 1.
        mu (float): step size. epochs (int): times over the samples.
    Returns:
        w (D,) float64, and b.
    Raises:
        ShapeError: shapes do not fit. ValueError: a target is neither 0 nor 1.
    Source:
        T eq. 2.4.
    """
    if x.ndim != 2 or target.shape != x.shape[:1]:
        raise ShapeError(
            f"perceptron: target must have shape (N,) for x (N, D), got {target.shape} and {x.shape}"
        )
    if not np.isin(target, (0, 1)).all():
        raise ValueError("perceptron: target must hold only 0 and 1")
    w, b = np.zeros(x.shape[1]), 0.0
    for _ in range(epochs):
        for row, t in zip(x.astype(np.float64), target, strict=True):
            error = float(t) - float(w @ row + b > 0)
            w, b = w + mu * error * row, b + mu * error
    return w, b
