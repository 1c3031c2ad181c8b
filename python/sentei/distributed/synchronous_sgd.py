"""Synchronous SGD with backup workers: a step takes the first gradients that arrive."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sentei.describe import described
from sentei.distributed.engine import (
    ClusterError,
    Engine,
    Future,
    LostError,
    Worker,
    backoff,
    current,
)
from sentei.distributed.gradients import GradientWorker
from sentei.distributed.objective import Chunks, Recipe, lengths_of, start_of
from sentei.distributed.result import Counters, Result, Show, Status
from sentei.distributed.servers import TICK, Servers, drawn, run_name, stored
from sentei.distributed.shard import check_rule
from sentei.optim import Optimizer, Schedule

__all__ = ["synchronous"]

_SLOW = 3.0  # times the usual seconds, after which an idle worker does it too
_REST = 5.0  # seconds at most before a worker that was lost is tried again
_LOSSES = 12  # of one worker in a row, before it is given up


def synchronous(
    model: Recipe,
    chunks: Chunks,
    *,
    replicas: int = 2,
    shards: int = 1,
    backups: int = 0,
    rule: Optimizer,
    schedule: Schedule | None = None,
    epochs: int = 1,
    shuffle: bool = True,
    snapshot_every: int | None = None,
    store: str | Path | None = None,
    resume: bool = False,
    wait: float = 10.0,
    threads: int = 1,
    seed: int = 0,
    faults: Sequence[Any] = (),
    show: Show | None = None,
) -> Result:
    """Train with synchronous SGD on the open cluster, `backups` of the replicas being spare.

    All compute gradients at the same weights; the first replicas - backups that arrive make the step,
    w <- w - lr mean(g), added in the order of the data. Mini-batches whose gradient came too late go to
    a later step, so that every one counts exactly once. Without backups the result does not depend on
    who computed what, nor on what died: it is that of one process with mini-batches that are
    replicas times as large, but for rounding.

    Args:
        backups: in [0, replicas); how many stragglers a step does not wait for.
        snapshot_every: steps between snapshots: when a shard dies, all go back to the last one.
        schedule: of lr, by the number of the step. Others: as `downpour`.
    Returns:
        Result: weights, a row of history per step, counters (planned, updates: mini-batches).
    Raises:
        As `downpour`.
    Source:
        J. Chen et al., Revisiting distributed synchronous SGD, arXiv:1604.00981.
    """
    check_rule(rule)
    for name, value in (("replicas", replicas), ("epochs", epochs), ("threads", threads)):
        if value < 1:
            raise ValueError(f"synchronous: {name} must be at least 1, got {value}")
    if not 0 <= backups < replicas:
        raise ValueError(f"synchronous: backups must be in [0, {replicas}), got {backups}")
    engine = current()
    start = start_of(model)
    places = [(c, j) for c, n in enumerate(lengths_of(chunks)) for j in range(n)]
    if not places:
        raise ValueError("synchronous: chunks must hold a mini-batch")
    about = ["synchronous", len(start), shards, len(places), epochs, shuffle, seed, described(rule)]
    counters = Counters(planned=len(places) * epochs)
    with stored(store, engine, resume) as folder:
        servers = Servers(
            engine, run_name(about), model, start, shards, rule, schedule, folder, snapshot_every,
            wait, counters, faults,
        )  # fmt: skip
        send = engine.embedded or isinstance(chunks, list | tuple)
        data = None if send else chunks
        workers = [
            engine.spawn(
                f"replica {i}", GradientWorker, model, data, servers.bounds,
                cpus=threads, threads=threads, faults=faults,
            )
            for i in range(replicas)
        ]  # fmt: skip
        order = [
            e * len(places) + int(n)
            for e in range(epochs)
            for n in drawn(len(places), seed, e, shuffle)
        ]
        need = replicas - backups
        made = _Steps(engine, servers, workers, order, places, chunks, send, wait, need)
        try:
            return made.all(resume, show)
        finally:
            for w in (*workers, *servers.workers):
                engine.kill(w, again=False)


@dataclass
class _Hand:
    """What is known of a worker. number: of the mini-batch that it computes, in step `step`."""

    worker: Worker
    number: int | None = None
    step: int = -1
    futures: Sequence[Future] = ()
    sent: float = 0.0
    rest: float = 0.0
    losses: int = 0
    fresh: bool = True


class _ShardLostError(Exception):
    """A shard has lost steps: all go back."""


class _Steps:
    """The steps of a run. A step's gradients stay in the store; what passes here are references."""

    def __init__(
        self,
        engine: Engine,
        shards: Servers,
        workers: Sequence[Worker],
        order: Sequence[int],
        places: Sequence[tuple[int, int]],
        chunks: Chunks,
        send: bool,
        wait: float,
        need: int,
    ) -> None:
        self.engine, self.shards, self.wait, self.need = engine, shards, wait, need
        self.usual = 0.0  # seconds of a gradient
        self.hands = [_Hand(w) for w in workers]
        self.order = {n: i for i, n in enumerate(order)}
        self.queue = deque(order)
        self.places, self.chunks, self.send = places, chunks, send
        self.record: list[list[int]] = []  # mini-batches of every step
        self.again: deque[list[int]] = deque()  # steps to be made as they were
        self.weights: list[Future] = []
        self.acks: list[Future] = []
        self.history: list[dict[str, Any]] = []
        self.era = 0  # of the weights: a new one after every return to a snapshot
        self.notes: list[str] = []
        self._made_chunk: tuple[int, Sequence[Any]] = (-1, ())

    def all(self, resume: bool, show: Show | None) -> Result:
        begun = shown = self.engine.now()
        for i in range(len(self.shards)):
            self.shards.lived(i, self.shards.ask(i, "status")["life"])
        if resume:
            self._resume()
        self._read_weights()
        while True:
            try:
                while self.again or self.queue:
                    self._step()
                    if show is not None and self.engine.now() - shown >= TICK:
                        shown = self.engine.now()
                        show(self._status())
                self._made()
                for i in range(len(self.shards)):
                    if self.shards.lived(i, self.shards.ask(i, "save")[0]):
                        raise _ShardLostError
                break
            except _ShardLostError:
                self._back()
        result = Result(
            self.shards.weights(), self.history, self.shards.counters, self.engine.now() - begun
        )
        if show is not None:
            show(self._status())
        return result

    # -- one step ------------------------------------------------------------------------------
    def _step(self) -> None:
        """Hand out mini-batches until enough gradients are there, and have the shards apply them."""
        begun = self.engine.now()
        step = len(self.record)
        again = self.again[0] if self.again else None
        wanted = deque(again) if again is not None else self.queue
        need = len(again) if again is not None else min(self.need, len(self.queue))
        most = need if again is not None else need + len(self.hands) - self.need
        got: dict[int, tuple[float, Sequence[Future]]] = {}
        out: list[int] = []  # of `wanted`, handed out in this step
        while len(got) < need:
            self._hand_out(step, wanted, out, got, most)
            self._collect(step, wanted, out, got)
        self._made()  # the step before: while it was applied, this one was handed out
        if again is None:
            late = sorted((n for n in out if n not in got), key=self.order.__getitem__)
            self.queue.extendleft(reversed(late))
        else:
            self.again.popleft()
        numbers = sorted(got, key=self.order.__getitem__)
        self.acks, self.weights = [], []
        for i, shard in enumerate(self.shards.workers):
            parts = [got[n][1][i + 1] for n in numbers]
            ack, w = self.engine.call(shard, "step", step, numbers, *parts, returns=2)
            self.acks.append(ack)
            self.weights.append(w)
        self.record.append(numbers)
        self.shards.version = len(self.record)
        loss = float(np.mean([got[n][0] for n in numbers]))
        row = {"step": step + 1, "batch": max(numbers), "loss": loss}
        row |= {"updates": len(numbers), "seconds": round(self.engine.now() - begun, 4)}
        self.history.append(row)

    def _hand_out(
        self, step: int, wanted: deque[int], out: list[int], got: dict[int, Any], most: int
    ) -> None:
        now = self.engine.now()
        for hand in self.hands:
            if hand.number is not None or now < hand.rest:
                continue
            if wanted and len(out) < most:
                number = wanted.popleft()
                out.append(number)
            else:  # nothing new: what others are at, once more
                at = [h.number for h in self.hands if h.step == step]
                long = [
                    h.number
                    for h in self.hands
                    if h.number is not None
                    and h.step == step
                    and now - h.sent > _SLOW * self.usual
                    and at.count(h.number) == 1
                    and h.number not in got
                ]
                if not long or not self.usual:
                    continue
                number = long[0]
                self.shards.counters.doubled += 1
            place = self.places[number % len(self.places)]
            batch = self.engine.put(self._batch(*place)) if self.send else None
            hand.futures = self.engine.call(
                hand.worker, "gradient", place, batch, *self.weights, returns=len(self.shards) + 1
            )
            hand.number, hand.step, hand.sent = number, step, now

    def _batch(self, chunk: int, number: int) -> Any:
        """A mini-batch; of a source that makes them, the chunk is made once."""
        if isinstance(self.chunks, list | tuple):
            return self.chunks[chunk][number]
        if self._made_chunk[0] != chunk:
            self._made_chunk = (chunk, self.chunks[chunk])
        return self._made_chunk[1][number]

    def _collect(self, step: int, wanted: deque[int], out: list[int], got: dict[int, Any]) -> None:
        busy = [h for h in self.hands if h.number is not None]
        if busy:
            self.engine.wait([h.futures[0] for h in busy], 1, TICK)
        else:
            self.engine.pause(TICK / 2)
        for hand in busy:
            ready, _ = self.engine.wait([hand.futures[0]], 1, 0)
            now = self.engine.now()
            if not ready:
                if now - hand.sent > (backoff(self.wait, hand.losses) if hand.fresh else self.wait):
                    self._look_at_shards()
                    self.engine.kill(hand.worker)
                    self._lost(hand, step, wanted, out, "it did not answer")
                continue
            try:
                loss = float(self.engine.take(hand.futures[0]))
            except LostError as e:
                self._look_at_shards()
                self._lost(hand, step, wanted, out, str(e))
                continue
            self.usual += (now - hand.sent - self.usual) * (0.1 if self.usual else 1)
            number, futures, current_step = hand.number, hand.futures, hand.step == step
            hand.number, hand.futures, hand.losses, hand.fresh = None, (), 0, False
            assert number is not None
            if current_step and number in out and number not in got and len(got) < len(out):
                got[number] = (loss, futures)
            else:
                self.shards.counters.backups += 1

    def _lost(self, hand: _Hand, step: int, wanted: deque[int], out: list[int], why: str) -> None:
        """A worker has lost its mini-batch; it waits again unless another is at it."""
        number, mine = hand.number, hand.step == step
        hand.number, hand.futures, hand.losses = None, (), hand.losses + 1
        hand.rest = self.engine.now() + min(0.1 * 2**hand.losses, _REST)
        if hand.losses > _LOSSES:
            if all(h.losses > _LOSSES for h in self.hands):
                raise ClusterError(
                    f"distributed: {hand.worker.name} must work, but was lost {hand.losses} times: {why}"
                )
            hand.rest = math.inf  # no machine for it, perhaps: the others go on
            self.notes.append(
                f"{hand.worker.name} was lost {hand.losses} times, the others go on without it"
            )
        if not hand.fresh:
            self.shards.counters.restarts += 1
            self.notes.append(f"{hand.worker.name} was lost: {why}")
        hand.fresh = True
        others = [h.number for h in self.hands if h.step == step]
        if mine and number in out and number not in others:
            out.remove(number)
            wanted.appendleft(number)
            self.shards.counters.leases_lost += 1

    # -- shards --------------------------------------------------------------------------------
    def _read_weights(self) -> None:
        made = [
            self.engine.call(s, "step", len(self.record), (), returns=2)
            for s in self.shards.workers
        ]
        self.acks, self.weights = [m[0] for m in made], [m[1] for m in made]

    def _made(self) -> None:
        """Wait until the shards have made the last step; _ShardLostError when one has not."""
        for i, future in enumerate(self.acks):
            ready, _ = self.engine.wait([future], 1, self.shards.patience(i))
            if not ready:
                self.shards.restart(i)
                raise _ShardLostError
            try:
                life, version = self.engine.take(future)
            except LostError:
                self.shards.up[i] = False
                raise _ShardLostError from None
            if self.shards.lived(i, life) or version != len(self.record):
                raise _ShardLostError
        self.acks = []

    def _look_at_shards(self) -> None:
        """A worker has failed: for want of weights, perhaps."""
        self._made()
        for i in range(len(self.shards)):
            status = self.shards.ask(i, "status")
            if self.shards.lived(i, status["life"]) or status["version"] != len(self.record):
                raise _ShardLostError

    def _back(self) -> None:
        """All shards return to the last snapshot that all have; the steps since are made again."""
        versions = [set(self.shards.ask(i, "snapshots")) for i in range(len(self.shards))]
        common = set.intersection(*versions)
        common = {v for v in common if v <= len(self.record)}
        if not common:
            raise ClusterError("distributed: the shards must have a snapshot in common, got none")
        to = max(common)
        for i in range(len(self.shards)):
            self.shards.lived(i, self.shards.ask(i, "status")["life"])
            self.shards.lives[i] = self.shards.ask(i, "back_to", to)
        self.shards.counters.rolled_back += len(self.record) - to
        self.notes.append(f"back to step {to}, {len(self.record) - to} steps are made again")
        self.again.extendleft(reversed(self.record[to:]))
        del self.record[to:]
        del self.history[to:]
        redone = {n for numbers in (*self.record, *self.again) for n in numbers}
        self.queue = deque(n for n in self.order if n not in redone)
        for hand in self.hands:
            hand.step = -1  # whatever they compute comes too late
        self._read_weights()

    def _resume(self) -> None:
        """Go on from the last snapshot that all shards have."""
        versions = [set(self.shards.ask(i, "snapshots")) for i in range(len(self.shards))]
        to = max(set.intersection(*versions), default=0)
        done: set[int] = set()
        for i in range(len(self.shards)):
            self.shards.lives[i] = self.shards.ask(i, "back_to", to)
            done = set(self.shards.ask(i, "save")[1])
        self.queue = deque(n for n in self.order if n not in done)
        self.record = [[] for _ in range(to)]

    def _status(self) -> Status:
        states = {
            h.worker.name: (f"step {h.step + 1}" if h.step >= 0 else "ready")
            if self.engine.now() >= h.rest
            else "lost"
            for h in self.hands
        }
        states.update(self.shards.states())
        notes = (*self.notes, *self.shards.notes)
        self.notes.clear()
        self.shards.notes.clear()
        loss = self.history[-1]["loss"] if self.history else None
        done = sum(map(len, self.record))
        return Status(done, len(self.order), loss, states, notes)
