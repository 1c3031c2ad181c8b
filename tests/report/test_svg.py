"""Scales and shapes of the drawings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentei.report.svg import (
    Chart,
    Series,
    line_chart,
    padded,
    paired_bars,
    strips,
    tag,
    thin,
    ticks,
)

reals = st.floats(min_value=-1e300, max_value=1e300)


def test_ticks_are_round_and_inside():
    assert ticks(0.0, 1.0, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(1.0, 8.0, 6) == pytest.approx([2, 4, 6, 8])
    assert ticks(3.0, 3.0) == [3.0]


@given(reals, reals)
def test_ticks_of_any_range(a, b):
    low, high = padded([a, b])
    assert low < high
    found = ticks(low, high)
    assert 1 <= len(found) <= 25
    slack = 1e-6 * (high - low)
    assert all(low - slack <= t <= high + slack for t in found)


def test_attributes_are_escaped():
    assert tag("text", class_='a"b', aria_label="<x>") == (
        '<text class="a&quot;b" aria-label="&lt;x&gt;"></text>'
    )


def test_thin_keeps_ends_and_extremes():
    points = [(float(i), 0.0) for i in range(5000)]
    points[1234] = (1234.0, 9.0)
    points[4321] = (4321.0, -9.0)
    kept = thin(points)
    assert len(kept) <= 602
    assert kept[0] == points[0] and kept[-1] == points[-1]
    assert points[1234] in kept and points[4321] in kept
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)


def test_paired_bars_are_to_scale():
    widths = re.findall(r'width="([\d.]+)"', paired_bars("t", 32.0, 8.0, 64.0))
    assert [float(w) for w in widths] == [50.0, 12.5]
    assert len(re.findall("<rect", paired_bars("t", 32.0, None, 64.0))) == 1
    assert 'width="0"' in paired_bars("t", 0.0, 0.0, 0.0)


def _chart(points, reverse=False):
    return line_chart(
        Chart("c", "t", "d", [Series("s", points, "after")], "x", str, str, x_reversed=reverse)
    )


def test_a_reversed_axis_runs_the_other_way():
    def first_x(svg):
        return float(re.search(r'd="M([\d.]+) [\d.]+L', svg).group(1))

    points = [(1.0, 0.5), (0.3, 0.4)]
    assert first_x(_chart(points)) > 400
    assert first_x(_chart(points, reverse=True)) < 100


def test_no_points_no_chart():
    assert _chart([]) == ""
    assert strips("i", "t", "d", [("a", [])], "x", str) == ""


def test_a_single_point_is_a_dot():
    assert 'class="dot after"' in _chart([(1.0, 0.5)])


def test_strips_put_zeros_apart_on_a_logarithmic_axis():
    def places(values):
        svg = strips("i", "t", "d", [("a", values)], "x", str)
        drawn = re.findall(r'd="((?:M\d+ \d+v20)+)"', svg)
        return sorted(int(x) for path in drawn for x in re.findall(r"M(\d+)", path))

    zero, *rest = places([0.0, 1e-4, 1e-2, 1.0])
    assert zero < min(rest) - 20
    left, middle, right = rest
    assert abs((middle - left) - (right - middle)) <= 1  # decades are evenly spaced
    low, centre, high = places([-1.0, 0.0, 1.0])
    assert abs((centre - low) - (high - centre)) <= 1


def test_crowded_values_are_darker():
    svg = strips("i", "t", "d", [("a", [1.0] * 9 + [2.0, 3.0, 3.0])], "x", str)
    assert all(f'class="strip s{level}"' in svg for level in (1, 2, 3))
