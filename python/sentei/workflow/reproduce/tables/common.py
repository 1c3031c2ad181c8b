"""Data sets of the tables, and the settings that many arms share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sentei.regularizers import LogActivity
from sentei.workflow.reproduce.spec import Data

__all__ = ["ACCURACY", "CIFAR10", "CIFAR100", "MNIST", "sparse"]

ACCURACY = ("accuracy",)

MNIST = Data("mnist", (28, 28, 1), 10, 60_000)
CIFAR10 = Data("cifar10", (32, 32, 3), 10, 50_000)
CIFAR100 = Data("cifar100", (32, 32, 3), 100, 50_000)

# "Conv & Pool & FC" of the thesis: inputs of all ReLUs and of all pools.
EVERYWHERE = ("relu*", "pool*")


def sparse(
    lam: float,
    layers: Sequence[str] = EVERYWHERE,
    form: Literal["neuron", "channel"] = "neuron",
) -> tuple[LogActivity]:
    """Sparse activity on the inputs of these layers (methods section 3)."""
    return (LogActivity(lam, tuple(layers), form),)
