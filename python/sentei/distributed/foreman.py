"""Hands portions to whoever is free, doubles the last ones, and notices who is gone."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sentei.distributed.engine import (
    ClusterError,
    Engine,
    Future,
    GaveUpError,
    LostError,
    Worker,
    backoff,
)
from sentei.distributed.objective import Chunks

__all__ = ["Foreman", "StartedAgainError"]

_TICK = 0.25  # seconds between two signs of life
_LOSSES = 25  # of one worker in a row, before it is given up
_STILL = 6  # times `wait` without a mini-batch, and a worker is taken to hang
_AT_ONCE = 2  # workers at one portion


class StartedAgainError(LostError):
    """A shard was started again: it stands at its last snapshot."""


@dataclass
class _Hand:
    """What is known of a worker."""

    worker: Worker
    portion: int | None = None
    evaluation: int = -1
    work: Future = None
    since: float = 0.0
    beat: Future = None
    asked: float = 0.0
    born: str | None = None
    rest: float = 0.0  # not before
    losses: int = 0
    done: int = -1  # mini-batches of its process, and when the last one was
    moved: float = 0.0
    fresh: bool = True  # this process has given no sign yet
    of: str | None = None  # born of the process that has the portion
    buried: str | None = None  # born of the last process that was counted as lost


class Foreman:
    """Has every portion of an evaluation computed once, or rather at least once.

    Args:
        engine, workers: who works. chunks: the portions. send: they go with the work.
        wait: seconds after which a worker without a sign of life is started again.
        backup_after: seconds before a portion is doubled.
    """

    def __init__(
        self,
        engine: Engine,
        workers: Sequence[Worker],
        chunks: Chunks,
        send: bool,
        wait: float,
        backup_after: float | None,
    ) -> None:
        self.engine, self.chunks, self.send, self.wait = engine, chunks, send, wait
        self.backup_after = backup_after or 0.0
        self.hands = [_Hand(w) for w in workers]
        self.backups = self.restarts = self.lost = 0
        self.watch: Callable[[], None] = lambda: None
        self._looked = -math.inf
        self._notes: list[str] = []
        self._waiting: deque[int] = deque()
        self._done: dict[int, tuple[float, float]] = {}

    def gather(self, evaluation: int) -> list[tuple[float, float]] | None:
        """(loss, weight) of every portion, by number; None: a loss is not finite."""
        self._waiting = deque(range(len(self.chunks)))
        self._done = {}
        while len(self._done) < len(self.chunks):
            self._hand_out(evaluation)
            self._listen(evaluation)
            if self.engine.now() - self._looked >= _TICK:
                self._looked = self.engine.now()
                self.watch()
        done = [self._done[i] for i in range(len(self.chunks))]
        return done if all(math.isfinite(x) for x, _ in done) else None

    def states(self) -> dict[str, str]:
        """What every worker does, in words."""
        now = self.engine.now()
        return {
            h.worker.name: "lost" if now < h.rest
            else "idle" if h.portion is None else f"portion {h.portion}"
            for h in self.hands
        }  # fmt: skip

    def told(self) -> tuple[str, ...]:
        """What happened since the last call."""
        notes, self._notes = tuple(self._notes), []
        return notes

    def _hand_out(self, evaluation: int) -> None:
        now = self.engine.now()
        for hand in self.hands:
            if hand.portion is not None or now < hand.rest:
                continue
            again = not self._waiting
            portion = self._doubled(evaluation, now) if again else self._waiting.popleft()
            if portion is None:
                return
            self.backups += again
            data = list(self.chunks[portion]) if self.send else None
            hand.portion, hand.evaluation, hand.since = portion, evaluation, now
            hand.of = None if hand.fresh else hand.born
            hand.work = self.engine.call(hand.worker, "work", evaluation, portion, data)

    def _doubled(self, evaluation: int, now: float) -> int | None:
        """The portion that has been out longest, if one may have it a second time."""
        out: dict[int, list[float]] = {}
        for h in self.hands:
            if h.portion is not None and h.evaluation == evaluation and h.portion not in self._done:
                out.setdefault(h.portion, []).append(h.since)
        ready = [
            (since[0], portion)
            for portion, since in out.items()
            if len(since) < _AT_ONCE and now - since[0] >= self.backup_after
        ]
        return min(ready)[1] if ready else None

    def _listen(self, evaluation: int) -> None:
        now = self.engine.now()
        for hand in self.hands:
            if hand.beat is None and now - hand.asked >= _TICK and now >= hand.rest:
                hand.beat, hand.asked = self.engine.call(hand.worker, "beat"), now
        futures = [h.work for h in self.hands if h.portion is not None]
        if futures:
            ready, _ = self.engine.wait(futures, 1, _TICK / 2)
        else:  # all are lost: they are on their way back
            ready = []
            self.engine.pause(_TICK / 4)
        for hand in self.hands:
            if hand.portion is not None and any(hand.work is f for f in ready):
                self._worked(hand, evaluation)
            self._heard(hand, evaluation)

    def _worked(self, hand: _Hand, evaluation: int) -> None:
        portion, of = hand.portion, hand.evaluation
        assert portion is not None
        try:
            found = self.engine.take(hand.work)
        except GaveUpError:  # of a shard
            hand.portion, hand.work = None, None
            if of == evaluation:
                raise
            return
        except LostError as e:
            self._gone(hand, evaluation, str(e), hand.of)
            return
        hand.portion, hand.work, hand.losses = None, None, 0
        if of != evaluation or portion in self._done:
            return  # it came second, or too late
        if found is None:  # the shards do not gather this evaluation: one of them is new
            raise StartedAgainError("sandblaster: a shard does not gather this evaluation")
        self._done[portion] = found

    def _heard(self, hand: _Hand, evaluation: int) -> None:
        """Heed the sign of life of a worker, or its absence."""
        if hand.beat is None:
            return
        now = self.engine.now()
        ready, _ = self.engine.wait([hand.beat], 1, 0)
        if not ready:
            if now - hand.asked > (backoff(self.wait, hand.losses) if hand.fresh else self.wait):
                self.engine.kill(hand.worker)
                self._gone(hand, evaluation, "it did not answer", hand.born)
            return
        beat, hand.beat = hand.beat, None
        with contextlib.suppress(LostError):
            born, done = self.engine.take(beat)
            if hand.born != born:
                self._bury(hand, hand.born)
            if (born, done) != (hand.born, hand.done):
                hand.moved = now
            hand.born, hand.done, hand.fresh = born, done, False
            if hand.portion is not None and now - max(hand.moved, hand.since) > _STILL * self.wait:
                self.engine.kill(hand.worker)
                self._gone(hand, evaluation, "it makes no progress", hand.born)

    def _bury(self, hand: _Hand, born: str | None) -> None:
        """Count a process that is gone, once: work and beats both tell of it, in any order."""
        if born is not None and born != hand.buried:
            self.restarts += 1
            hand.buried = born

    def _gone(self, hand: _Hand, evaluation: int, why: str, dead: str | None) -> None:
        """A worker has lost its portion. dead: born of the process that is gone; None: not known."""
        name, portion = hand.worker.name, hand.portion
        self._bury(hand, dead)
        hand.losses += 1
        if hand.losses > _LOSSES and all(h.losses > _LOSSES for h in self.hands):
            raise ClusterError(
                f"sandblaster: {name} must work, but was lost {hand.losses} times: {why}"
            )
        mine = portion is not None and hand.evaluation == evaluation and portion not in self._done
        hand.portion, hand.work, hand.beat = None, None, None
        hand.fresh = hand.fresh or dead == hand.born
        hand.rest = self.engine.now() + min(0.1 * 2**hand.losses, 2.0)
        if hand.losses > _LOSSES:
            hand.rest = math.inf  # no machine for it, perhaps: the others go on
        hand.asked = hand.rest
        if not mine or portion is None:
            return
        self.lost += 1
        self._notes.append(f"{name} was lost, its portion goes to another")
        others = any(h.portion == portion and h.evaluation == evaluation for h in self.hands)
        if not others:
            self._waiting.append(portion)
