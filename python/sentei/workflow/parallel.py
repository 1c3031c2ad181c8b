"""One run in several ranks of MPI: rank 0 is the run, the others follow it and write nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sentei import _core, device
from sentei.distributed.fit_parallel import together
from sentei.distributed.mpi import launched_rank, local_ranks
from sentei.distributed.replicate import DataParallel
from sentei.errors import DataError
from sentei.train import ALONE, World
from sentei.workflow.config import Config
from sentei.workflow.factory import make_optimizer, make_regularizers
from sentei.workflow.run_dir import RunDir
from sentei.workflow.watch import RankRate

__all__ = [
    "FollowingRun",
    "as_one",
    "check_ranks",
    "follows",
    "rank_rates",
    "rest",
    "share_threads",
    "traffic",
    "world_of",
]

RELAUNCHES = "SENTEI_RELAUNCHES"  # set by sentei.distributed.launch
_begun = time.perf_counter()


def follows() -> bool:
    """Whether this process is a rank behind rank 0; MPI is not loaded to tell."""
    found = launched_rank()
    return found is not None and found[0] > 0


def _ranks() -> int:
    found = launched_rank()
    return 1 if found is None else found[1]


def check_ranks(config: Config, command: str) -> None:
    """Refuse what several ranks cannot do together, the same in all of them.

    Raises:
        DataError: the command, the device or a setting.
    """
    if _ranks() == 1:
        return
    if command != "train":
        raise DataError(f"{command}: must be run in one process, got {_ranks()} ranks of MPI")
    if device.require(config.run.device) != "cpu":
        raise DataError("train: device must be cpu with ranks of MPI, got cuda")
    if config.distributed.cluster is not None:
        raise DataError(
            f"train: --cluster must be left out with ranks of MPI, got {config.distributed.cluster!r}"
        )
    t = config.train
    try:
        world = DataParallel.__new__(DataParallel)  # to check settings needs no MPI
        world.size = _ranks()
        world.check(t.batch, make_optimizer(t), make_regularizers(t.regularizers), ())
    except ValueError as e:
        raise DataError(str(e)) from None


def share_threads() -> None:
    """Give each rank its part of the cores of this machine."""
    if _ranks() > 1:
        device.set_threads(max(1, _core.threads() // local_ranks()))


def world_of(command: str) -> World:
    """The ranks that make this run."""
    return DataParallel() if command == "train" and _ranks() > 1 else ALONE


def as_one(world: World) -> AbstractContextManager[None]:
    """What ends one rank inside the block ends all."""
    return together(world.comm) if isinstance(world, DataParallel) else nullcontext()


def rest(world: World) -> None:
    """Wait for the other ranks without using a core."""
    if isinstance(world, DataParallel):
        world.comm.barrier()


def rank_rates(world: World, rate: float) -> list[RankRate]:
    """How all ranks stand; all must ask."""
    if not isinstance(world, DataParallel):
        return []
    now, spent = time.perf_counter(), world.comm.traffic.seconds
    low, high = world.rows(1 << 20)
    mine = (rate * (high - low) / (1 << 20), min(1.0, spent / max(now - _begun, 1e-9)))
    return [RankRate(*row) for row in world.comm.gather(mine)]


def traffic(world: World) -> dict[str, Any] | None:
    """The counters of all ranks, for report.json; all must ask."""
    if not isinstance(world, DataParallel):
        return None
    c = world.comm
    t = c.traffic
    every = c.gather((t.bytes, t.exchanges, t.seconds, t.waits))
    relaunches = os.environ.get(RELAUNCHES, "0")
    gone = sum(e[0] for e in every) / 1e6
    waited = max(e[2] for e in every)
    times = int(relaunches) if relaunches.isdecimal() else 0
    return {
        "sentence": f"trained by {c.size} ranks of MPI ({c.library}), all-reduce: {gone:,.0f} MB exchanged, "
        f"{waited:.1f} s in exchanges, {times} relaunches",
        "strategy": "all-reduce",
        "ranks": c.size,
        "library": c.library,
        "bytes": sum(e[0] for e in every),
        "bytes_of_ranks": [e[0] for e in every],
        "exchanges": [e[1] for e in every],
        "seconds_exchanging": [round(e[2], 4) for e in every],
        "seconds_waiting_for_gradients": [round(e[3], 4) for e in every],
        "relaunches": times,
    }


class FollowingRun(RunDir):
    """The folder of a run as a rank sees it that is not to write there."""

    def event(self, event: str, **fields: Any) -> None:
        """Rank 0 has it."""

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Rank 0 does."""

    def write_metrics(self) -> None:
        """Rank 0 does."""

    def mend(self) -> None:
        """Rank 0 does."""

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Rank 0 has claimed it for all."""
        yield
