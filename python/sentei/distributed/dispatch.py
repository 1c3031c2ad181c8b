"""The coordinator of Downpour SGD: leases, signs of life, and the end of a run."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sentei.distributed.engine import (
    ClusterError,
    Engine,
    Future,
    GaveUpError,
    LostError,
    Worker,
    backoff,
)
from sentei.distributed.leases import Leases
from sentei.distributed.objective import Chunks
from sentei.distributed.result import Result, Show, Status
from sentei.distributed.servers import TICK, Servers

__all__ = ["Coordinator"]

_REST = 5.0  # seconds at most before a worker that was lost is tried again
_LOSSES = 12  # of one worker in a row, before it is given up


@dataclass
class Hand:
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
    of: str = ""  # born of the process that has the chunk, "" when not known
    buried: str = ""  # born of the last process that was counted as lost
    fresh: bool = True  # this process has given none yet


class Coordinator:
    """The coordinator: leases, signs of life, and the end."""

    def __init__(
        self,
        engine: Engine,
        shards: Servers,
        replicas: Sequence[Worker],
        clock: Worker | None,
        leases: Leases,
        chunks: Chunks,
        send: bool,
        wait: float,
        warm: int,
    ) -> None:
        self.engine, self.shards, self.clock = engine, shards, clock
        self.leases, self.chunks, self.send = leases, chunks, send
        self.wait, self.warm = wait, warm
        self.beat = min(1.0, wait / 4)  # seconds between two signs of life of a replica
        self.hands = {w.name: Hand(w) for w in replicas}
        self.counters = shards.counters
        self.counters.planned = leases.planned
        self.history: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def all(self, resume: bool, show: Show | None) -> Result:
        begun = shown = self.engine.now()
        self._begin()
        if resume:
            self.leases.restore([self.shards.ask(i, "save")[1] for i in range(len(self.shards))])
        while True:
            while self.leases.waiting or self.leases.leased:
                self._hand_out()
                self._listen()
                if show is not None and self.engine.now() - shown >= TICK:
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
            self.shards.lived(i, self.shards.ask(i, "status")["life"])
        beats = [h.beat for h in self.hands.values()]
        self.engine.wait(beats, len(beats), backoff(self.wait, 0))
        for hand in self.hands.values():
            self._heard(hand)

    # -- work ----------------------------------------------------------------------------------
    def _hand_out(self) -> None:
        now = self.engine.now()
        warm = self.shards.version < self.warm and self.leases.sent < self.warm
        for name, hand in self.hands.items():
            if hand.chunk is not None or now < hand.rest:
                continue
            if warm and self.leases.leased:
                return
            chunk = self.leases.lease(name)
            if chunk is None:
                return
            number = chunk % len(self.chunks)
            data = self.engine.put(list(self.chunks[number])) if self.send else None
            hand.chunk, hand.told = chunk, now
            hand.of = "" if hand.fresh else hand.born
            hand.work = self.engine.call(hand.worker, "work", chunk, number, data)

    def _listen(self) -> None:
        """Wait for news for a moment and heed them."""
        now = self.engine.now()
        for hand in self.hands.values():
            if hand.beat is None and now - hand.asked >= self.beat and now >= hand.rest:
                hand.beat, hand.asked = self.engine.call(hand.worker, "beat"), now
        self.shards.watch()
        futures = [h.work for h in self.hands.values() if h.chunk is not None]
        ready: list[Future] = []
        if futures:
            ready, _ = self.engine.wait(futures, 1, TICK / 2)
        else:  # all workers are on their way back
            self.engine.pause(TICK / 2)
        for hand in self.hands.values():
            if hand.chunk is not None and any(hand.work is f for f in ready):
                self._worked(hand)
        for hand in self.hands.values():
            self._heard(hand)

    def _worked(self, hand: Hand) -> None:
        chunk = hand.chunk
        assert chunk is not None
        try:
            report = self.engine.take(hand.work)
        except LostError as e:
            self._lost(hand, str(e), "" if isinstance(e, GaveUpError) else hand.of)
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

    def _lost(self, hand: Hand, why: str, dead: str) -> None:
        """A replica has lost its chunk: it died, hung, or could not reach a shard.

        dead: born of the process that is gone; "": none, or one that never gave a sign.
        """
        name = hand.worker.name
        hand.chunk, hand.work, hand.beat = None, None, None
        self._bury(hand, dead)
        hand.fresh = hand.fresh or dead == hand.born
        hand.losses += 1
        hand.rest = self.engine.now() + min(0.1 * 2**hand.losses, _REST)
        if hand.losses > _LOSSES:
            if all(h.losses > _LOSSES for h in self.hands.values()):
                raise ClusterError(
                    f"distributed: {name} must work, but was lost {hand.losses} times: {why}"
                )
            hand.rest = math.inf  # no machine for it, perhaps: the others go on
            self.notes.append(f"{name} was lost {hand.losses} times, the others go on without it")
        hand.asked = hand.rest
        if self.leases.give_back(name):
            self.counters.leases_lost += 1
        self.notes.append(f"{name} was lost, its chunk goes to another")
        if self.clock is not None:
            self.engine.call(self.clock, "leave", name)

    def _bury(self, hand: Hand, born: str) -> None:
        """Count a process that is gone, once: work and beats both tell of it, in any order."""
        if born and born != hand.buried:
            self.counters.restarts += 1
            hand.buried = born

    def _heard(self, hand: Hand) -> None:
        """Heed the sign of life of a replica, or its absence."""
        now = self.engine.now()
        if hand.beat is None:
            return
        ready, _ = self.engine.wait([hand.beat], 1, 0)
        if not ready:
            if now - hand.asked > (backoff(self.wait, hand.losses) if hand.fresh else self.wait):
                self.engine.kill(hand.worker)
                self._lost(hand, "it did not answer", hand.born)
            return
        try:
            said = self.engine.take(hand.beat)
        except LostError:
            hand.beat = None
            return
        before, hand.said = hand.said, said
        if said["born"] != hand.born:
            self._bury(hand, hand.born)
        hand.beat, hand.fresh, hand.born = None, False, said["born"]
        if before != said:
            hand.told = now
        elif hand.chunk is not None:
            idle = said["chunk"] != hand.chunk
            if now - hand.told > (1 if idle else 6) * self.wait:
                self.engine.kill(hand.worker)
                self._lost(hand, "it makes no progress", hand.born)

    # -- the end -------------------------------------------------------------------------------
    def _settled(self) -> bool:
        """Whether all updates are on disk; if not, have them sent or computed again."""
        for attempt in range(2):
            places = []
            for i in range(len(self.shards)):
                life, found = self.shards.ask(i, "save")
                self.shards.lived(i, life)
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
        there = {n: h for n, h in self.hands.items() if h.losses <= _LOSSES}
        futures = {n: self.engine.call(h.worker, "send_again") for n, h in there.items()}
        end = self.engine.now() + 6 * self.wait
        for name, future in futures.items():
            ready, _ = self.engine.wait([future], 1, max(end - self.engine.now(), 0))
            if not ready:
                self.engine.kill(self.hands[name].worker)
            else:
                with contextlib.suppress(LostError):
                    self.engine.take(future)

    def _result(self, begun: float) -> Result:
        weights = self.shards.weights()
        self.shards.version = self.leases.planned
        return Result(weights, self.history, self.counters, self.engine.now() - begun)

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
        states.update(self.shards.states())
        notes = (*self.notes, *self.shards.notes)
        self.notes.clear()
        self.shards.notes.clear()
        loss = float(np.mean(losses)) if losses else None
        return Status(
            min(self.shards.version, self.leases.planned), self.leases.planned, loss, states, notes
        )
