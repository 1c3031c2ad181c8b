"""Calls in turns, and the interval of a ratio."""

from __future__ import annotations

import numpy as np
import pytest

from sentei.run.timing import EACH, in_turns, ratio_of


def test_calls_take_turns():
    order = []
    times = in_turns([lambda: order.append("a"), lambda: order.append("b")], 0.0, warm=False)
    assert [t.shape for t in times] == [(3, EACH), (3, EACH)] and all((t >= 0).all() for t in times)
    turn = 1 + EACH  # the first is not counted
    assert order == (["a"] * turn + ["b"] * turn) * 3


def test_warming_up_calls_everything():
    count = [0, 0]

    def call(i):
        return lambda: count.__setitem__(i, count[i] + 1)

    in_turns([call(0), call(1)], 0.0)
    assert min(count) >= 3 + 3 * (1 + EACH)


def rounds(rng, center, n, spread=0.05):
    return (center * (1 + spread * rng.random((n, EACH)))).astype(np.int64)


@pytest.mark.parametrize("true", [0.5, 1.0, 1.8])
def test_the_interval_holds_the_ratio(rng, true):
    """Nineteen times of twenty; drift that meets both alike changes nothing."""
    held = 0
    for _ in range(60):
        drift = 1 + 0.5 * np.abs(np.cumsum(rng.normal(0, 0.1, (80, 1)), axis=0))
        a = (rounds(rng, 1e6 * true, 80) * drift).astype(np.int64)
        b = (rounds(rng, 1e6, 80) * drift).astype(np.int64)
        r = ratio_of(a, b)
        assert r.low <= r.ratio <= r.high and r.rounds == 80
        held += r.low <= true <= r.high
    assert held >= 48


def test_equal_times_have_no_width():
    a = np.full((10, 5), 3_000_000)
    r = ratio_of(a, a // 2)
    assert (r.low, r.ratio, r.high) == (2.0, 2.0, 2.0)


def test_one_slow_call_does_not_count(rng):
    a, b = rounds(rng, 1e6, 50), rounds(rng, 1e6, 50)
    a[7, 2] = 10**12
    assert 0.97 < ratio_of(a, b).ratio < 1.03


def test_the_same_bits_again(rng):
    a, b = rounds(rng, 2e6, 30), rounds(rng, 1e6, 30)
    assert ratio_of(a, b) == ratio_of(a, b)


@pytest.mark.parametrize(("n", "m"), [(3, 4), (0, 0)])
def test_refuses(n, m):
    with pytest.raises(ValueError, match="ratio_of: a and b must hold as many rounds"):
        ratio_of(np.ones((n, 5), np.int64), np.ones((m, 5), np.int64))
