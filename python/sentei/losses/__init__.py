"""Losses: settings that append a scalar to a graph, with the same formula in float64 NumPy."""

from sentei.losses.base import Loss, LossValues
from sentei.losses.classification import CrossEntropy, SigmoidCrossEntropy
from sentei.losses.distillation import Distillation
from sentei.losses.elementwise import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    EpsInsensitive,
    Exponential,
    Hinge,
    Huber,
    Logistic,
    Quantile,
    Squared,
)

KINDS: tuple[type, ...] = (
    CrossEntropy,
    SigmoidCrossEntropy,
    Distillation,
    Squared,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Hinge,
    Logistic,
    Exponential,
    Quantile,
    Huber,
    EpsInsensitive,
)

__all__ = [
    "KINDS",
    "BinaryCrossEntropy",
    "CategoricalCrossEntropy",
    "CrossEntropy",
    "Distillation",
    "EpsInsensitive",
    "Exponential",
    "Hinge",
    "Huber",
    "Logistic",
    "Loss",
    "LossValues",
    "Quantile",
    "SigmoidCrossEntropy",
    "Squared",
]
