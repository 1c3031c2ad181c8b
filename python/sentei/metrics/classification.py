"""Metrics of a classifier, from the confusion matrix (rows actual, columns predicted)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DTypeError, ShapeError

__all__ = [
    "PrecisionRecall",
    "accuracy",
    "binary_precision_recall",
    "confusion_matrix",
    "macro_precision_recall",
    "precision_recall",
]

Labels = NDArray[Any]


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision, recall and F = 2 P R / (P + R); arrays (K,) per class, numbers otherwise."""

    precision: Any
    recall: Any
    f: Any


def _labels(name: str, x: Labels) -> NDArray[np.int64]:
    a = np.asarray(x)
    if a.dtype.kind not in "iu":
        raise DTypeError(f"confusion_matrix: {name} must be integers, got {a.dtype}")
    if a.ndim != 1:
        raise ShapeError(f"confusion_matrix: {name} must have shape (N,), got {a.shape}")
    return a.astype(np.int64)


def confusion_matrix(
    actual: Labels, predicted: Labels, classes: int | None = None
) -> NDArray[np.int64]:
    """Count how often each class is taken for each.

    C[i, j] = number of samples of class i predicted as j

    Args:
        actual, predicted (array, (N,), integer): classes in [0, K).
        classes: K; None: one more than the largest class seen.
    Returns:
        (K, K) int64, rows actual, columns predicted.
    Raises:
        ShapeError: not two vectors of one length. DTypeError: not integers. ValueError: out of range.
    """
    a, p = _labels("actual", actual), _labels("predicted", predicted)
    if a.shape != p.shape:
        raise ShapeError(f"confusion_matrix: predicted must have shape {a.shape}, got {p.shape}")
    high = int(max(a.max(initial=-1), p.max(initial=-1)))
    low = int(min(a.min(initial=0), p.min(initial=0)))
    k = high + 1 if classes is None else classes
    if k < 0 or low < 0 or high >= k:
        raise ValueError(
            f"confusion_matrix: labels must lie in [0, {k}), got {low if low < 0 else high}"
        )
    return np.bincount(a * k + p, minlength=k * k).reshape(k, k).astype(np.int64)


def _matrix(c: NDArray[Any]) -> NDArray[np.float64]:
    a = np.asarray(c)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise ShapeError(f"metrics: confusion must have shape (K, K), got {a.shape}")
    return a.astype(np.float64)


def _ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.zeros_like(a)
    np.divide(a, b, out=out, where=b != 0)
    return out


def accuracy(confusion: NDArray[Any]) -> float:
    """Return the share of samples on the diagonal; 0 without samples."""
    c = _matrix(confusion)
    total = c.sum()
    return float(np.trace(c) / total) if total else 0.0


def precision_recall(confusion: NDArray[Any]) -> PrecisionRecall:
    """Return precision, recall and F of every class, (K,) float64 each; 0/0 counts as 0.

    P_k = C[k, k] / sum_i C[i, k];  R_k = C[k, k] / sum_j C[k, j];  F = 2 P R / (P + R)
    """
    c = _matrix(confusion)
    hit = np.diagonal(c).copy()
    p, r = _ratio(hit, c.sum(0)), _ratio(hit, c.sum(1))
    return PrecisionRecall(p, r, _ratio(2 * p * r, p + r))


def macro_precision_recall(confusion: NDArray[Any]) -> PrecisionRecall:
    """Return the plain means of precision, recall and F over the classes."""
    each = precision_recall(confusion)
    if not len(each.f):
        return PrecisionRecall(0.0, 0.0, 0.0)
    return PrecisionRecall(
        float(each.precision.mean()), float(each.recall.mean()), float(each.f.mean())
    )


def binary_precision_recall(confusion: NDArray[Any], positive: int = 1) -> PrecisionRecall:
    """Return precision, recall and F of one class of two.

    Raises:
        ShapeError: not a 2 x 2 matrix. ValueError: `positive` is neither 0 nor 1.
    """
    if np.shape(confusion) != (2, 2):
        raise ShapeError(f"metrics: confusion must have shape (2, 2), got {np.shape(confusion)}")
    if positive not in (0, 1):
        raise ValueError(f"metrics: positive must be 0 or 1, got {positive!r}")
    each = precision_recall(confusion)
    return PrecisionRecall(
        float(each.precision[positive]), float(each.recall[positive]), float(each.f[positive])
    )
