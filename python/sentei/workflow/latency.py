"""Measured latency: fused predictors, inputs in place, models taking turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from sentei.device import synchronize
from sentei.model import Model, Predictor
from sentei.report.schema import Latency
from sentei.run import Runner
from sentei.run.inputs import Feed

__all__ = ["SAME_SPEED", "compare", "measure"]

SAME_SPEED = 1.05  # a ratio nearer to 1 than this is called the same
_ROUND = 5  # calls of one model before the next has its turn
_LEAST, _MOST = 3, 400  # rounds


def measure(
    models: Sequence[Model], batches: Sequence[int] = (1, 100), seconds: float = 1.0
) -> list[dict[str, Latency]]:
    """Time the inference form of every model at every batch size, in milliseconds per call.

    On the CPU a call takes its images from the caller; on cuda they lie on the device, and the call
    ends when the device is done. Models take turns in short rounds, so that a disturbance of the
    machine meets all of them alike; the first call of a round is not counted (it refills the caches
    the other model emptied).

    Args:
        models: with one input shape or several. batches: batch sizes. seconds: spent per batch size.
    Returns:
        For every model: {"1": {"median", "p10", "p90"}, ...}.
    """
    found: list[dict[str, Latency]] = [{} for _ in models]
    predictors: list[Predictor] = [m.predictor(max(batches)) for m in models] if batches else []
    for batch in batches:
        for times, taken in zip(found, _times(predictors, batch, seconds), strict=True):
            low, mid, high = np.percentile(np.asarray(taken) / 1e6, (10, 50, 90))
            times[str(batch)] = {"median": float(mid), "p10": float(low), "p90": float(high)}
    return found


def _times(predictors: Sequence[Predictor], batch: int, seconds: float) -> list[list[int]]:
    rng = np.random.default_rng(0)
    jobs = []
    for p in predictors:
        images = rng.standard_normal((batch, *p.input_shape), dtype=np.float32)
        runner = p.runner(batch)
        runner.set(p.input, images)
        jobs.append(_job(runner, {p.input: images} if p.device == "cpu" else {}))
    taken: list[list[int]] = [[] for _ in jobs]
    clock = time.perf_counter_ns
    for call in jobs:  # warm-up: pages, caches, clocks
        end, calls = clock() + int(seconds * 1e8), 0
        while calls < 3 or clock() < end:
            call()
            calls += 1
    end, rounds = clock() + int(seconds * 1e9), 0
    while rounds < _LEAST or (clock() < end and rounds < _MOST):
        for call, mine in zip(jobs, taken, strict=True):
            call()
            for _ in range(_ROUND):
                start = clock()
                call()
                mine.append(clock() - start)
        rounds += 1
    return taken


def _job(runner: Runner, feed: Mapping[str, Feed]) -> Callable[[], None]:
    if runner.device == "cpu":
        return lambda: runner.run(**feed)

    def call() -> None:
        runner.run(**feed)
        synchronize()

    return call


def compare(
    before: Mapping[str, Latency], after: Mapping[str, Latency]
) -> dict[str, tuple[float, Literal["faster", "slower", "same"]]]:
    """How many times faster `after` is at every batch size, and the word for it."""
    out: dict[str, tuple[float, Literal["faster", "slower", "same"]]] = {}
    for batch in before:
        ratio = before[batch]["median"] / max(after[batch]["median"], 1e-12)
        word: Literal["faster", "slower", "same"] = "same"
        if ratio >= SAME_SPEED:
            word = "faster"
        elif ratio <= 1 / SAME_SPEED:
            word = "slower"
        out[batch] = (ratio, word)
    return out
