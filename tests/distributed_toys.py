"""Small objectives for tests of distributed training; the features are always correlated.

On isotropic features the first gradient points at the optimum, which rewards stale steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Logistic", "LogisticRecipe", "chunks_of", "correlated"]


def correlated(n: int, width: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """(x, y): n samples of features that hang together (0.9 between neighbours), y in {0, 1}."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(n, width))
    x = np.empty((n, width))
    x[:, 0] = steps[:, 0]
    for j in range(1, width):
        x[:, j] = 0.9 * x[:, j - 1] + np.sqrt(1 - 0.81) * steps[:, j]
    true = rng.normal(size=width)
    y = (x @ true + 0.3 * rng.normal(size=n) > 0).astype(np.float32)
    return x.astype(np.float32), y


def chunks_of(
    x: NDArray[Any], y: NDArray[Any], chunk: int, batch: int
) -> list[list[tuple[NDArray[Any], NDArray[Any]]]]:
    """Chunks of `chunk` mini-batches of `batch` samples."""
    size = chunk * batch
    return [
        [(x[j : j + batch], y[j : j + batch]) for j in range(i, min(i + size, len(x)), batch)]
        for i in range(0, len(x), size)
    ]


class Logistic:
    """Mean log loss of a linear model; a sample's label is 0 or 1."""

    def __init__(self, size: int) -> None:
        self.size = size

    def loss_grad(self, w: NDArray[Any], batch: Any) -> tuple[float, NDArray[np.float32]]:
        x, y = batch
        z = x @ w
        p = 1 / (1 + np.exp(-z))
        loss = float(np.mean(np.logaddexp(0, z) - y * z))
        return loss, (x.T @ (p - y) / np.float32(len(y))).astype(np.float32)


@dataclass(frozen=True)
class LogisticRecipe:
    """Logistic regression on `size` features, from zero."""

    size: int

    def start(self) -> NDArray[np.float32]:
        return np.zeros(self.size, np.float32)

    def build(self) -> Logistic:
        return Logistic(self.size)
