"""The line search: both Wolfe conditions hold at what it finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentei.optim import Point, strong_wolfe

C1, C2 = 1e-4, 0.9


def search(f, slope, first, **settings):
    seen = []

    def at(t):
        seen.append(t)
        return Point(t, f(t), slope(t))

    found = strong_wolfe(at, Point(0.0, f(0.0), slope(0.0)), first, noise=0.0, **settings)
    return found, seen


def holds(p, f, slope, c1=C1, c2=C2):
    f0, d0 = f(0.0), slope(0.0)
    return p.value <= f0 + c1 * p.t * d0 and abs(p.slope) <= c2 * abs(d0)


FUNCTIONS = {
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "quartic": (lambda t: (t - 1) ** 4 - t, lambda t: 4 * (t - 1) ** 3 - 1),
    "far": (lambda t: -t / (t * t + 2e4), lambda t: (t * t - 2e4) / (t * t + 2e4) ** 2),
    "waves": (
        lambda t: math.sin(3 * t) - 4 * t + t * t,
        lambda t: 3 * math.cos(3 * t) - 4 + 2 * t,
    ),
    "wall": (
        lambda t: math.inf if t > 2 else -math.log(2.0000001 - t) - 5 * t,
        lambda t: math.nan if t > 2 else 1 / (2.0000001 - t) - 5,
    ),
}


@pytest.mark.parametrize("first", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("c2", [0.9, 0.1])
def test_both_conditions(name, first, c2):
    f, slope = FUNCTIONS[name]
    found, seen = search(f, slope, first, c2=c2)
    assert found is not None
    assert holds(found, f, slope, c2=c2)
    assert found.t in seen and len(seen) <= 25


@given(
    st.floats(0.01, 100),
    st.floats(-3, 3),
    st.floats(0.1, 5),
    st.floats(1e-3, 1e3),
    st.floats(0.2, 3),
)
def test_any_double_well(width, lean, depth, first, stretch):
    """(u^2 - 1)^2 leaning: two valleys, from a place where it falls."""

    def f(t):
        u = stretch * t / width - 1.7
        return depth * (u * u - 1) ** 2 + 0.1 * lean * u

    def slope(t):
        u = stretch * t / width - 1.7
        return (4 * depth * u * (u * u - 1) + 0.1 * lean) * stretch / width

    if slope(0.0) >= 0:
        return
    found, _ = search(f, slope, first, evaluations=60)
    assert found is not None and holds(found, f, slope)


def test_rounding_does_not_stop_it():
    """Values that are all the same in float32: the slopes decide."""
    at = lambda t: Point(t, float(np.float32(1 + 1e-9 * (t - 2) ** 2)), 2e-9 * (t - 2))  # noqa: E731
    found = strong_wolfe(at, at(0.0), 1.0)
    assert found is not None and abs(found.slope) <= C2 * 4e-9


def test_nothing_lower():
    assert strong_wolfe(lambda t: Point(t, 1 + t, 1.0), Point(0.0, 1.0, -1.0), 1.0) is None
    assert strong_wolfe(lambda t: Point(t, math.nan, 0.0), Point(0.0, 1.0, -1.0), 1.0) is None


def test_at_most_so_many_evaluations():
    seen = []

    def at(t):
        seen.append(t)
        return Point(t, -t, -1.0)  # falls for ever

    found = strong_wolfe(at, Point(0.0, 0.0, -1.0), 1.0, evaluations=7)
    assert len(seen) == 7 and found is not None and found.t == seen[-1]
