"""What a network gets right and wrong on its test samples, for reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei import metrics
from sentei.data import Dataset
from sentei.losses import Loss
from sentei.model import Model
from sentei.train.evaluate import outputs_of, scores
from sentei.train.feed import Data

__all__ = ["judged", "quality"]

_MOST_CLASSES = 100
_POINTS = 2000  # of a plot


def judged(
    model: Model, data: Data, loss: Loss, batch: int
) -> tuple[dict[str, float], NDArray[np.float32], NDArray[Any]]:
    """Metrics as train.evaluate, outputs (N, K), and labels or targets."""
    y, t = outputs_of(model, data, batch)
    return scores(loss, y, t), y, t


def quality(
    part: Dataset,
    results: Sequence[tuple[dict[str, float], NDArray[np.float32], NDArray[Any]]],
) -> dict[str, Any]:
    """ "confusion" or "regression" of a report, from one or two results of `judged` on `part`."""
    if part.is_regression:
        return {"regression": _pair([_fit(*r) for r in results])}
    if len(part.classes) > _MOST_CLASSES:
        return {}
    tables = [
        metrics.confusion_matrix(t, y.argmax(1), len(part.classes)).tolist() for _, y, t in results
    ]
    return {"confusion": {"classes": list(part.classes), **_pair(tables)}}


def _fit(found: dict[str, float], y: NDArray[np.float32], t: NDArray[Any]) -> dict[str, Any]:
    pairs = np.stack([t.ravel(), y.ravel()], 1).astype(np.float64)
    chosen = np.linspace(0, len(pairs) - 1, min(len(pairs), _POINTS)).astype(int)
    return {
        **{k: found.get(k) for k in ("mse", "rmse", "mae", "r2")},
        "points": pairs[chosen].tolist(),
    }


def _pair(values: Sequence[Any]) -> dict[str, Any]:
    return {"before": values[0], "after": values[1] if len(values) > 1 else None}
