"""The engine on Ray: actors and tasks. Every call of Ray's is in this file."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import GeneratorType
from typing import Any

import numpy as np

from sentei.distributed.engine import (
    ClusterError,
    Future,
    LostError,
    Sleep,
    Wait,
    Worker,
    using,
)
from sentei.distributed.faults import Faults

__all__ = ["Cluster", "cluster", "import_ray"]

_INLINE = 100_000  # bytes of an array from which on it is put into the store by name
_PULL = 30.0  # seconds for the bytes of a future that is ready already
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # they are taken, counted and reported
}
_AUTH = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def import_ray() -> Any:
    """Import Ray, or say how to get it."""
    try:
        import ray
    except ImportError as e:
        raise ClusterError(
            'cluster: Ray must be installed: pip install "sentei[distributed]"'
        ) from e
    return ray


@contextmanager
def cluster(
    address: str | None = None,
    *,
    cpus: int | None = None,
    memory: int | None = None,
) -> Iterator[Cluster]:
    """Open a cluster for a block: `with sentei.distributed.cluster() as c:`.

    Without an address Ray runs embedded on this machine, for this block: its own processes, started and
    ended here (2 to 5 s). Messages carry a token that is drawn at random and lies in no file; usage
    statistics and the dashboard are off.

    Args:
        address: "host:port" of a cluster made by `ray start`; its token must be in RAY_AUTH_TOKEN.
        cpus: cores that Ray may count on, embedded only; None: all that are allowed.
        memory: bytes of its store of shared memory, embedded only; None: 256 MB.
    Raises:
        ClusterError: Ray is not installed, or does not start, or cannot be reached. ValueError.
    """
    if address is not None and (":" not in address or address.startswith("ray://")):
        raise ValueError(f'cluster: address must be "host:port", got {address!r:.80}')
    before = {k: os.environ.get(k) for k in (*_QUIET, *_AUTH, "PYTHONPATH")}
    os.environ.update(_QUIET)
    if address is None:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
        os.environ.pop("RAY_AUTH_TOKEN_PATH", None)
        os.environ["PYTHONPATH"] = os.pathsep.join(p or os.getcwd() for p in sys.path)
    found, ours = None, False
    ray: Any = None
    try:
        ray = import_ray()
        if ray.is_initialized():
            raise ClusterError("cluster: one must be closed before another opens in a process")
        ours = True
        _init(ray, address, cpus, memory)
        found = Cluster(ray, address is None)
        with using(found):
            yield found
    finally:
        if found is not None:
            found.close()
        if ours:
            ray.shutdown()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _read_token(ray: Any) -> None:
    """Make Ray look at the environment again: it did when it was imported, perhaps long ago."""
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()


def _keep_quiet(ray: Any) -> None:
    """No paragraph on standard output for every worker that dies: they are counted and reported."""
    from ray._private import worker

    worker.print_to_stdstream = lambda *a, **k: None


def _init(ray: Any, address: str | None, cpus: int | None, memory: int | None) -> None:
    common = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    try:
        _read_token(ray)
        _keep_quiet(ray)
        if address is None:
            ray.init(
                address="local",  # never one that a forgotten file points to
                num_cpus=cpus or len(os.sched_getaffinity(0)),
                num_gpus=0,
                object_store_memory=memory or 256 << 20,
                **common,
            )
        else:
            common.pop("include_dashboard")
            ray.init(address=address, **common)
    except Exception as e:
        where = "Ray must start on this machine" if address is None else f"{address} must answer"
        raise ClusterError(f"cluster: {where}, got: {_first_line(e)}") from e


def _first_line(e: BaseException) -> str:
    return (str(e).strip() or type(e).__name__).splitlines()[0]


def _last_line(e: BaseException) -> str:
    lines = [x for x in str(e).strip().splitlines() if x.strip()]
    return lines[-1].strip() if lines else type(e).__name__


class Cluster:
    """An open cluster; see Engine for what its methods do."""

    def __init__(self, ray: Any, embedded: bool) -> None:
        self._ray, self._embedded = ray, embedded
        self._workers: dict[str, tuple[Worker, Future]] = {}
        self._host = ray.remote(_Host)

    @property
    def embedded(self) -> bool:
        return self._embedded

    @property
    def cores(self) -> int:
        """Cores of all machines."""
        return int(self._ray.cluster_resources().get("CPU", 0))

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
        """Start a worker; see Engine.

        Raises:
            ClusterError: the machines have fewer cores than all workers occupy. Embedded nothing is
            counted: there is one machine, and the threads are sentei's own affair.
        """
        free = 0 if self._embedded else int(self._ray.available_resources().get("CPU", 0))
        if name in self._workers:
            raise ValueError(f"cluster: name must be new, got {name!r} twice")
        if not self._embedded and cpus > free:
            raise ClusterError(
                f"cluster: there must be {cpus} free cores for {name}, got {free} of {self.cores}"
            )
        options = {
            "num_cpus": 0 if self._embedded else cpus,
            "max_restarts": -1,
            "max_concurrency": concurrency,
            "scheduling_strategy": "SPREAD",
        }
        # A worker that is started again needs its arguments: what is large stays in the store for it.
        kept, made = None, self._ray.cloudpickle.dumps((make, args))
        if len(made) >= _INLINE:
            kept = self._ray.put(made)
            made = self._ray.cloudpickle.dumps(kept)
        actor = self._host.options(**options).remote(name, made, threads, tuple(faults))
        worker = Worker(name, actor)
        self._workers[name] = (worker, kept)
        return worker

    def call(self, to: Worker, method: str, *args: Any, returns: int = 1) -> Future:
        return _send(self._ray, to, method, args, returns)

    def put(self, value: Any) -> Future:
        return self._ray.put(value)

    def submit(
        self, function: Callable[..., Any], *args: Any, cpus: int = 1, retries: int = 3
    ) -> Future:
        """Run function(*args) once somewhere; done again elsewhere when the process that does it dies."""
        task = self._ray.remote(function)
        return task.options(num_cpus=cpus, max_retries=retries).remote(*args)

    def cancel(self, future: Future) -> None:
        """Give up a submitted function, running or not."""
        self._ray.cancel(future, force=True)

    def wait(
        self, futures: Sequence[Future], count: int, timeout: float
    ) -> tuple[list[Future], list[Future]]:
        return _wait(self._ray, futures, count, timeout)

    def take(self, future: Future) -> Any:
        return _take(self._ray, future)

    def kill(self, worker: Worker, again: bool = True) -> None:
        with suppress(Exception):  # it may have died by itself
            self._ray.kill(worker.actor, no_restart=not again)
        if not again:
            self._workers.pop(worker.name, None)

    def now(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        """End all workers, also those that stand still."""
        for worker, _ in list(self._workers.values()):
            self.kill(worker, again=False)


def _send(ray: Any, to: Worker, method: str, args: Sequence[Any], returns: int = 1) -> Future:
    sent = [ray.put(a) if isinstance(a, np.ndarray) and a.nbytes >= _INLINE else a for a in args]
    return to.actor.call.options(num_returns=returns).remote(method, *sent)


def _wait(
    ray: Any, futures: Sequence[Future], count: int, timeout: float
) -> tuple[list[Future], list[Future]]:
    every = list(futures)
    if not every:
        return [], []
    return ray.wait(every, num_returns=min(count, len(every)), timeout=max(timeout, 0))  # type: ignore[no-any-return]


def _take(ray: Any, future: Future) -> Any:
    e = ray.exceptions
    try:
        return ray.get(future, timeout=_PULL)
    except e.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, e.RayError):
            raise LostError(f"distributed: {_first_line(cause)}") from None
        raise cause from None
    except e.GetTimeoutError:
        raise LostError(f"distributed: its bytes did not arrive in {_PULL:g} s") from None
    except e.ActorDiedError as error:
        if "creation task" in str(error):  # it would fail again and again
            raise ClusterError(f"distributed: a worker cannot start: {_last_line(error)}") from None
        raise LostError("distributed: the worker died") from None
    except e.RayError as error:  # the actor, its process, its machine, or what it was given is gone
        raise LostError(f"distributed: {type(error).__name__}") from None


class _Host:
    """The actor around a worker's object: threads, faults, and processes that call others."""

    def __init__(self, name: str, made: bytes, threads: int, faults: Any) -> None:
        import ray

        from sentei.device import set_threads

        set_threads(threads)
        self._ray = ray
        first = not ray.get_runtime_context().was_current_actor_reconstructed
        self._faults = Faults(faults if first else (), name)
        self._local = threading.local()
        found = ray.cloudpickle.loads(made)
        make, args = found if isinstance(found, tuple) else ray.cloudpickle.loads(ray.get(found))
        self._thing = make(*args)
        self._thing.point = self._point

    def call(self, method: str, *args: Any) -> Any:
        self._local.drop = False
        found = getattr(self._thing, method)(*args)
        if isinstance(found, GeneratorType):
            found = self._drive(found)
        if self._local.drop:
            raise LostError("distributed: the answer was dropped on purpose")
        return found

    # -- Port ----------------------------------------------------------------------------------
    def send(self, to: Worker, method: str, *args: Any) -> Future:
        return _send(self._ray, to, method, args)

    def take(self, future: Future) -> Any:
        return _take(self._ray, future)

    def now(self) -> float:
        return time.monotonic()

    # -- inside --------------------------------------------------------------------------------
    def _drive(self, process: GeneratorType[Any, Any, Any]) -> Any:
        """Do what a process waits for until it is done. First it is sent its port."""
        answer: Any = None
        process.send(None)
        answer = self
        while True:
            try:
                effect = process.send(answer)
            except StopIteration as end:
                return end.value
            answer = None
            if isinstance(effect, Wait):
                answer = _wait(self._ray, effect.futures, effect.count, effect.timeout)
            elif isinstance(effect, Sleep):
                time.sleep(effect.seconds)

    def _point(self, name: str) -> str | None:
        """A named point: does what is due there; "duplicate" is for the caller to do."""
        fault = self._faults.at(name)
        if fault is None:
            return None
        if fault.what == "exit":
            os._exit(17)
        if fault.what == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif fault.what == "delay":
            time.sleep(fault.seconds)
        elif fault.what == "drop_reply":
            self._local.drop = True
        return fault.what
