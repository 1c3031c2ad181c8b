"""Who is how many steps ahead: the bound on staleness (stale synchronous parallel)."""

from __future__ import annotations

from collections.abc import Callable

from sentei.distributed.shard import no_point

__all__ = ["Clock"]


class Clock:
    """Lets no replica be more than `bound` steps ahead of the slowest that is at work.

    Bound 0: all make one step, then all the next (synchronous). A replica that joins, or comes back from
    the dead, stands where the slowest stands.

    Source:
        Q. Ho et al., More effective distributed ML via a stale synchronous parallel parameter server,
        NIPS 2013.
    """

    point: Callable[[str], str | None] = staticmethod(no_point)

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        self._from: dict[str, int] = {}

    def may(self, name: str, steps: int, bound: int) -> bool:
        """Whether a replica that has made so many steps may begin the next."""
        slowest = min(self._steps.values(), default=0)
        if name not in self._steps or steps + self._from[name] < self._steps[name]:
            self._from[name] = slowest - steps
        self._steps[name] = steps + self._from[name]
        return self._steps[name] - min(self._steps.values()) <= bound

    def leave(self, name: str) -> None:
        """A replica has nothing to do, or is gone: nobody waits for it."""
        self._steps.pop(name, None)
