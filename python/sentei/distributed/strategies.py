"""The ways to train on a cluster, by name: what the command line offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sentei.distributed.objective import Chunks, Recipe
from sentei.distributed.result import Result, Show
from sentei.optim import Optimizer, Schedule

__all__ = ["STRATEGIES", "Job", "Paced", "Strategy"]


@dataclass(frozen=True)
class Job:
    """What a strategy is to train, on the open cluster. settings: those of [distributed], by name."""

    model: Recipe
    chunks: Chunks
    rule: Optimizer
    schedule: Schedule
    settings: Mapping[str, Any]
    store: str
    resume: bool
    threads: int
    seed: int
    show: Show | None = None

    def common(self) -> dict[str, Any]:
        """Arguments that all strategies take."""
        names = ("replicas", "shards", "snapshot_every", "wait")
        return {
            "rule": self.rule,
            "schedule": self.schedule,
            "shuffle": False,  # the chunks are in the order of the epochs
            "store": self.store,
            "resume": self.resume,
            "threads": self.threads,
            "seed": self.seed,
            "show": self.show,
            **{k: self.settings[k] for k in names},
        }


Strategy = Callable[[Job], Result]


@dataclass(frozen=True)
class Paced(Schedule):
    """A schedule whose epoch is counted in updates: a shard knows no other."""

    inner: Schedule
    updates: int  # of an epoch

    def __call__(self, lr: float, step: int, epoch: int) -> float:
        return self.inner(lr, step, step // self.updates)


def _sync(job: Job) -> Result:
    from sentei.distributed.synchronous_sgd import synchronous

    return synchronous(job.model, job.chunks, backups=job.settings["backups"], **job.common())


def _downpour(job: Job) -> Result:
    from sentei.distributed.asynchronous import downpour

    names = ("n_fetch", "n_push", "warm_start", "max_staleness", "ahead")
    own = {k: job.settings[k] for k in names}
    return downpour(job.model, job.chunks, **own, **job.common())


def _sandblaster(job: Job) -> Result:
    from sentei.distributed.coordinator import sandblaster
    from sentei.optim import LBFGS

    if not isinstance(job.rule, LBFGS):
        raise TypeError(f"sandblaster: rule must be LBFGS, got {type(job.rule).__name__}")
    s = job.settings
    return sandblaster(
        job.model,
        job.chunks,
        workers=s["replicas"],
        shards=s["shards"],
        rule=job.rule,
        iterations=s["iterations"],
        snapshot_every=s["snapshot_every"] or 1,
        store=job.store,
        resume=job.resume,
        wait=s["wait"],
        threads=job.threads,
        show=job.show,
    )


STRATEGIES: dict[str, Strategy] = {
    "sync": _sync,
    "downpour": _downpour,
    "sandblaster": _sandblaster,
}
