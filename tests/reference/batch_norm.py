"""Batch norm in float64 NumPy, straight from the formulas."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def _sum(a: Array) -> Array:
    return a.reshape(-1, a.shape[-1]).sum(axis=0)


def statistics(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance per channel."""
    flat = x.astype(np.float64).reshape(-1, x.shape[-1])
    return flat.mean(axis=0), flat.var(axis=0)


def normalise(
    x: Array, gamma: Array, beta: Array, mean: Array, var: Array, eps: float, relu: bool = False
) -> Array:
    y = (x.astype(np.float64) - mean) / np.sqrt(np.float64(var) + eps) * gamma + beta
    return np.maximum(y, 0.0) if relu else y


def frozen_gradient(
    dy: Array,
    x: Array,
    gamma: Array,
    beta: Array,
    mean: Array,
    var: Array,
    eps: float,
    relu: bool = False,
) -> tuple[Array, Array, Array]:
    """dx, dgamma, dbeta with the statistics held constant."""
    xhat = (x.astype(np.float64) - mean) / np.sqrt(np.float64(var) + eps)
    g = dy.astype(np.float64)
    if relu:
        g = np.where(xhat * gamma + beta > 0, g, 0.0)
    return g * gamma / np.sqrt(np.float64(var) + eps), _sum(g * xhat), _sum(g)


def gradient(
    dy: Array, x: Array, gamma: Array, beta: Array, eps: float, relu: bool = False
) -> tuple[Array, Array, Array]:
    """dx, dgamma, dbeta through the batch statistics."""
    mean, var = statistics(x)
    dx, dgamma, dbeta = frozen_gradient(dy, x, gamma, beta, mean, var, eps, relu)
    rstd = 1 / np.sqrt(var + eps)
    xhat = (x.astype(np.float64) - mean) * rstd
    n = x.size // x.shape[-1]
    return dx - gamma * rstd * (dbeta + xhat * dgamma) / n, dgamma, dbeta
