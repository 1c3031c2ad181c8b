"""What a distributed training came to, and what happened on the way: nothing is silent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counters", "Result", "Show", "Status"]


@dataclass
class Counters:
    """What was counted.

    planned, updates: updates that each shard should have applied, and has (of synchronous training:
    mini-batches). repeats: dropped because they had been applied. gaps: refused because one before was
    missing. replays: applied again after a shard had lost them. leases_lost: chunks (mini-batches of a
    step) that went to another worker. restarts, shard_restarts: of replicas and shards. backups:
    gradients that came too late for their step. doubled: mini-batches given to a second worker, the
    first being slow. rolled_back: steps made again from a snapshot. staleness: updates of others
    between the fetch of the weights and the application of their gradient, replays aside. bytes:
    through the shards.
    """

    planned: int = 0
    updates: list[int] = field(default_factory=list)
    repeats: int = 0
    gaps: int = 0
    replays: int = 0
    leases_lost: int = 0
    restarts: int = 0
    shard_restarts: int = 0
    backups: int = 0
    doubled: int = 0
    rolled_back: int = 0
    snapshots: int = 0
    staleness_mean: float = 0.0
    staleness_max: int = 0
    bytes: int = 0

    def of_shards(self, found: Iterable[Mapping[str, int]]) -> None:
        """Add what the shards have counted."""
        every = list(found)
        self.updates = [c["applied"] for c in every]
        self.repeats = sum(c["repeats"] for c in every)
        self.gaps = sum(c["gaps"] for c in every)
        self.replays = sum(c["replayed"] for c in every)
        self.snapshots = sum(c["snapshots"] for c in every)
        self.bytes = sum(c["bytes"] for c in every)
        applied = sum(self.updates) - self.replays
        self.staleness_mean = sum(c["late_sum"] for c in every) / applied if applied else 0.0
        self.staleness_max = max((c["late_max"] for c in every), default=0)

    def to_json(self) -> dict[str, Any]:
        """As JSON data, for report.json."""
        return asdict(self)


@dataclass(frozen=True)
class Result:
    """weights (size,) float32; history: a row per chunk or step; counters; seconds of wall clock."""

    weights: NDArray[np.float32]
    history: list[dict[str, Any]]
    counters: Counters
    seconds: float


@dataclass(frozen=True)
class Status:
    """How a training stands, for those who look on: updates done of all, loss, and every worker's state."""

    done: int
    planned: int
    loss: float | None
    workers: Mapping[str, str]
    notes: tuple[str, ...] = ()


Show = Callable[[Status], None]
