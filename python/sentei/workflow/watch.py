"""What a person sees of a run; the base shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sentei.distributed.result import Status
from sentei.passes import Costs
from sentei.prune.gauge import Gauge
from sentei.prune.iterative import PruneStep

__all__ = ["RankRate", "Watch"]


class RankRate(NamedTuple):
    """One process: images a second, and the share of its time in which it waits or exchanges."""

    rate: float
    waiting: float


class Watch:
    """Hooks of a run, in the order in which they are called. Override what is to be shown."""

    def stage(self, text: str) -> None:
        """A part of the run begins."""

    def fit_start(self, epochs: int, steps: int, done: int) -> None:
        """Training begins: epochs and steps in all, steps done before."""

    def fit_step(self, done: int, loss: float, accuracy: float | None, rate: float) -> None:
        """A training step is done; running means of the epoch, images per second."""

    def ranks(self, rows: Sequence[RankRate]) -> None:
        """How the processes that train together stand, now and then."""

    def workers(self, status: Status) -> None:
        """How training on a cluster stands: updates done, every worker's state; some times a second."""

    def epoch(self, row: Mapping[str, Any], epochs: int) -> None:
        """An epoch is done."""

    def fit_end(self) -> None:
        """Training is over."""

    def prune_start(self, gauge: Gauge, now: Costs) -> None:
        """Pruning begins (or goes on, from `now`); the gauge tells how far it has come."""

    def prune_step(self, step: PruneStep, now: Costs) -> None:
        """A channel is gone and its retraining done."""

    def prune_end(self) -> None:
        """Pruning is over."""

    def note(self, text: str) -> None:
        """Say something in one line."""

    def close(self) -> None:
        """The end, whatever it is."""
