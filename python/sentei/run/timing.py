"""Calls timed in turns, and how sure a ratio of their medians is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentei.device import synchronize
from sentei.run.inputs import Feed
from sentei.run.runner import Runner

__all__ = ["Ratio", "call_of", "in_turns", "ratio_of"]

EACH = 5  # calls of one before the next has its turn
_LEAST, _MOST = 3, 400  # rounds
_DRAWS = 1000


def call_of(runner: Runner, feed: Mapping[str, Feed]) -> Callable[[], None]:
    """One call of a runner, which ends when its device is done."""
    if runner.device == "cpu":
        return lambda: runner.run(**feed)

    def call() -> None:
        runner.run(**feed)
        synchronize()

    return call


def in_turns(
    calls: Sequence[Callable[[], None]], seconds: float, *, warm: bool = True
) -> list[NDArray[np.int64]]:
    """Time calls in short rounds, so that a disturbance of the machine meets all of them alike.

    The first call of a turn is not counted: it refills the caches that the others emptied.

    Args:
        seconds: spent in all, but at least 3 rounds are made and at most 400. warm: call each for a
        tenth of it (at least three times) before anything counts.
    Returns:
        For each call nanoseconds of shape (rounds, 5).
    """
    clock = time.perf_counter_ns
    if warm:
        for call in calls:  # pages, caches, clocks
            end, done = clock() + int(seconds * 1e8), 0
            while done < 3 or clock() < end:
                call()
                done += 1
    taken: list[list[list[int]]] = [[] for _ in calls]
    end, rounds = clock() + int(seconds * 1e9), 0
    while rounds < _LEAST or (clock() < end and rounds < _MOST):
        for call, mine in zip(calls, taken, strict=True):
            call()
            turn = []
            for _ in range(EACH):
                start = clock()
                call()
                turn.append(clock() - start)
            mine.append(turn)
        rounds += 1
    return [np.asarray(t, np.int64) for t in taken]


@dataclass(frozen=True)
class Ratio:
    """median(a) / median(b), how many times faster b is; low, high: its 95 % interval."""

    ratio: float
    low: float
    high: float
    rounds: int


def ratio_of(a: NDArray[np.int64], b: NDArray[np.int64]) -> Ratio:
    """Compare two rows of rounds that were timed in turns, (rounds, calls) each.

    Of every round the median call counts; the ratio is that of the medians over rounds. The interval
    is a bootstrap's: 1000 times rounds are drawn again, of both alike, in runs of neighbours, because
    what disturbs a machine lasts longer than a round.

    Raises:
        ValueError: not the same number of rounds, or none.
    Source: H. Kuensch, "The jackknife and the bootstrap for general stationary observations" (1989).
    """
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b) or not a.size or not b.size:
        raise ValueError(
            f"ratio_of: a and b must hold as many rounds, one at least, got {a.shape} and {b.shape}"
        )
    first, second = (np.maximum(np.median(t, axis=1), 1.0) for t in (a, b))
    n = len(first)
    run = max(1, round(n ** (1 / 3)))
    starts = np.random.default_rng(0).integers(0, n, (_DRAWS, -(-n // run)))
    drawn = ((starts[:, :, None] + np.arange(run)) % n).reshape(_DRAWS, -1)[:, :n]
    draws = np.median(first[drawn], axis=1) / np.median(second[drawn], axis=1)
    low, high = np.percentile(draws, (2.5, 97.5))
    ratio = float(np.median(first) / np.median(second))
    return Ratio(ratio, min(float(low), ratio), max(float(high), ratio), n)
