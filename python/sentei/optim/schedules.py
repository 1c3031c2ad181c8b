"""How the step size changes: functions of the step and the epoch, both from 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sentei.optim.base import check_range

__all__ = ["Bengio", "Constant", "Cosine", "Inverse", "Schedule", "Step"]

Unit = Literal["step", "epoch"]


@dataclass(frozen=True)
class Schedule:
    """Base: schedule(lr, step, epoch) is the step size; lr is the optimizer's."""

    def __call__(self, lr: float, step: int, epoch: int) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Schedule):
    """lr at every step."""

    def __call__(self, lr: float, step: int, epoch: int) -> float:
        return lr


def _check_unit(kind: str, per: str) -> None:
    if per not in ("step", "epoch"):
        raise ValueError(f"{kind}: per must be 'step' or 'epoch', got {per!r}")


@dataclass(frozen=True)
class Step(Schedule):
    """lr factor^k after k milestones: epochs (or steps) at which the step size falls.

    Step((80, 120), 0.1) divides by 10 at the start of epochs 80 and 120.
    """

    milestones: Sequence[int]
    factor: float = 0.1
    per: Unit = "epoch"

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", tuple(self.milestones))
        check_range("Step", "factor", self.factor, 0)
        _check_unit("Step", self.per)
        if any(isinstance(m, bool) or not isinstance(m, int) or m < 0 for m in self.milestones):
            raise ValueError(f"Step: milestones must be whole numbers, got {self.milestones}")

    def __call__(self, lr: float, step: int, epoch: int) -> float:
        at = epoch if self.per == "epoch" else step
        return lr * self.factor ** sum(at >= m for m in self.milestones)


@dataclass(frozen=True)
class Inverse(Schedule):
    """lr tau / max(t, tau): constant for tau steps (or epochs), then falling as 1/t (L eq. 17)."""

    tau: float
    per: Unit = "step"

    def __post_init__(self) -> None:
        check_range("Inverse", "tau", self.tau, 1e-300)
        _check_unit("Inverse", self.per)

    def __call__(self, lr: float, step: int, epoch: int) -> float:
        return lr * self.tau / max(epoch if self.per == "epoch" else step, self.tau)


Bengio = Inverse


@dataclass(frozen=True)
class Cosine(Schedule):
    """From lr down to floor lr over `total` epochs (or steps) along half a cosine, then constant."""

    total: int
    floor: float = 0.0
    per: Unit = "epoch"

    def __post_init__(self) -> None:
        check_range("Cosine", "total", self.total, 1)
        check_range("Cosine", "floor", self.floor, 0, 1 + 1e-12)
        _check_unit("Cosine", self.per)

    def __call__(self, lr: float, step: int, epoch: int) -> float:
        share = min(1.0, (epoch if self.per == "epoch" else step) / self.total)
        return lr * (self.floor + (1 - self.floor) * (1 + math.cos(math.pi * share)) / 2)
