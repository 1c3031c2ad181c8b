"""A cluster whose time is virtual: plain workers, messages with delays, processes that die or hang.

A test double, no way to train: everything happens in one thread, in an order that a seed decides.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import GeneratorType
from typing import Any

import numpy as np

from sentei.distributed.engine import Computed, LostError, Sleep, Wait, Worker
from sentei.distributed.faults import Fault, Faults

__all__ = ["Died", "VirtualCluster"]


_END = 600.0  # virtual seconds after which a run has failed


class Died(BaseException):
    """The process ended at a named point."""


class Stood(BaseException):
    """The process stands still from a named point on."""


class Promise:
    """A future of this engine."""

    def __init__(self) -> None:
        self.ready = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.heard: list[Callable[[], None]] = []  # called when it is ready


def copied(value: Any) -> Any:
    """What a network makes of a value: arrays are others, the rest is the same."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(copied(v) for v in value))
    if isinstance(value, list | tuple):
        return type(value)(copied(v) for v in value)
    if isinstance(value, dict):
        return {k: copied(v) for k, v in value.items()}
    return value


class _Call:
    """A method that is running or waits its turn."""

    def __init__(self, method: str, args: tuple[Any, ...], promises: list[Promise]) -> None:
        self.method, self.args, self.promises = method, args, promises
        self.process: GeneratorType[Any, Any, Any] | None = None
        self.extra, self.drop = 0.0, False


class _Actor:
    """A worker's process: at most `concurrency` methods at a time, in the order of arrival."""

    def __init__(
        self,
        cluster: VirtualCluster,
        name: str,
        make: Callable[..., Any],
        args: tuple[Any, ...],
        concurrency: int,
        faults: Sequence[Fault],
    ) -> None:
        self.cluster, self.name, self.make, self.args = cluster, name, make, args
        self.concurrency, self.faults = concurrency, faults
        self.life = 0
        self.begin()

    def begin(self) -> None:
        """A process starts."""
        self.life += 1
        self.alive, self.standing = True, False
        self.queue: deque[_Call] = deque()
        self.running: list[_Call] = []
        self.now: _Call | None = None
        self.due = Faults(self.faults if self.life == 1 else (), self.name)
        self.thing = self.make(*copied(self.args))
        self.thing.point = self.point

    def point(self, name: str) -> str | None:
        self.cluster.seen[name] += 1
        fault = self.due.at(name)
        if fault is None:
            return None
        self.cluster.happened[fault.what] += 1
        if fault.what == "exit":
            raise Died
        if fault.what == "stop":
            raise Stood
        if self.now is not None and fault.what == "delay":
            self.now.extra += fault.seconds
        if self.now is not None and fault.what == "drop_reply":
            self.now.drop = True
        return fault.what

    def arrive(self, call: _Call) -> None:
        if not self.alive:
            self.cluster.fail(call.promises, self.name)
            return
        self.queue.append(call)
        self.turn()

    def turn(self) -> None:
        while self.alive and not self.standing and self.queue:
            if len(self.running) >= self.concurrency:
                return
            call = self.queue.popleft()
            self.running.append(call)
            self.go(call, None)

    def go(self, call: _Call, answer: Any) -> None:
        """Run a method up to its end or to what it waits for."""
        if not self.alive or self.standing or all(c is not call for c in self.running):
            return  # also a process of an earlier life
        self.now, call.extra = call, 0.0
        effect: Any = None
        try:
            if call.process is None:
                found = getattr(self.thing, call.method)(*call.args)
                if isinstance(found, GeneratorType):
                    call.process = found
                    found.send(None)
                    effect = found.send(_Sender(self))
                else:
                    self.end(call, found, None)
                    return
            else:
                effect = call.process.send(answer)
        except StopIteration as end:
            self.end(call, end.value, None)
            return
        except Died:
            self.die()
            return
        except Stood:
            self.standing = True
            return
        except Exception as error:
            self.end(call, None, error)
            return
        finally:
            self.now = None
        self.cluster.after_effect(self, call, effect)

    def end(self, call: _Call, value: Any, error: BaseException | None) -> None:
        """A method is done; its answer is under way, after what it has cost."""
        life = self.life

        def leave() -> None:
            if self.alive and self.life == life and not self.standing:
                self.running.remove(call)
                if not call.drop:
                    self.cluster.answer(call.promises, copied(value), error)
                self.turn()

        self.cluster.later(call.extra + self.cluster.service, leave)

    def die(self, again: bool = True) -> None:
        if not self.alive:
            return
        self.alive = False
        lost = [*self.running, *self.queue]
        self.running, self.queue = [], deque()
        for call in lost:
            self.cluster.fail(call.promises, self.name)
        if again:
            self.cluster.later(self.cluster.restart, self.begin)


class _Sender:
    """The port of a process."""

    def __init__(self, actor: _Actor) -> None:
        self.actor = actor

    def send(self, to: Worker, method: str, *args: Any) -> Promise:
        return self.actor.cluster.send(self.actor.name, to, method, args)[0]

    def take(self, future: Promise) -> Any:
        return self.actor.cluster.take(future)

    def now(self) -> float:
        return self.actor.cluster.time


