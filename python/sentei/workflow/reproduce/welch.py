"""Welch's t test of two means: unequal variances, few runs."""

from __future__ import annotations

import math

__all__ = ["two_sided", "welch"]

_TERMS = 10_000  # of the continued fraction; some sqrt(degrees of freedom) are enough


def welch(difference: float, variances: tuple[float, float], runs: tuple[int, int]) -> float:
    """Two-sided probability of such a difference of two means when there is none.

    Degrees of freedom after Welch and Satterthwaite (Welch, Biometrika 34, 1947).

    Args:
        difference: of the means. variances: of each mean (not of a run). runs: two of each at least.
    Returns:
        In [0, 1]; 1 where a variance is 0: runs that happen to agree say nothing about the next.
    """
    if min(variances) <= 0 or min(runs) < 2:
        return 1.0
    both = sum(variances)
    parts = sum((v / both) ** 2 / (n - 1) for v, n in zip(variances, runs, strict=True))
    return two_sided(difference / math.sqrt(both), 1 / parts)


def two_sided(t: float, freedom: float) -> float:
    """P(|T| >= |t|) of Student's t: the regularised incomplete beta I_x(freedom / 2, 1 / 2).

    x = freedom / (freedom + t^2); relative error below 1e-10. DLMF 8.17.
    """
    square = t * t
    x, y = freedom / (freedom + square), square / (freedom + square)
    if x == 0.0 or y == 0.0:
        return 0.0 if x == 0.0 else 1.0
    a, b = freedom / 2, 0.5
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y)
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast
        return math.exp(log) / (a * _fraction(a, b, x))
    return 1 - math.exp(log) / (b * _fraction(b, a, y))


def _fraction(a: float, b: float, x: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)) of DLMF 8.17.22, by the method of Lentz."""
    value, c, d = 1.0, 1.0, 0.0
    for k in range(1, _TERMS):
        m = k // 2
        if k % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + term * d)
        c = 1 + term / c
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            return value
    raise ArithmeticError(f"reproduce: t test must converge, did not in {_TERMS} terms")
