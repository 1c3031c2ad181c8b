"""What a trained network is judged by (NumPy, float64)."""

from sentei.metrics.classification import (
    PrecisionRecall,
    accuracy,
    binary_precision_recall,
    confusion_matrix,
    macro_precision_recall,
    precision_recall,
)
from sentei.metrics.regression import mae, mse, r2, rmse

__all__ = [
    "PrecisionRecall",
    "accuracy",
    "binary_precision_recall",
    "confusion_matrix",
    "macro_precision_recall",
    "mae",
    "mse",
    "precision_recall",
    "r2",
    "rmse",
]
