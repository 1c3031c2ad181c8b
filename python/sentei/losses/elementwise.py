"""Losses between outputs and targets of one shape, summed over outputs, mean over samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sentei.graph import Graph
from sentei.losses.base import Floats, Loss, LossValues, Task, as_float64
from sentei.ops import ELEMENTWISE_LOSS

__all__ = [
    "BinaryCrossEntropy",
    "CategoricalCrossEntropy",
    "EpsInsensitive",
    "Exponential",
    "Hinge",
    "Huber",
    "Logistic",
    "Quantile",
    "Squared",
]

_CLIP = 1e-7


@dataclass(frozen=True)
class _Elementwise(Loss):
    KIND: ClassVar[str] = ""

    def kind(self) -> str:
        """The op's word for this loss."""
        return self.KIND

    def parameter(self) -> float:
        """tau, delta or eps; 0 where there is none."""
        return 0.0

    def emit(self, graph: Graph, output: str) -> LossValues:
        """Append elementwise_loss with the input "targets" float32 (N, K)."""
        targets = self._input(graph, output)
        attrs = {"kind": self.kind(), "parameter": self.parameter()}
        out = graph.add(ELEMENTWISE_LOSS, (output, targets), attrs, "loss")
        return LossValues(out[0], {}, (targets,))

    def per_sample(self, y: NDArray[Any], t: NDArray[Any]) -> Floats:
        """The sum over outputs of every sample."""
        out: Floats = self.formula(*as_float64(y, t)).sum(1)
        return out

    def formula(self, y: Floats, t: Floats) -> Floats:
        """The loss of every element in float64."""
        raise NotImplementedError


@dataclass(frozen=True)
class Squared(_Elementwise):
    """(y - t)^2 / 2."""

    KIND: ClassVar[str] = "squared"

    def formula(self, y: Floats, t: Floats) -> Floats:
        return (y - t) ** 2 / 2


@dataclass(frozen=True)
class BinaryCrossEntropy(_Elementwise):
    """-t ln p - (1 - t) ln(1 - p), t in [0, 1], p = logistic(y), or p = y kept in [1e-7, 1 - 1e-7].

    from_logits: y are logits: max(y, 0) - y t + ln(1 + exp(-|y|)). Otherwise probabilities.
    """

    from_logits: bool = True

    def kind(self) -> str:
        return "binary_ce_logits" if self.from_logits else "binary_ce"

    def formula(self, y: Floats, t: Floats) -> Floats:
        if self.from_logits:
            return np.maximum(y, 0) - y * t + np.log1p(np.exp(-np.abs(y)))
        p = np.clip(y, _CLIP, 1 - _CLIP)
        return -t * np.log(p) - (1 - t) * np.log1p(-p)


@dataclass(frozen=True)
class CategoricalCrossEntropy(_Elementwise):
    """-t ln y on probabilities y kept in [1e-7, 1 - 1e-7]; after a softmax layer."""

    KIND: ClassVar[str] = "categorical_ce"

    def formula(self, y: Floats, t: Floats) -> Floats:
        return -t * np.log(np.clip(y, _CLIP, 1 - _CLIP))


@dataclass(frozen=True)
class _Signs(_Elementwise):
    task: ClassVar[Task] = "signs"


@dataclass(frozen=True)
class Logistic(_Signs):
    """ln(1 + exp(-t y)), t in {-1, 1}."""

    KIND: ClassVar[str] = "logistic"

    def formula(self, y: Floats, t: Floats) -> Floats:
        out: Floats = np.logaddexp(0.0, -t * y)
        return out


@dataclass(frozen=True)
class Exponential(_Signs):
    """exp(-t y), t in {-1, 1}."""

    KIND: ClassVar[str] = "exponential"

    def formula(self, y: Floats, t: Floats) -> Floats:
        with np.errstate(over="ignore"):
            out: Floats = np.exp(-t * y)
        return out


@dataclass(frozen=True)
class Hinge(_Signs):
    """max(1 - t y, 0), t in {-1, 1}."""

    KIND: ClassVar[str] = "hinge"

    def formula(self, y: Floats, t: Floats) -> Floats:
        return np.maximum(1 - t * y, 0)


@dataclass(frozen=True)
class Quantile(_Elementwise):
    """(1 - tau) max(y - t, 0) + tau max(t - y, 0); tau in (0, 1)."""

    tau: float = 0.5
    KIND: ClassVar[str] = "quantile"

    def __post_init__(self) -> None:
        if not 0 < self.tau < 1:
            raise ValueError(f"Quantile: tau must be in (0, 1), got {self.tau!r}")

    def parameter(self) -> float:
        return self.tau

    def formula(self, y: Floats, t: Floats) -> Floats:
        return (1 - self.tau) * np.maximum(y - t, 0) + self.tau * np.maximum(t - y, 0)


@dataclass(frozen=True)
class Huber(_Elementwise):
    """(t - y)^2 where |t - y| <= delta, else 2 delta (|t - y| - delta / 2) (B 34: twice the usual)."""

    delta: float = 1.0
    KIND: ClassVar[str] = "huber"

    def __post_init__(self) -> None:
        if not 0 < self.delta < np.inf:
            raise ValueError(f"Huber: delta must be above 0, got {self.delta!r}")

    def parameter(self) -> float:
        return self.delta

    def formula(self, y: Floats, t: Floats) -> Floats:
        off = np.abs(t - y)
        return np.where(off <= self.delta, off**2, 2 * self.delta * (off - self.delta / 2))


@dataclass(frozen=True)
class EpsInsensitive(_Elementwise):
    """max(|t - y| - eps, 0)."""

    eps: float = 0.1
    KIND: ClassVar[str] = "eps_insensitive"

    def __post_init__(self) -> None:
        if not 0 <= self.eps < np.inf:
            raise ValueError(f"EpsInsensitive: eps must be at least 0, got {self.eps!r}")

    def parameter(self) -> float:
        return self.eps

    def formula(self, y: Floats, t: Floats) -> Floats:
        return np.maximum(np.abs(t - y) - self.eps, 0)
