"""A Downpour replica: fetch, gradient, push; what is not on disk yet is kept and sent again."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.distributed.engine import (
    Computed,
    Future,
    GaveUpError,
    LostError,
    Port,
    Process,
    Sleep,
    Wait,
    Worker,
)
from sentei.distributed.objective import Chunks, Recipe, checked, updates_of
from sentei.distributed.shard import Ack, Weights, no_point

__all__ = ["Downpour", "Replica"]

_TRIES = 40  # at one shard, before the chunk is given up
_WINDOW = 4  # pushes to a shard without an answer


@dataclass(frozen=True)
class Downpour:
    """Settings of a replica; see `downpour`."""

    n_fetch: int = 1
    n_push: int = 1
    own_lr: float = 0.0
    bound: int | None = None  # on staleness
    ahead: bool = False  # fetch while computing
    wait: float = 10.0


@dataclass
class _Kept:
    """A push that some shard has not on disk: its gradient, and per shard the version that has it."""

    gradient: NDArray[np.float32]
    versions: list[int]  # of the weights it was computed with
    had: list[int | None] = field(default_factory=list)


class Replica:
    """Works off chunks with weights from the shards.

    Args:
        name: as the coordinator knows it. recipe: of the objective. chunks: data; None: comes with work.
        shards: their workers. bounds: of their ranges. settings: of Downpour SGD.
        clock: who keeps the steps within the bound on staleness; None: there is none.
    """

    point: Callable[[str], str | None] = staticmethod(no_point)

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        chunks: Chunks | None,
        shards: Sequence[Worker],
        bounds: Sequence[int],
        settings: Downpour,
        clock: Worker | None = None,
    ) -> None:
        self.name, self.chunks, self.shards, self.settings = name, chunks, list(shards), settings
        self.objective = recipe.build()
        self.size = self.objective.size
        self.parts = [slice(a, b) for a, b in pairwise(bounds)]
        self.clock = clock
        self.w = np.zeros(self.size, np.float32)
        n = len(self.shards)
        self.lives = [0] * n
        self.versions = [0] * n  # of the weights in w
        self.kept: OrderedDict[tuple[int, int], _Kept] = OrderedDict()
        self._flying: list[deque[tuple[Future, tuple[int, int]]]] = [deque() for _ in range(n)]
        self._fetching: list[Future] | None = None
        self._arriving = False  # weights come with the answers to the last push
        self._arrived: dict[int, Weights] = {}
        self.safe = [0] * n  # versions that the shards have on disk
        self.steps = self._since_fetch = self.resent = 0
        self.loss, self.chunk = 0.0, -1
        self.born = secrets.token_hex(8)  # tells this process from one before

    # -- what the coordinator calls ----------------------------------------------------------------
    def beat(self) -> dict[str, Any]:
        """A sign of life: mini-batches done since the start of this process, and the last loss."""
        return {"born": self.born, "chunk": self.chunk, "steps": self.steps, "loss": self.loss}

    def work(self, chunk: int, number: int, batches: Sequence[Any] | None) -> Process:
        """Work off a chunk; return what came of it.

        Args:
            chunk: of the run, the key of its pushes. number: of the data. batches: they, or None.
        """
        port: Port = yield None
        begun, self.chunk = port.now(), chunk
        self.point("after_lease")
        if batches is None:
            assert self.chunks is not None
            batches = self.chunks[number]
        s = self.settings
        total = updates_of(len(batches), s.n_push)
        first = yield from self._first(port, chunk, total)
        losses = []
        self._since_fetch, self._fetching, self._arriving = 0, None, False
        self._arrived.clear()
        for sequence in range(first, total):
            sent: NDArray[np.float32] | None = None
            part = batches[sequence * s.n_push : (sequence + 1) * s.n_push]
            oldest: list[int] | None = None
            for batch in part:
                yield from self._fetch_if_due(port)
                oldest = list(self.versions) if oldest is None else oldest
                what = f"a mini-batch of chunk {number}"
                loss, g = checked(self.size, self.objective.loss_grad(self.w, batch), what)
                yield Computed("gradient")
                self.point("after_gradient")
                sent = g.copy() if sent is None else np.add(sent, g, out=sent)
                if s.own_lr:
                    self.w -= np.float32(s.own_lr) * g
                losses.append(loss)
                self.steps, self.loss = self.steps + 1, loss
            assert oldest is not None and sent is not None
            fetch = sequence + 1 < total and self._since_fetch % s.n_fetch == 0
            fetch = fetch and s.bound is None and not s.ahead
            yield from self._push(port, (chunk, sequence), sent, oldest, fetch)
        yield from self._drain(port)
        if self.clock is not None:
            port.send(self.clock, "leave", self.name)
        self.chunk = -1
        return {
            "chunk": chunk,
            "loss": float(np.mean(losses)) if losses else None,
            "batches": len(losses),
            "resent": self.resent,
            "seconds": port.now() - begun,
        }

    def send_again(self) -> Process:
        """Send what shards have lost; return how many pushes are kept still."""
        port: Port = yield None
        for i in range(len(self.shards)):
            yield from self._recover(port, i)
        return len(self.kept)

    # -- weights -----------------------------------------------------------------------------------
    def _first(self, port: Port, chunk: int, total: int) -> Process:
        """The first push of a chunk that some shard has not got."""
        places = []
        for i in range(len(self.shards)):
            life, _, _, found = yield from self._ask(port, i, "places", [chunk])
            yield from self._noticed(port, i, life)
            places.append(found[chunk])
        return min(*places, total)

    def _fetch_if_due(self, port: Port) -> Process:
        s = self.settings
        if self._since_fetch % s.n_fetch == 0:
            if s.bound is not None:
                yield from self._within_bound(port)
            if self._arriving:
                for i in range(len(self.shards)):
                    yield from self._land(port, i, 0)
            elif self._fetching is None:
                self._fetching = [port.send(x, "fetch") for x in self.shards]
            self._arriving = False
            futures, self._fetching = self._fetching, None
            if futures:
                yield Wait(futures, len(futures), s.wait)
            for i in range(len(self.shards)):
                found = self._arrived.pop(i, None)
                if found is None:
                    found = yield from self._weights(port, i, futures[i] if futures else None)
                self.w[self.parts[i]] = found.values
                self.versions[i] = found.version
                yield from self._noticed(port, i, found.life)
            self.point("after_fetch")
        self._since_fetch += 1
        if s.ahead and self._since_fetch % s.n_fetch == 0:
            self._fetching = [port.send(x, "fetch") for x in self.shards]

    def _weights(self, port: Port, i: int, future: Future | None) -> Process:
        ready, _ = (yield Wait([future], 1, 0)) if future is not None else ([], [])
        if ready:
            try:
                return port.take(future)
            except LostError:
                pass
        found: Weights = yield from self._ask(port, i, "fetch")
        return found

    def _within_bound(self, port: Port) -> Process:
        """Wait until no other replica is more steps behind than the bound allows."""
        assert self.clock is not None
        yield from self._drain(port)
        for _ in range(1_000_000):
            future = port.send(self.clock, "may", self.name, self.steps, self.settings.bound)
            ready, _ = yield Wait([future], 1, self.settings.wait)
            try:
                if ready and port.take(future):
                    return
            except LostError:
                yield Sleep(0.05)
            yield Sleep(0.002)

    # -- pushes ------------------------------------------------------------------------------------
    def _push(
        self,
        port: Port,
        key: tuple[int, int],
        gradient: NDArray[np.float32],
        versions: list[int],
        fetch: bool,
    ) -> Process:
        """Send a gradient; fetch: the weights after it come with the answer."""
        twice = self.point("before_push") == "duplicate"
        self.kept[key] = _Kept(gradient, versions, [None] * len(self.shards))
        method = "exchange" if fetch else "push"
        for i, shard in enumerate(self.shards):
            for _ in range(1 + twice):
                args = (*key, gradient[self.parts[i]], versions[i], False)
                self._flying[i].append((port.send(shard, method, *args), key))
        self._arriving = fetch
        self.point("after_push")
        for i in range(len(self.shards)):
            yield from self._land(port, i, _WINDOW)

    def _drain(self, port: Port) -> Process:
        """Wait for the answers to all pushes."""
        for i in range(len(self.shards)):
            yield from self._land(port, i, 0)

    def _land(self, port: Port, i: int, most: int) -> Process:
        """Take answers of a shard until at most `most` are missing."""
        flying = self._flying[i]
        while len(flying) > most:
            future, key = flying[0]
            ready, _ = yield Wait([future], 1, self.settings.wait)
            try:
                answer = port.take(future) if ready else None
            except LostError:
                answer = None
            ack: Ack | None = answer
            if answer is not None and not isinstance(answer, Ack):
                ack, self._arrived[i] = answer
            if ack is None or ack.fate == "gap":
                yield from self._recover(port, i)
                return
            flying.popleft()
            yield from self._noticed(port, i, ack.life)
            self._has(i, key, ack.version, ack.safe)

    def _has(self, i: int, key: tuple[int, int], version: int, safe: int) -> None:
        """Shard i has a push since this version, and everything up to `safe` on disk."""
        if key in self.kept:
            self.kept[key].had[i] = version
        self.safe[i] = safe
        self._forget()

    def _forget(self) -> None:
        """Drop what all shards have on disk, oldest first."""
        while self.kept:
            k = next(iter(self.kept.values()))
            if not all(h is not None and h <= s for h, s in zip(k.had, self.safe, strict=True)):
                return
            self.kept.popitem(last=False)

    def _noticed(self, port: Port, i: int, life: int) -> Process:
        """A shard that lives anew has lost what it had after its snapshot."""
        if self.lives[i] == 0:
            self.lives[i] = life
        elif life > self.lives[i]:
            yield from self._recover(port, i)

    def _recover(self, port: Port, i: int) -> Process:
        """Ask shard i what it has, and send it what it has not, one after the other."""
        self._flying[i].clear()
        self._arrived.pop(i, None)
        for _ in range(_TRIES):
            keys = sorted(self.kept)
            chunks = sorted({chunk for chunk, _ in keys})
            self.lives[i], version, safe, places = yield from self._ask(port, i, "places", chunks)
            for key in keys:
                if key[1] < places[key[0]]:
                    self.kept[key].had[i] = version  # or before: not known, and later is safe
                elif not (yield from self._resend(port, i, key)):
                    break
            else:
                self.safe[i] = safe
                self._forget()
                return
            yield Sleep(0.05)
        raise GaveUpError(f"distributed: {self.shards[i].name} did not take what it had lost")

    def _resend(self, port: Port, i: int, key: tuple[int, int]) -> Process:
        """Send a kept push once more; False: the shard has died, or lacks one before it."""
        kept = self.kept[key]
        kept.had[i] = None
        self.resent += 1
        args = (*key, kept.gradient[self.parts[i]], kept.versions[i], True)
        future = port.send(self.shards[i], "push", *args)
        ready, _ = yield Wait([future], 1, self.settings.wait)
        try:
            ack: Ack | None = port.take(future) if ready else None
        except LostError:
            ack = None
        if ack is None or ack.fate == "gap" or ack.life != self.lives[i]:
            return False
        kept.had[i] = ack.version
        return True

    def _ask(self, port: Port, i: int, method: str, *args: Any) -> Process:
        """Call a shard until it answers; it may be on its way back."""
        pause = 0.05
        for _ in range(_TRIES):
            future = port.send(self.shards[i], method, *args)
            ready, _ = yield Wait([future], 1, self.settings.wait)
            if ready:
                try:
                    return port.take(future)
                except LostError:
                    pass
            yield Sleep(pause)
            pause = min(2 * pause, 1.0)
        raise GaveUpError(f"distributed: {self.shards[i].name} does not answer")
