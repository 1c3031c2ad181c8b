"""Downpour SGD: replicas that fetch, compute and push as they like, around sharded parameters."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sentei.describe import described
from sentei.distributed.clock import Clock
from sentei.distributed.engine import (
    ClusterError,
    Engine,
    Future,
    GaveUpError,
    LostError,
    Worker,
    current,
)
from sentei.distributed.leases import Leases
from sentei.distributed.objective import Chunks, Recipe, cuts, start_of, updates_of
from sentei.distributed.replica import Downpour, Replica
from sentei.distributed.result import Counters, Result, Show, Status
from sentei.distributed.shard import ParameterShard, check_rule
from sentei.optim import Optimizer, Schedule

__all__ = ["downpour"]

_TICK = 0.25  # seconds between two signs of life
_LOSSES = 25  # of one worker in a row, before it is given up
_START = 60.0  # seconds that a process may take to start
_BYTES = 256 << 20  # of gradients that replicas keep, about


def downpour(
    model: Recipe,
    chunks: Chunks,
    *,
    replicas: int = 2,
    shards: int = 1,
    n_fetch: int = 1,
    n_push: int = 1,
    rule: Optimizer,
    schedule: Schedule | None = None,
    epochs: int = 1,
    warm_start: int = 0,
    max_staleness: int | None = None,
    own_lr: float = 0.0,
    ahead: bool = False,
    snapshot_every: int | None = None,
    store: str | Path | None = None,
    resume: bool = False,
    wait: float = 10.0,
    threads: int = 1,
    seed: int = 0,
    faults: Sequence[Any] = (),
    show: Show | None = None,
) -> Result:
    """Train with Downpour SGD on the open cluster.

    A replica fetches the weights every n_fetch mini-batches, adds up gradients and pushes the sum every
    n_push; shards apply it at once, w <- w - lr g / sqrt(sum of g^2) with AdaGrad. Nobody waits for
    anybody. Every planned push is applied exactly once, whatever dies (but the process that calls this).

    Args:
        model: recipe of the objective (sentei.distributed.Network for a sentei model).
        chunks: data, chunks[i] a list of mini-batches. A list is sent to the workers chunk by chunk,
            anything else is copied to every worker once and asked there.
        replicas, shards: how many workers of each kind.
        n_fetch, n_push: mini-batches between two fetches, two pushes.
        rule: AdaGrad(lr) or SGD(lr). schedule: of its lr, by the number of the update.
        epochs: times that every chunk is worked off, in an order drawn from seed.
        warm_start: updates that one replica makes before the others begin.
        max_staleness: steps that a replica may be ahead of the slowest; None: any number, 0: synchronous.
        own_lr: step of a replica's own copy between fetches (n_fetch > 1).
        ahead: fetch the next weights while computing: faster, and one step staler.
        snapshot_every: updates of a shard between snapshots; None: by the size of the model.
        store: folder for snapshots that every machine sees; None: a temporary one, embedded only.
        resume: go on from the snapshots in store.
        wait: seconds after which an answer is given up; longer than a mini-batch takes.
        threads: of the kernels in a replica. faults: to inject (tests). show: called about 4 times a second.
    Returns:
        Result: weights, a row of history per chunk, counters.
    Raises:
        ValueError: an argument cannot be used. ClusterError: no cluster, or a worker died too often.
        NonFiniteError: a loss is not finite.
    Source:
        J. Dean et al., Large scale distributed deep networks, NIPS 2012, section 4.1 and appendix.
    """
    check_rule(rule)
    for name, value in (("replicas", replicas), ("n_fetch", n_fetch), ("n_push", n_push),
                        ("epochs", epochs), ("threads", threads)):  # fmt: skip
        if value < 1:
            raise ValueError(f"downpour: {name} must be at least 1, got {value}")
    if max_staleness is not None and (max_staleness < 0 or n_fetch != 1 or ahead):
        raise ValueError(
            "downpour: max_staleness must be at least 0 and go with n_fetch = 1 and without ahead, "
            f"got {max_staleness} with n_fetch = {n_fetch}"
        )
    if not len(chunks):
        raise ValueError("downpour: chunks must not be empty")
    engine = current()
    start = start_of(model)
    lengths = [len(chunks[i]) for i in range(len(chunks))]
    if not all(lengths):
        raise ValueError("downpour: every chunk must hold a mini-batch, got an empty one")
    every = snapshot_every
    if every is None:
        every = int(min(max(_BYTES // start.nbytes, 10), 200))
    settings = Downpour(n_fetch, n_push, own_lr, max_staleness, ahead, wait)
    about = [len(start), shards, lengths, epochs, n_push, seed, described(rule)]
    run = hashlib.blake2b(json.dumps(about).encode(), digest_size=8).hexdigest()
    with stored(store, engine, resume) as folder:
        bounds = cuts(len(start), shards, getattr(model, "blocks", ()))
        servers = [
            engine.spawn(
                f"shard {i}", ParameterShard,
                run, i, start[a:b], rule, str(folder), every, schedule, faults=faults,
            )
            for i, (a, b) in enumerate(pairwise(bounds))
        ]  # fmt: skip
        clock = engine.spawn("clock", Clock) if max_staleness is not None else None
        data = None if isinstance(chunks, list | tuple) else chunks
        names = [f"replica {i}" for i in range(replicas)]
        workers = [
            engine.spawn(
                name, Replica,
                name, model, data, servers, bounds, settings, clock,
                cpus=threads, threads=threads, concurrency=2, faults=faults,
            )
            for name in names
        ]  # fmt: skip
        order = [
            e * len(lengths) + int(c)
            for e in range(epochs)
            for c in np.random.default_rng([seed, e]).permutation(len(lengths))
        ]
        leases = Leases([updates_of(n, n_push) for n in lengths] * epochs, order)
        run_ = _Run(engine, servers, workers, clock, leases, chunks, data is None, wait, warm_start)
        try:
            return run_.all(resume, show)
        finally:
            for w in (*workers, *servers, *([clock] if clock else [])):
                engine.kill(w, again=False)


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


@dataclass
class _Hand:
    """What the coordinator knows of a replica."""

    worker: Worker
    chunk: int | None = None
    work: Future = None
    beat: Future = None
    asked: float = 0.0  # when the beat was sent
    told: float = 0.0  # when the last new thing was heard
    said: Mapping[str, Any] | None = None
    rest: float = 0.0  # not before
    losses: int = 0
    born: str = ""  # of the process that last gave a sign
    fresh: bool = True  # this process has given none yet


class _Run:
    """The coordinator: leases, signs of life, and the end."""

    def __init__(
        self,
        engine: Engine,
        shards: Sequence[Worker],
        replicas: Sequence[Worker],
        clock: Worker | None,
        leases: Leases,
        chunks: Chunks,
        send: bool,
        wait: float,
        warm: int,
    ) -> None:
        self.engine, self.shards, self.clock = engine, list(shards), clock
        self.leases, self.chunks, self.send = leases, chunks, send
        self.wait, self.warm = wait, warm
        self.hands = {w.name: _Hand(w) for w in replicas}
        self.counters = Counters(planned=leases.planned)
        self.history: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.lives = [0] * len(self.shards)
        self.checks: list[tuple[Future, float] | None] = [None] * len(self.shards)
        self.up = [False] * len(self.shards)  # this process has given a sign
        self.looked = [0.0] * len(self.shards)
        self.applied = 0

    def all(self, resume: bool, show: Show | None) -> Result:
        begun = shown = self.engine.now()
        self._begin()
        if resume:
            self.leases.restore([self._ask(i, "save")[1] for i in range(len(self.shards))])
        while True:
            while self.leases.waiting or self.leases.leased:
                self._hand_out()
                self._listen()
                if show is not None and self.engine.now() - shown >= _TICK:
                    shown = self.engine.now()
                    show(self._status())
            if self._settled():
                break
        result = self._result(begun)
        if show is not None:
            show(self._status())
        return result

    def _begin(self) -> None:
        """Wait until everybody has given a first sign; who has not is watched as one that starts."""
        for hand in self.hands.values():
            hand.beat, hand.asked = self.engine.call(hand.worker, "beat"), self.engine.now()
        for i in range(len(self.shards)):
            self._lives(i, self._ask(i, "status")["life"])
        beats = [h.beat for h in self.hands.values()]
        self.engine.wait(beats, len(beats), _START)
        for hand in self.hands.values():
            self._heard(hand)

    # -- work ----------------------------------------------------------------------------------
    def _hand_out(self) -> None:
        now = self.engine.now()
        warm = self.applied < self.warm and self.leases.sent < self.warm
        for name, hand in self.hands.items():
            if hand.chunk is not None or now < hand.rest:
                continue
            if warm and self.leases.leased:
                return
            chunk = self.leases.lease(name)
            if chunk is None:
                return
            number = chunk % len(self.chunks)
            data = list(self.chunks[number]) if self.send else None
            hand.chunk, hand.told = chunk, now
            hand.work = self.engine.call(hand.worker, "work", chunk, number, data)

    def _listen(self) -> None:
        """Wait for news for a moment and heed them."""
        now = self.engine.now()
        for hand in self.hands.values():
            if hand.beat is None and now - hand.asked >= _TICK and now >= hand.rest:
                hand.beat, hand.asked = self.engine.call(hand.worker, "beat"), now
        for i, shard in enumerate(self.shards):
            if self.checks[i] is None and now - self.looked[i] >= _TICK:
                self.checks[i], self.looked[i] = (self.engine.call(shard, "status"), now), now
        futures = [h.work for h in self.hands.values() if h.chunk is not None]
        ready: list[Future] = []
        if futures:
            ready, _ = self.engine.wait(futures, 1, _TICK / 2)
        else:  # all workers are on their way back
            self.engine.pause(_TICK / 2)
        for hand in self.hands.values():
            if hand.chunk is not None and any(hand.work is f for f in ready):
                self._worked(hand)
        for hand in self.hands.values():
            self._heard(hand)
        for i in range(len(self.shards)):
            self._checked(i)

    def _worked(self, hand: _Hand) -> None:
        chunk = hand.chunk
        assert chunk is not None
        try:
            report = self.engine.take(hand.work)
        except LostError as e:
            self._lost(hand, str(e), died=not isinstance(e, GaveUpError))
            return
        hand.losses, hand.chunk, hand.work = 0, None, None
        if self.leases.finish(chunk, hand.worker.name):
            row = {
                "epoch": chunk // len(self.chunks) + 1,
                "chunk": chunk % len(self.chunks),
                "loss": report["loss"],
                "updates": self.leases.sent,
                "worker": hand.worker.name,
                "seconds": round(report["seconds"], 4),
            }
            self.history.append(row)

    def _lost(self, hand: _Hand, why: str, died: bool = True) -> None:
        """A replica has lost its chunk: it died, hung, or could not reach a shard."""
        name = hand.worker.name
        hand.chunk, hand.work, hand.beat = None, None, None
        self.counters.restarts += died and not hand.fresh
        hand.fresh = hand.fresh or died
        hand.losses += 1
        if hand.losses > _LOSSES:
            raise ClusterError(
                f"distributed: {name} must work, but was lost {hand.losses} times: {why}"
            )
        hand.rest = self.engine.now() + min(0.1 * 2**hand.losses, 2.0)
        hand.asked = hand.rest
        if self.leases.give_back(name):
            self.counters.leases_lost += 1
        self.notes.append(f"{name} was lost, its chunk goes to another")
        if self.clock is not None:
            self.engine.call(self.clock, "leave", name)

    def _heard(self, hand: _Hand) -> None:
        """Heed the sign of life of a replica, or its absence."""
        now = self.engine.now()
        if hand.beat is None:
            return
        ready, _ = self.engine.wait([hand.beat], 1, 0)
        if not ready:
            if now - hand.asked > (_START if hand.fresh else self.wait):
                self.engine.kill(hand.worker)
                self._lost(hand, "it did not answer")
            return
        try:
            said = self.engine.take(hand.beat)
        except LostError:
            hand.beat = None
            return
        before, hand.said = hand.said, said
        if not hand.fresh and said["born"] != hand.born:
            self.counters.restarts += 1
        hand.beat, hand.fresh, hand.born = None, False, said["born"]
        if before != said:
            hand.told = now
        elif hand.chunk is not None:
            idle = said["chunk"] != hand.chunk
            if now - hand.told > (1 if idle else 6) * self.wait:
                self.engine.kill(hand.worker)
                self._lost(hand, "it makes no progress")

    def _checked(self, i: int) -> None:
        """Heed the status of a shard, or its absence."""
        check = self.checks[i]
        if check is None:
            return
        future, sent = check
        ready, _ = self.engine.wait([future], 1, 0)
        if not ready:
            if self.engine.now() - sent > (self.wait if self.up[i] else _START):
                self.engine.kill(self.shards[i])
                self.checks[i], self.up[i] = None, False
            return
        self.checks[i] = None
        try:
            status = self.engine.take(future)
        except LostError:
            self.up[i] = False
            return
        self.up[i] = True
        self._lives(i, status["life"])
        self.applied = max(self.applied, status["version"])

    def _lives(self, i: int, life: int) -> None:
        if self.lives[i] and life > self.lives[i]:
            self.counters.shard_restarts += 1
            self.notes.append(f"shard {i} was started again from its snapshot")
        self.lives[i] = max(self.lives[i], life)

    # -- the end -------------------------------------------------------------------------------
    def _settled(self) -> bool:
        """Whether all updates are on disk; if not, have them sent or computed again."""
        for attempt in range(2):
            places = []
            for i in range(len(self.shards)):
                life, found = self._ask(i, "save")
                self._lives(i, life)
                places.append(found)
            lacking = self.leases.settle(places)
            if not lacking:
                return self.leases.finished
            if attempt == 0:
                self._send_again()
        self.notes.append(f"{len(lacking)} chunks were lost with their worker and shard: again")
        self.leases.again(lacking)
        return False

    def _send_again(self) -> None:
        """Replicas send what they have kept and a shard has lost."""
        futures = {n: self.engine.call(h.worker, "send_again") for n, h in self.hands.items()}
        end = self.engine.now() + 6 * self.wait
        for name, future in futures.items():
            ready, _ = self.engine.wait([future], 1, max(end - self.engine.now(), 0))
            if not ready:
                self.engine.kill(self.hands[name].worker)
            else:
                with contextlib.suppress(LostError):
                    self.engine.take(future)

    def _ask(self, i: int, method: str, *args: Any) -> Any:
        """Call a shard until it answers; start it again when it hangs."""
        for _ in range(_LOSSES):
            future = self.engine.call(self.shards[i], method, *args)
            ready, _ = self.engine.wait([future], 1, self.wait if self.up[i] else _START)
            if not ready:
                self.engine.kill(self.shards[i])
                self.up[i] = False
                continue
            try:
                found = self.engine.take(future)
            except LostError:
                self.up[i] = False
                self.engine.pause(0.1)
            else:
                self.up[i] = True
                return found
        raise ClusterError(f"distributed: shard {i} must answer, but was lost {_LOSSES} times")

    def _result(self, begun: float) -> Result:
        parts, counted = [], []
        for i in range(len(self.shards)):
            found = self._ask(i, "fetch")
            parts.append(np.asarray(found.values))
            status = self._ask(i, "status")
            self._lives(i, status["life"])
            counted.append(status["counters"])
        self.counters.of_shards(counted)
        self.applied = self.leases.planned
        seconds = self.engine.now() - begun
        return Result(np.concatenate(parts), self.history, self.counters, seconds)

    def _status(self) -> Status:
        now = self.engine.now()
        states = {}
        losses = []
        for name, h in self.hands.items():
            state = "idle" if h.chunk is None else f"chunk {h.chunk}"
            if now < h.rest:
                state = "lost"
            elif h.said is not None and h.chunk is not None:
                state += f", loss {h.said['loss']:.4g}"
                losses.append(h.said["loss"])
            states[name] = state
        for i, life in enumerate(self.lives):
            states[f"shard {i}"] = "up" if life < 2 else f"up, started {life} times"
        notes, self.notes = tuple(self.notes), []
        loss = float(np.mean(losses)) if losses else None
        return Status(
            min(self.applied, self.leases.planned), self.leases.planned, loss, states, notes
        )
