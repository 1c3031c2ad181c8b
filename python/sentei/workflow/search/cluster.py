"""Trials as tasks of a cluster: Ray hands them out, and does again elsewhere what a dead machine had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from sentei.distributed import ClusterError, LostError, cluster
from sentei.errors import DataError
from sentei.train.interrupt import Interrupt
from sentei.workflow.search.trial import Outcome, Task, run_trial

__all__ = ["check_address", "run_on_cluster"]

Say = Callable[[int, str], None]
_PATIENCE = 0.5  # seconds between two looks for Ctrl-C
_RETRIES = 3  # of a trial whose process or machine dies; it goes on from its checkpoint


def check_address(text: str) -> str | None:
    """None for "local", else host:port; DataError otherwise."""
    if text == "local":
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise DataError(f'search: cluster must be local or "host:port", got {text!r:.80}')
    return text


def _trial(task: Task) -> Outcome:
    """In a worker: its lines reach nobody, its folder everybody."""
    return run_trial(task, lambda text: None)


def run_on_cluster(
    tasks: Iterator[Task], jobs: int, address: str, say: Say, interrupt: Interrupt
) -> Iterator[Outcome]:
    """Run tasks on a cluster, `jobs` at a time, and give outcomes as they come.

    Run folders must lie where every machine sees them. A trial whose process dies is run again and
    goes on from its last checkpoint: the outcome is that of one that never died.

    Raises:
        ClusterError: Ray is missing, or the cluster does not answer.
    """
    with ExitStack() as stack:
        c = stack.enter_context(cluster(check_address(address)))
        running: dict[Any, tuple[Task, Any]] = {}
        try:
            while True:
                while len(running) < jobs and not interrupt.asked:
                    task = next(tasks, None)
                    if task is None:
                        break
                    sent = replace(task, folder=str(Path(task.folder).resolve()))
                    future = c.submit(_trial, sent, cpus=0, retries=_RETRIES)
                    running[id(future)] = (task, future)
                    say(task.number, "begun")
                if not running or interrupt.asked:
                    return
                futures = [future for _, future in running.values()]
                for future in c.wait(futures, 1, _PATIENCE)[0]:
                    task, _ = running.pop(id(future))
                    try:
                        yield c.take(future)
                    except (LostError, ClusterError) as e:
                        yield Outcome(task.number, "failed", error=str(e))
        finally:
            for _, future in running.values():
                c.cancel(future)
