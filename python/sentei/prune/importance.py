"""Scores of channels: formulas from sums over samples (sentei.ops.score_accumulate) or from weights.

Everything here is float64 NumPy on one layer. `stats` is (6, C): sums over n samples of |x|^2, x.g,
(x.g)^2, |x|^4, (x.g)^3, (x.g)^4; x and g are a sample's feature map and the gradient of its own loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CRITERIA",
    "Criterion",
    "criterion",
    "first",
    "first_second",
    "fisher",
    "l1_std",
    "norm",
    "normalize",
    "oracle",
    "robust",
    "standard_error",
    "trace",
]

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Criterion:
    """What a score is and what it needs.

    needs: "weights" (no data), "norm" (forward passes), "gradient" (one pass with gradients of each
    sample's own loss) or "two_pass" (a second, forward pass once E[g] is known).
    maps: whether the maps sum_x, sum_g are needed. root: normalised by its square root.
    signed: may be negative, never normalised. sum_only: a function of the sum of x.g over all samples.
    """

    name: str
    needs: Literal["weights", "norm", "gradient", "two_pass"]
    equation: str
    source: str
    maps: bool = False
    root: bool = False
    signed: bool = False
    sum_only: bool = False


_ALL = (
    Criterion("l1_std", "weights", "a std(w_c) / sqrt(sum std(w)^2) + (1 - a) |w_c|_1", "T 4.33"),
    Criterion("norm", "norm", "E[|x|^2]", "T 4.30", root=True),
    Criterion("first", "gradient", "E[-x.g]", "T table 4.2", signed=True, sum_only=True),
    Criterion("first_second", "gradient", "E[-x.g + (x.g)^2 / 2]", "T 4.5", signed=True),
    Criterion("fisher", "gradient", "E[(x.g)^2] / 2", "T 4.31", root=True),
    Criterion("oracle", "gradient", "|E[x.g]|", "T 4.32", sum_only=True),
    Criterion("robust", "gradient", "(E[x].E[g])^2", "T 4.10", maps=True, root=True),
    Criterion("trace", "two_pass", "E[(x.E[g])^2]", "T 4.12", maps=True, root=True),
)
CRITERIA: Mapping[str, Criterion] = MappingProxyType({c.name: c for c in _ALL})


def criterion(name: str) -> Criterion:
    """Look a criterion up by name; ValueError when there is none."""
    try:
        return CRITERIA[name]
    except KeyError:
        raise ValueError(
            f"score: name must be one of {', '.join(CRITERIA)}, got {name!r}"
        ) from None


def _stats(name: str, stats: ArrayLike, rows: int, n: int) -> Scores:
    a = np.asarray(stats, np.float64)
    if a.ndim != 2 or a.shape[0] != rows:
        raise ValueError(f"{name}: stats must have shape ({rows}, C), got {a.shape}")
    if n < 1:
        raise ValueError(f"{name}: n must be at least 1, got {n}")
    return a


def norm(stats: ArrayLike, n: int) -> Scores:
    """Mean square of the feature map: E[|x|^2].

    Args:
        stats (array, (6, C), float64): sums over samples. n (int): samples.
    Returns:
        (C,) float64.
    """
    return np.asarray(_stats("norm", stats, 6, n)[0] / n, np.float64)


def first(stats: ArrayLike, n: int) -> Scores:
    """Change of the loss without the channel, to first order: E[-x.g]. May be negative.

    Args:
        stats (array, (6, C), float64): sums over samples. n (int): samples.
    Returns:
        (C,) float64.
    """
    return np.asarray(-_stats("first", stats, 6, n)[1] / n, np.float64)


def first_second(stats: ArrayLike, n: int) -> Scores:
    """Change of the loss to second order: E[-x.g + (x.g)^2 / 2]. May be negative.

    Args:
        stats (array, (6, C), float64): sums over samples. n (int): samples.
    Returns:
        (C,) float64.
    """
    s = _stats("first_second", stats, 6, n)
    return np.asarray((s[2] / 2 - s[1]) / n, np.float64)


def fisher(stats: ArrayLike, n: int) -> Scores:
    """Second-order term of the loss: E[(x.g)^2] / 2.

    Args:
        stats (array, (6, C), float64): sums over samples. n (int): samples.
    Returns:
        (C,) float64.
    """
    return np.asarray(_stats("fisher", stats, 6, n)[2] / (2 * n), np.float64)


def oracle(stats: ArrayLike, n: int) -> Scores:
    """Size of the first-order term: |E[x.g]|.

    Args:
        stats (array, (6, C), float64): sums over samples. n (int): samples.
    Returns:
        (C,) float64.
    """
    return np.asarray(np.abs(_stats("oracle", stats, 6, n)[1]) / n, np.float64)


def robust(sum_x: ArrayLike, sum_g: ArrayLike, n: int) -> Scores:
    """First-order term of the mean map: (E[x] . E[g])^2.

    Args:
        sum_x, sum_g (array, (H, W, C) or (C,), float64): sums over samples. n (int): samples.
    Returns:
        (C,) float64.
    """
    x, g = np.asarray(sum_x, np.float64), np.asarray(sum_g, np.float64)
    if x.shape != g.shape or x.ndim < 1:
        raise ValueError(f"robust: sum_g must have the shape of sum_x {x.shape}, got {g.shape}")
    if n < 1:
        raise ValueError(f"robust: n must be at least 1, got {n}")
    dots = (x / n * (g / n)).reshape(-1, x.shape[-1]).sum(axis=0)
    return np.asarray(dots**2, np.float64)


def trace(stats: ArrayLike, n: int) -> Scores:
    """First-order term with the mean gradient: E[(x . E[g])^2].

    Args:
        stats (array, (2, C), float64): sums of sentei.ops.trace_accumulate. n (int): samples.
    Returns:
        (C,) float64.
    """
    return np.asarray(_stats("trace", stats, 2, n)[0] / n, np.float64)


def l1_std(w: ArrayLike, a: float = 0.5) -> Scores:
    """Size and spread of a filter's weights; no data needed.

    a std(w_c) / sqrt(sum_c' std(w_c')^2) + (1 - a) |w_c|_1, std divided by the number of weights

    Args:
        w (array, (K, ...)): filters (K, R, S, C) or rows (out, in), without biases.
        a (float): in [0, 1].
    Returns:
        (K,) float64. Where all filters are constant the first term is 0.
    """
    weights = np.asarray(w, np.float64)
    if weights.ndim < 2:
        raise ValueError(f"l1_std: w must have shape (K, ...), got {weights.shape}")
    if not 0 <= a <= 1:
        raise ValueError(f"l1_std: a must lie in [0, 1], got {a}")
    rows = weights.reshape(weights.shape[0], -1)
    if rows.size == 0:
        return np.zeros(len(rows))
    std = (rows - rows[:, :1]).std(axis=1)  # the shift makes a constant filter exactly 0
    total = float(np.sqrt((std**2).sum()))
    spread = std / total if total > 0 else np.zeros_like(std)
    return np.asarray(a * spread + (1 - a) * np.abs(rows).sum(axis=1), np.float64)


def normalize(name: str, values: ArrayLike, p: float) -> Scores:
    """Make the scores of different layers comparable: q_c / (sum_c' q_c'^p)^(1/p).

    q is the root of the quadratic scores (norm, fisher, robust, trace) and the score itself for
    oracle and l1_std; a layer of zeros stays zeros; first and first_second come back as they are.

    Args:
        name (str): criterion. values (array, (C,)): scores of one layer's channels.
        p (float): positive; the methods name 1, 2/3, 1/2 and 2.
    Returns:
        (C,) float64.
    Raises:
        ValueError: unknown name, p not positive, a negative value where none can be.
    Source:
        T eq. 4.13.
    """
    kind = criterion(name)
    q = np.array(values, np.float64)
    if not (p > 0 and np.isfinite(p)):
        raise ValueError(f"normalize: p must be positive, got {p}")
    if kind.signed:
        return q
    if (q < 0).any():
        raise ValueError(f"normalize: values of {name} must not be negative, got {q.min()}")
    if kind.root:
        q = np.sqrt(q)
    largest = float(q.max(initial=0.0))
    if largest == 0:
        return np.zeros_like(q)
    q /= largest  # powers of tiny numbers would vanish
    return np.asarray(q / (q**p).sum() ** (1 / p), np.float64)


def standard_error(name: str, stats: ArrayLike, n: int) -> Scores:
    """Standard error of a score that is a mean over samples: sqrt(s^2 / n), s^2 the sample variance.

    For oracle it is that of E[x.g] before the absolute value; robust, a product of two means, and
    l1_std, which has no samples, have none.

    Args:
        name (str): norm, first, first_second, fisher, oracle or trace.
        stats (array, (6, C), or (2, C) for trace, float64): sums over samples. n (int): samples.
    Returns:
        (C,) float64; NaN for n = 1.
    Raises:
        ValueError: a criterion without a standard error.
    """
    criterion(name)
    if name in ("robust", "l1_std"):
        raise ValueError(f"standard_error: name must be a mean over samples, got {name!r}")
    s = _stats("standard_error", stats, 2 if name == "trace" else 6, n) / n
    if name == "trace":
        mean, square = s[0], s[1]
    elif name == "norm":
        mean, square = s[0], s[3]
    elif name == "fisher":
        mean, square = s[2] / 2, s[5] / 4
    elif name == "first_second":
        mean, square = s[2] / 2 - s[1], s[2] - s[4] + s[5] / 4
    else:
        mean, square = s[1], s[2]
    if n < 2:
        return np.full(mean.shape, np.nan)
    return np.asarray(np.sqrt(np.maximum(square - mean**2, 0) / (n - 1)), np.float64)
