"""Which worker has which chunk: leased, given back when it dies, done when it is on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

__all__ = ["Leases"]


class Leases:
    """Chunks 0, 1, ... of a run, each to be worked off once.

    A chunk waits, is leased, is pushed (its worker has sent everything), and done (everything is in the
    snapshots of all shards). What a dead worker had goes to the front again.

    Args:
        updates: planned pushes of every chunk, by its number.
        order: in which they are handed out; None: by number.
    """

    def __init__(self, updates: Sequence[int], order: Sequence[int] | None = None) -> None:
        self.updates = tuple(updates)
        self._waiting = deque(range(len(updates)) if order is None else order)
        self._leased: dict[int, str] = {}
        self._pushed: dict[int, str] = {}
        self._done: set[int] = set()
        self.given_back = 0

    @property
    def planned(self) -> int:
        """Updates in all."""
        return sum(self.updates)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def leased(self) -> dict[int, str]:
        """Chunk to worker."""
        return dict(self._leased)

    @property
    def pushed(self) -> dict[int, str]:
        """Chunks that are not known to be on disk, to the worker that pushed them."""
        return dict(self._pushed)

    @property
    def sent(self) -> int:
        """Updates of the chunks that are pushed or done."""
        return sum(self.updates[c] for c in (*self._pushed, *self._done))

    @property
    def finished(self) -> bool:
        return len(self._done) == len(self.updates)

    def lease(self, worker: str) -> int | None:
        """The next chunk for a worker; None: none waits."""
        if not self._waiting:
            return None
        chunk = self._waiting.popleft()
        self._leased[chunk] = worker
        return chunk

    def finish(self, chunk: int, worker: str) -> bool:
        """The worker has sent everything. False: the chunk is no longer its own."""
        if self._leased.get(chunk) != worker:
            return False
        del self._leased[chunk]
        self._pushed[chunk] = worker
        return True

    def give_back(self, worker: str) -> list[int]:
        """The chunks of a worker that died wait again, ahead of all others."""
        lost = [c for c, w in self._leased.items() if w == worker]
        for chunk in reversed(lost):
            del self._leased[chunk]
            self._waiting.appendleft(chunk)
        self.given_back += len(lost)
        return lost

    def settle(self, places: Sequence[Mapping[int, int]]) -> list[int]:
        """Mark pushed chunks done that every shard has on disk; return those that one shard lacks.

        Args:
            places: of each shard, {chunk: next push} of its last snapshot.
        """
        lacking = []
        for chunk in list(self._pushed):
            if all(p.get(chunk, 0) >= self.updates[chunk] for p in places):
                del self._pushed[chunk]
                self._done.add(chunk)
            else:
                lacking.append(chunk)
        return lacking

    def again(self, chunks: Sequence[int]) -> None:
        """Pushed chunks whose updates a shard has lost, and nobody has kept, wait again."""
        for chunk in chunks:
            del self._pushed[chunk]
        self._waiting.extendleft(reversed(chunks))
        self.given_back += len(chunks)

    def restore(self, places: Sequence[Mapping[int, int]]) -> None:
        """Of a run that goes on: chunks that all shards have on disk are done."""
        for chunk in list(self._waiting):
            if all(p.get(chunk, 0) >= self.updates[chunk] for p in places):
                self._waiting.remove(chunk)
                self._done.add(chunk)