class VirtualCluster:
    """An Engine in virtual time.

    Args:
        seed: of the delays of messages. compute: seconds of a computation, by worker and generator.
        latency: mean seconds of a message. restart: seconds until a dead worker is back.
        faults: those to inject.
    """

    embedded = True
    service = 1e-4

    def __init__(
        self,
        seed: int = 0,
        compute: Callable[[str, np.random.Generator], float] = lambda name, rng: 0.1,
        latency: float = 0.002,
        restart: float = 0.5,
        faults: Sequence[Fault] = (),
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.compute, self.latency, self.restart, self.faults = compute, latency, restart, faults
        self.time = 0.0
        self.happened: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.actors: dict[str, _Actor] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._last: dict[tuple[str, str], float] = {}

    # -- Engine --------------------------------------------------------------------------------
    def spawn(
        self,
        name: str,
        make: Callable[..., Any],
        *args: Any,
        cpus: int = 0,
        threads: int = 1,
        concurrency: int = 1,
        faults: Sequence[Fault] = (),
    ) -> Worker:
        every = (*self.faults, *faults)
        self.actors[name] = _Actor(self, name, make, args, concurrency, every)
        return Worker(name, name)

    def call(self, to: Worker, method: str, *args: Any, returns: int = 1) -> Any:
        promises = self.send("driver", to, method, args, returns)
        return promises[0] if returns == 1 else promises

    def put(self, value: Any) -> Promise:
        found = Promise()
        found.ready, found.value = True, copied(value)
        return found

    def wait(
        self, futures: Sequence[Promise], count: int, timeout: float
    ) -> tuple[list[Promise], list[Promise]]:
        end = self.time + timeout
        count = min(count, len(futures))
        while sum(f.ready for f in futures) < count:
            if not self._events or self._events[0][0] > end:
                self.time = end
                break
            self.time, _, event = heapq.heappop(self._events)
            assert self.time < _END, "it does not come to an end"
            event()
        return self._split(futures, count)

    def take(self, future: Promise) -> Any:
        assert future.ready
        if future.error is not None:
            raise future.error
        return copied(future.value)

    def kill(self, worker: Worker, again: bool = True) -> None:
        self.actors[worker.name].die(again)

    def now(self) -> float:
        return self.time

    def pause(self, seconds: float) -> None:
        never = Promise()
        self.wait([never], 1, seconds)

    # -- inside --------------------------------------------------------------------------------
    def later(self, seconds: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.time + seconds, self._count, event))

    def send(
        self, sender: str, to: Worker, method: str, args: tuple[Any, ...], returns: int = 1
    ) -> list[Promise]:
        promises = [Promise() for _ in range(returns)]
        given = tuple(a if isinstance(a, Promise) else copied(a) for a in args)
        arrival = self.time + self.latency * float(self.rng.exponential())
        arrival = max(arrival, self._last.get((sender, to.name), 0.0))  # in order
        self._last[sender, to.name] = arrival

        def arrive() -> None:
            waiting = [a for a in given if isinstance(a, Promise) and not a.ready]
            if waiting:
                waiting[0].heard.append(arrive)
                return
            if any(isinstance(a, Promise) and a.error is not None for a in given):
                self.fail(promises, "what it was given")
                return
            values = tuple(copied(a.value) if isinstance(a, Promise) else a for a in given)
            self.actors[to.name].arrive(_Call(method, values, promises))

        self.later(arrival - self.time, arrive)
        return promises

    def answer(self, promises: list[Promise], value: Any, error: BaseException | None) -> None:
        def arrive() -> None:
            for i, p in enumerate(promises):
                p.ready, p.error = True, error
                p.value = value if len(promises) == 1 or error is not None else value[i]
                for heard in p.heard:
                    heard()
                p.heard.clear()

        self.later(self.latency * float(self.rng.exponential()), arrive)

    def fail(self, promises: list[Promise], name: str) -> None:
        self.answer(promises, None, LostError(f"{name} died"))

    def after_effect(self, actor: _Actor, call: _Call, effect: Any) -> None:
        """Let a process go on when what it has yielded is over."""
        if isinstance(effect, Wait):
            count = min(effect.count, len(effect.futures))
            over: list[bool] = []
            awake = self.time + call.extra - 1e-9  # a delay that was injected is over then

            def look(late: bool = False) -> None:
                if self.time < awake:
                    return
                if not over and (late or sum(f.ready for f in effect.futures) >= count):
                    over.append(True)
                    actor.go(call, self._split(effect.futures, count))

            for f in effect.futures:
                f.heard.append(look)
            self.later(call.extra + effect.timeout, lambda: look(late=True))
            self.later(call.extra, look)
            return
        seconds = call.extra
        if isinstance(effect, Sleep):
            seconds += effect.seconds
        if isinstance(effect, Computed):
            seconds += self.compute(actor.name, self.rng)
        self.later(seconds, lambda: actor.go(call, None))

    @staticmethod
    def _split(futures: Sequence[Promise], count: int) -> tuple[list[Promise], list[Promise]]:
        ready = [f for f in futures if f.ready][: max(count, 0)]
        return ready, [f for f in futures if not any(f is r for r in ready)]
