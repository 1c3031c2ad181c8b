"""Measured latency: fused predictors, inputs in place, models taking turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentei.model import Model, Predictor
from sentei.report.schema import Latency
from sentei.run.timing import Ratio, call_of, in_turns

__all__ = ["SAME_SPEED", "compare", "in_turns", "measure", "measure_rounds", "summary", "verdict"]

SAME_SPEED = 1.05  # a ratio nearer to 1 than this is called the same


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
    for batch, rounds in measure_rounds(models, batches, seconds).items():
        for times, taken in zip(found, rounds, strict=True):
            times[batch] = summary(taken)
    return found


def measure_rounds(
    models: Sequence[Model], batches: Sequence[int] = (1, 100), seconds: float = 1.0
) -> dict[str, list[NDArray[np.int64]]]:
    """As `measure`, but all the times: for every batch size and model (rounds, calls) nanoseconds."""
    predictors: list[Predictor] = [m.predictor(max(batches)) for m in models] if batches else []
    return {str(b): _times(predictors, b, seconds) for b in batches}


def summary(taken: NDArray[np.int64]) -> Latency:
    """Median, p10 and p90 in milliseconds."""
    low, mid, high = np.percentile(taken / 1e6, (10, 50, 90))
    return {"median": float(mid), "p10": float(low), "p90": float(high)}


def _times(predictors: Sequence[Predictor], batch: int, seconds: float) -> list[NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    calls = []
    for p in predictors:
        images = rng.standard_normal((batch, *p.input_shape), dtype=np.float32)
        runner = p.runner(batch)
        runner.set(p.input, images)
        calls.append(call_of(runner, {p.input: images} if p.device == "cpu" else {}))
    return in_turns(calls, seconds)


def verdict(ratio: Ratio) -> Literal["faster", "slower", "same", "unclear"]:
    """The word for a ratio: same below 5 % either way; unclear where the interval holds 1."""
    if ratio.low <= 1 <= ratio.high and not 1 / SAME_SPEED < ratio.ratio < SAME_SPEED:
        return "unclear"
    if ratio.ratio >= SAME_SPEED:
        return "faster"
    return "slower" if ratio.ratio <= 1 / SAME_SPEED else "same"


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
