"""Judge a model on data in inference mode; sums in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei import metrics
from sentei.errors import DataError
from sentei.losses import CrossEntropy, Loss
from sentei.model import Model
from sentei.train.feed import Data, count_of, in_order
from sentei.train.world import ALONE, World

__all__ = ["evaluate", "outputs_of", "scores"]


def outputs_of(
    model: Model, data: Data, batch: int = 100, world: World = ALONE
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Run all of `data` through the model.

    Returns:
        Outputs (N, K) float32, and the labels or targets in the same order.
    Raises:
        DataError: no sample, or one that is not finite.
    """
    ts: list[NDArray[Any]] = []

    def samples() -> Iterator[NDArray[np.float32]]:
        for x, t in in_order(data, batch, world):
            if not np.isfinite(x).all():
                raise DataError("evaluate: samples must be finite, got NaN or infinity")
            ts.append(t)
            yield x

    ys = model.predictor(batch).outputs(samples())
    if not ts:
        raise DataError("evaluate: data must hold at least one sample")
    return ys, np.concatenate(ts)


def evaluate(
    model: Model,
    data: Data,
    loss: Loss | None = None,
    batch: int = 100,
    world: World = ALONE,
) -> dict[str, float]:
    """Return the mean loss, and accuracy (classes, signs) or mse, rmse, mae, r2 (values).

    Args:
        model: judged in inference mode. data: Dataset, Loader or (samples, labels).
        loss: CrossEntropy() if None. batch: samples at a time. world: processes that share the work.
    """
    if count_of(data, batch) < world.size:  # too little to share
        world = ALONE
    y, t = outputs_of(model, data, batch, world)
    y, t = world.joined(y), world.joined(t)
    return scores(loss or CrossEntropy(), y, t)


def scores(loss: Loss, y: NDArray[np.float32], labels: NDArray[Any]) -> dict[str, float]:
    """As `evaluate`, from outputs (N, K) and labels (N,) or targets (N, K)."""
    t = loss.truth(labels, y.shape[1])
    with np.errstate(
        invalid="ignore", over="ignore"
    ):  # outputs may be anything; the number says so
        found = {"loss": float(loss.per_sample(y, t).mean())}
        if labels.dtype.kind in "iu":
            found["accuracy"] = float(np.mean(y.argmax(1) == labels))
        elif loss.task == "signs":
            found["accuracy"] = float(np.mean((y > 0) == (t > 0)))
        else:
            for name in ("mse", "rmse", "mae", "r2"):
                found[name] = float(getattr(metrics, name)(t, y))
    return found
