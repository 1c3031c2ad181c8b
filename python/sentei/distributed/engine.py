"""What carries messages between workers: the few calls that every strategy is written in.

`sentei.distributed.ray_cluster` has such an engine; the tests have one whose time is virtual. A worker is a
plain object in a process of its own: it knows its methods and no engine. A method that has to call other
workers is a generator, a *process*: `port = yield` first, then it yields what it waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sentei.errors import SenteiError

__all__ = [
    "ClusterError",
    "Computed",
    "Effect",
    "Engine",
    "Future",
    "GaveUpError",
    "LostError",
    "Port",
    "Process",
    "Sleep",
    "Wait",
    "Worker",
    "backoff",
    "current",
    "using",
]

Future = Any  # what `call` returns: it becomes a value, or an error, later


class ClusterError(SenteiError, RuntimeError):
    """A cluster cannot be reached, has no room, or has lost what cannot be replaced."""


class LostError(SenteiError, RuntimeError):
    """No answer came, and none will: the worker died or was started again meanwhile."""


class GaveUpError(LostError):
    """A worker lives, but another that it needs does not answer it."""


@dataclass(frozen=True)
class Worker:
    """A worker by name. actor: what the engine knows it by; stays valid when it is started again."""

    name: str
    actor: Any


@dataclass(frozen=True)
class Wait:
    """Yielded: go on when `count` futures are ready or `timeout` seconds have passed.

    What comes back is (ready, pending), two lists.
    """

    futures: Sequence[Future]
    count: int
    timeout: float


class Sleep(NamedTuple):
    """Yielded: do nothing for so many seconds."""

    seconds: float


class Computed(NamedTuple):
    """Yielded after a computation; a virtual clock lets its time pass here."""

    what: str


Effect = Wait | Sleep | Computed
Process = Generator[Effect | None, Any, Any]  # the first yield gives it its Port


class Port(Protocol):
    """What a process inside a worker is given."""

    def send(self, to: Worker, method: str, *args: Any) -> Future:
        """Call a method of another worker. Of one sender, messages arrive in their order."""

    def take(self, future: Future) -> Any:
        """The value of a future that is ready; raises LostError or what the method raised."""

    def now(self) -> float:
        """Seconds of a clock that only runs forward."""


class Engine(Protocol):
    """What a strategy asks of a cluster."""

    @property
    def embedded(self) -> bool:
        """Whether all workers are on this machine."""

    def spawn(
        self,
        name: str,
        make: Callable[..., Any],
        *args: Any,
        cpus: int = 0,
        threads: int = 1,
        concurrency: int = 1,
        faults: Sequence[Any] = (),
    ) -> Worker:
        """Start a worker that holds make(*args); it is started afresh whenever it dies.

        Args:
            name: of the worker, for faults and messages.
            make: a class or function that can be imported, or is sent along.
            cpus: cores that it occupies (servers: 0). threads: of the kernels in it.
            concurrency: methods that run at a time.
            faults: those to inject (sentei.distributed.faults).
        """

    def call(self, to: Worker, method: str, *args: Any, returns: int = 1) -> Future:
        """Call a method; with returns > 1 a list of that many futures. Futures among args are waited for."""

    def put(self, value: Any) -> Future:
        """Send a value once that goes to several workers."""

    def wait(
        self, futures: Sequence[Future], count: int, timeout: float
    ) -> tuple[list[Future], list[Future]]:
        """(ready, pending) when `count` are ready or `timeout` seconds have passed."""

    def take(self, future: Future) -> Any:
        """As Port.take."""

    def kill(self, worker: Worker, again: bool = True) -> None:
        """End the process of a worker at once; again: another takes its place."""

    def now(self) -> float:
        """As Port.now."""

    def pause(self, seconds: float) -> None:
        """Let so many seconds pass."""


_FIRST = 60.0  # seconds that a process may take to start with all others
_AGAIN = 8.0  # one that is started again, alone, the first time


def backoff(wait: float, lives: int) -> float:
    """Seconds that the first sign of a process may take: its own `lives`, 0 for the first, matter.

    A call that is sent while a process is on its way back may get lost without an error, so it is sent
    again soon; twice as late every time, for a machine that is busy starts processes slowly.
    """
    return _FIRST if lives == 0 else min(_FIRST, max(2 * wait, _AGAIN) * 2.0 ** (lives - 1))


_current: list[Engine] = []


@contextmanager
def using(engine: Engine) -> Iterator[Engine]:
    """Make an engine the current one for a block."""
    _current.append(engine)
    try:
        yield engine
    finally:
        _current.remove(engine)


def current() -> Engine:
    """The engine of the innermost block; ClusterError outside of all."""
    if not _current:
        raise ClusterError(
            "distributed: a cluster must be open, got none; write `with sentei.distributed.cluster():`"
        )
    return _current[-1]
