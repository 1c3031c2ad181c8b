"""A line search for the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Point", "strong_wolfe"]


class Point(NamedTuple):
    """Value and slope of a function of one variable at t."""

    t: float
    value: float
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    first: float,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    evaluations: int = 25,
    noise: float = 1e-6,
) -> Point | None:
    """Find t with f(t) <= f(0) + c1 t f'(0) and |f'(t)| <= c2 |f'(0)|.

    Brackets such a t, from `first` on, then closes in by cubic interpolation. A value that is not
    finite is too far away. Where values differ by less than their rounding the first condition is
    judged by slopes: f(t) <= f(0) + noise |f(0)| and f'(t) <= (2 c1 - 1) f'(0).

    Args:
        evaluate: the Point at t > 0. start: that at 0, with a slope below 0.
        first: where to look first, above 0. evaluations: at most so many.
        noise: relative rounding of the values; 1e-6 for losses in float32.
    Returns:
        The point; after too many evaluations the lowest that meets the first condition; None when
        nothing lower was found.
    Source:
        J. Nocedal, S. Wright, Numerical Optimization, algorithms 3.5, 3.6; the rule for rounding:
        W. Hager, H. Zhang, SIAM J. Optim. 16 (2005), eq. 4.1.
    """
    return _Search(evaluate, start, c1, c2, evaluations, noise).run(first)


class _Search:
    def __init__(
        self,
        evaluate: Callable[[float], Point],
        start: Point,
        c1: float,
        c2: float,
        evaluations: int,
        noise: float,
    ) -> None:
        self.f, self.start, self.c1, self.c2, self.left = evaluate, start, c1, c2, evaluations
        self.slack = noise * abs(start.value)

    def at(self, t: float) -> Point:
        self.left -= 1
        return self.f(t)

    def low_enough(self, p: Point) -> bool:
        f0, d0 = self.start.value, self.start.slope
        if not math.isfinite(p.value):
            return False
        if p.value <= f0 + self.c1 * p.t * d0:
            return True
        return p.value <= f0 + self.slack and p.slope <= (2 * self.c1 - 1) * d0

    def flat_enough(self, p: Point) -> bool:
        return abs(p.slope) <= self.c2 * abs(self.start.slope)

    def run(self, t: float) -> Point | None:
        before, ceiling = self.start, math.inf
        while self.left > 0:
            now = self.at(t)
            if not math.isfinite(now.value) or not math.isfinite(now.slope):
                ceiling = t
                t = before.t + (t - before.t) / 4
                continue
            if not self.low_enough(now) or (before.t > 0 and now.value > before.value + self.slack):
                return self.zoom(before, now)
            if self.flat_enough(now):
                return now
            if now.slope >= 0:
                return self.zoom(now, before)
            step = now.t - before.t
            wide = _cubic(before, now)
            t = min(max(wide or 0.0, now.t + 2 * step), now.t + 9 * step)
            if t >= ceiling:
                t = (now.t + ceiling) / 2
            before = now
        return self.lower(before)

    def zoom(self, low: Point, high: Point) -> Point | None:
        """Close in; low is the lowest so far that meets the first condition, or the start."""
        while self.left > 0:
            width = high.t - low.t
            if abs(width) <= 1e-9 * max(abs(high.t), abs(low.t)):
                break
            t = _cubic(low, high)
            near, far = sorted((low.t + 0.1 * width, high.t - 0.1 * width))
            t = (low.t + high.t) / 2 if t is None else min(max(t, near), far)
            now = self.at(t)
            if not self.low_enough(now) or now.value > low.value:
                high = now
                continue
            if self.flat_enough(now):
                return now
            if now.slope * width >= 0:
                high = low
            low = now
        return self.lower(low)

    def lower(self, p: Point) -> Point | None:
        """p, not flat enough, if it is below the start by more than the last place."""
        return p if p.value < self.start.value else None


def _cubic(a: Point, b: Point) -> float | None:
    """Where the cubic through both points with their slopes is lowest; None: nowhere."""
    if not all(map(math.isfinite, (*a, *b))) or a.t == b.t:
        return None
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    inside = d1 * d1 - a.slope * b.slope
    if inside < 0:
        return None
    d2 = math.copysign(math.sqrt(inside), b.t - a.t)
    below = b.slope - a.slope + 2 * d2
    return b.t - (b.t - a.t) * (b.slope + d2 - d1) / below if below else None
