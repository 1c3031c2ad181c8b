"""How activation and pooling change the variance of a signal [I table 1]."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["gamma_average", "gamma_max", "tau_average", "tau_max", "tau_max_plain"]

_END = 14.0  # the normal density is below 1e-42 there
_PANELS = 112
_NODES = 24


@cache
def _rule(low: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Nodes s, weights, and log Phi(s), of a panelled Gauss-Legendre rule on [low, 14]."""
    x, w = np.polynomial.legendre.leggauss(_NODES)
    edges = np.linspace(low, _END, _PANELS + 1)
    half = np.diff(edges)[:, None] / 2
    s = ((edges[:-1, None] + half) + half * x).ravel()
    weights = (half * w).ravel()
    log_phi = np.array([_log_cdf(v) for v in s])
    return s, weights, log_phi


def _log_cdf(s: float) -> float:
    upper = 0.5 * math.erfc(s / math.sqrt(2))
    return math.log1p(-upper) if s > 0 else math.log(0.5 * math.erfc(-s / math.sqrt(2)))


def _check(window: int) -> int:
    if window < 1:
        raise ValueError(f"init: window must be at least 1, got {window}")
    return window


def _largest(window: int, low: float) -> float:
    s, weights, log_cdf = _rule(low)
    density = np.exp(-0.5 * s * s + (window - 1) * log_cdf) / math.sqrt(2 * math.pi)
    return float(window * np.sum(weights * s * s * density))


@cache
def tau_max(window: int) -> float:
    """E[max(s_1, ..., s_T, 0)^2] for T independent standard normals: ReLU, then max pooling.

    tau = T int_0^inf s^2 phi(s) Phi(s)^(T-1) ds, by quadrature to 1e-12; 1/2 for T = 1.

    Source: [I table 1].
    """
    return _largest(_check(window), 0.0)


@cache
def tau_max_plain(window: int) -> float:
    """E[max(s_1, ..., s_T)^2]: max pooling without an activation; 1 for T = 1."""
    return _largest(_check(window), -_END)


def tau_average(window: int) -> float:
    """E[((1/T) sum relu(s_i))^2] = (1 + (T - 1)/pi) / (2 T): ReLU, then average pooling [I table 1]."""
    return (1 + (_check(window) - 1) / math.pi) / (2 * window)


def gamma_max(window: int) -> float:
    """Share of the gradient's variance that passes ReLU and max pooling, (2^T - 1)/(T 2^T) [I table 1]."""
    return (1 - 0.5 ** _check(window)) / window


def gamma_average(window: int) -> float:
    """Share of the gradient's variance that passes ReLU and average pooling, 1/(2 T^2) [I table 1]."""
    return 1 / (2 * _check(window) ** 2)
