"""What makes the steps of a trainer: one kind of step, several in turns, or iterations of L-BFGS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sentei._core import Tensor
from sentei.optim import LBFGS, Optimizer
from sentei.run.inputs import Feed
from sentei.train.lbfgs import LbfgsRunner
from sentei.train.step import Figures, StepGraph, StepRunner
from sentei.train.turns import Steps

__all__ = ["Runs", "runner_of"]


class Runs(Protocol):
    """What a trainer asks of the runner of its steps; StepRunner says what each does."""

    turn: int
    stuck: str | None

    @property
    def due(self) -> bool: ...
    @property
    def inputs(self) -> Mapping[str, Tensor]: ...
    def feed(self, feeds: Mapping[str, Feed]) -> None: ...
    def step(self, feeds: Mapping[str, Feed]) -> bool: ...
    def read(self) -> list[Figures]: ...
    def rewind(self) -> None: ...
    def figures(self) -> Figures: ...
    def first_not_finite(self) -> str | None: ...


def runner_of(
    steps: Sequence[StepGraph], optimizer: Optimizer, tensors: Mapping[str, Tensor], batch: int
) -> Runs:
    """Return what makes these steps, on these parameters and states."""
    if isinstance(optimizer, LBFGS):
        return LbfgsRunner(steps[0], optimizer, tensors, batch)
    runners = [
        StepRunner(s, {k: t for k, t in tensors.items() if k in s.graph.values}, batch)
        for s in steps
    ]
    return runners[0] if len(runners) == 1 else Steps(runners)
