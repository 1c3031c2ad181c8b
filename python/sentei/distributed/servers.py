"""The parameter shards of a run, seen from the process that began it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.distributed.engine import ClusterError, Engine, Future, LostError, backoff
from sentei.distributed.objective import Recipe, cuts
from sentei.distributed.result import Counters
from sentei.distributed.shard import ParameterShard
from sentei.optim import Optimizer, Schedule

__all__ = ["TICK", "Servers", "backoff", "drawn", "run_name", "stored"]

TICK = 0.25  # seconds between two signs of life
_TRIES = 25  # at one shard, before it is given up
_BYTES = 256 << 20  # of gradients that replicas keep, about


def run_name(about: Any) -> str:
    """A name for the run of these settings: snapshots of another are refused."""
    return hashlib.blake2b(json.dumps(about).encode(), digest_size=8).hexdigest()


def drawn(count: int, seed: int, epoch: int, shuffle: bool) -> list[int]:
    """Numbers below `count` in the order of an epoch."""
    if not shuffle:
        return list(range(count))
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(count)]


@contextlib.contextmanager
def stored(store: str | Path | None, engine: Engine, resume: bool) -> Iterator[Path]:
    """The folder of snapshots; a temporary one where all workers are on this machine.

    Raises:
        ValueError: a cluster of several machines needs one that all see; it holds another run.
    """
    if store is None:
        if not engine.embedded:
            raise ValueError(
                "distributed: store must be a folder that all machines of the cluster share, got None"
            )
        if resume:
            raise ValueError("distributed: store must be given to resume from it, got None")
        with tempfile.TemporaryDirectory(prefix="sentei-shards-") as name:
            yield Path(name)
        return
    folder = Path(store)
    folder.mkdir(parents=True, exist_ok=True)
    if not resume and any(folder.glob("*.safetensors")):
        raise ValueError(
            f"distributed: store must hold no snapshots unless resume is set, got some in {folder}"
        )
    yield folder.resolve()


class Servers:
    """Starts the shards, asks them with patience, and notices when one was started again.

    Args:
        run: name of the run. start: initial weights. every: updates between snapshots; None: by size.
        wait: seconds after which a shard that has answered before is taken to hang.
    """

    def __init__(
        self,
        engine: Engine,
        run: str,
        model: Recipe,
        start: NDArray[np.float32],
        shards: int,
        rule: Optimizer,
        schedule: Schedule | None,
        folder: Path,
        every: int | None,
        wait: float,
        counters: Counters,
        faults: Sequence[Any],
    ) -> None:
        if every is None:
            every = int(min(max(_BYTES // start.nbytes, 10), 200))
        self.engine, self.wait, self.counters = engine, wait, counters
        self.bounds = cuts(len(start), shards, getattr(model, "blocks", ()))
        self.workers = [
            engine.spawn(
                f"shard {i}", ParameterShard,
                run, i, start[a:b], rule, str(folder), every, schedule, faults=faults,
            )
            for i, (a, b) in enumerate(pairwise(self.bounds))
        ]  # fmt: skip
        self.notes: list[str] = []
        self.lives = [0] * shards
        self.up = [False] * shards  # this process has given a sign
        self._silent = [0] * shards  # how often it was lost since the last sign
        self.version = 0  # the highest seen
        self._checks: list[tuple[Future, float] | None] = [None] * shards
        self._looked = [0.0] * shards

    def __len__(self) -> int:
        return len(self.workers)

    def ask(self, i: int, method: str, *args: Any) -> Any:
        """Call a shard until it answers; start it again when it hangs.

        Raises:
            ClusterError: it does not come back.
        """
        for _ in range(_TRIES):
            future = self.engine.call(self.workers[i], method, *args)
            ready, _ = self.engine.wait([future], 1, self.patience(i))
            if not ready:
                self.restart(i)
                continue
            try:
                found = self.engine.take(future)
            except LostError:
                self._lost(i)
                self.engine.pause(0.1)
            else:
                self.up[i], self._silent[i] = True, 0
                return found
        raise ClusterError(f"distributed: shard {i} must answer, but was lost {_TRIES} times")

    def patience(self, i: int) -> float:
        """Seconds that an answer may take."""
        return self.wait if self.up[i] else backoff(self.wait, self._silent[i])

    def restart(self, i: int) -> None:
        """Kill a shard that hangs; it comes back from its snapshot."""
        self.engine.kill(self.workers[i])
        self._silent[i] += 1
        self.up[i] = False

    def _lost(self, i: int) -> None:
        """A call of a shard has failed: it is on its way back."""
        self.up[i], self._silent[i] = False, max(self._silent[i], 1)

    def lived(self, i: int, life: int) -> bool:
        """Note the life of a shard; True: it is another than before."""
        again = bool(self.lives[i]) and life > self.lives[i]
        if again:
            self.counters.shard_restarts += 1
            self.notes.append(f"shard {i} was started again from its snapshot")
        self.lives[i] = max(self.lives[i], life)
        return again

    def watch(self) -> None:
        """Ask for signs of life now and then, without waiting for them."""
        now = self.engine.now()
        for i, shard in enumerate(self.workers):
            check = self._checks[i]
            if check is None:
                if now - self._looked[i] >= TICK:
                    self._checks[i], self._looked[i] = (self.engine.call(shard, "status"), now), now
                continue
            future, sent = check
            ready, _ = self.engine.wait([future], 1, 0)
            if not ready:
                if now - sent > self.patience(i):
                    self.restart(i)
                    self._checks[i] = None
                continue
            self._checks[i] = None
            try:
                status = self.engine.take(future)
            except LostError:
                self._lost(i)
                continue
            self.up[i], self._silent[i] = True, 0
            self.lived(i, status["life"])
            self.version = max(self.version, status["version"])

    def states(self) -> Mapping[str, str]:
        """In words, for those who look on."""
        return {
            f"shard {i}": "up" if life < 2 else f"up, started {life} times"
            for i, life in enumerate(self.lives)
        }

    def weights(self) -> NDArray[np.float32]:
        """All weights as they are now; what the shards have counted goes into the counters."""
        parts, counted = [], []
        for i in range(len(self)):
            parts.append(np.asarray(self.ask(i, "fetch").values))
            status = self.ask(i, "status")
            self.lived(i, status["life"])
            counted.append(status["counters"])
        self.counters.of_shards(counted)
        return np.concatenate(parts)
