"""Trials one after another in this process, or several at a time in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from sentei.train.interrupt import Interrupt
from sentei.workflow.search.trial import Outcome, Task, run_trial

__all__ = ["run_trials"]

Say = Callable[[int, str], None]
_PATIENCE = 0.5  # seconds between two looks for Ctrl-C


def run_trials(
    tasks: Iterator[Task], jobs: int, say: Say, interrupt: Interrupt
) -> Iterator[Outcome]:
    """Run tasks, `jobs` at a time, and give outcomes as they come; no new ones after Ctrl-C.

    Args:
        say: called with the number of a trial and what it is at.
    """
    if jobs == 1:
        for task in tasks:
            if interrupt.asked:
                return
            yield run_trial(task, lambda text, n=task.number: say(n, text))  # type: ignore[misc]
        return
    yield from _Pool(jobs, say, interrupt).run(tasks)


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    task: Task | None = None


class _Pool:
    def __init__(self, jobs: int, say: Say, interrupt: Interrupt) -> None:
        self._say, self._interrupt = say, interrupt
        self._context = multiprocessing.get_context("spawn")  # kernels hold threads: no fork
        self._jobs = jobs
        self._workers: list[_Worker] = []
        self._told = False

    def run(self, tasks: Iterator[Task]) -> Iterator[Outcome]:
        try:
            while True:
                self._hand_out(tasks)
                busy = [w for w in self._workers if w.task is not None]
                if not busy:
                    return
                for pipe in wait([w.pipe for w in busy], _PATIENCE):
                    outcome = self._receive(next(w for w in busy if w.pipe is pipe))
                    if outcome is not None:
                        yield outcome
        finally:
            self._close()

    def _hand_out(self, tasks: Iterator[Task]) -> None:
        if self._interrupt.asked:
            if not self._told:  # where Ctrl-C reached this process alone
                self._told = True
                for w in self._workers:
                    if w.task is not None and w.process.pid is not None:
                        with suppress(ProcessLookupError):
                            os.kill(w.process.pid, signal.SIGINT)
            return
        for w in [w for w in self._workers if w.task is None]:
            w.task = next(tasks, None)
            if w.task is None:
                return
            w.pipe.send(w.task)
        while len(self._workers) < self._jobs:
            task = next(tasks, None)
            if task is None:
                return
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()  # so that its end is seen when it dies
            self._workers.append(_Worker(process, ours, task))
            ours.send(task)

    def _receive(self, worker: _Worker) -> Outcome | None:
        task = worker.task
        assert task is not None
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            worker.pipe.close()
            self._workers.remove(worker)
            code = worker.process.exitcode
            said = f"its process ended with exit code {code} (out of memory?)"
            state = "interrupted" if self._interrupt.asked else "failed"
            return Outcome(task.number, state, error=said)
        if isinstance(message, str):
            self._say(task.number, message)
            return None
        worker.task = None
        found: Outcome = message
        return found

    def _close(self) -> None:
        for w in self._workers:
            with suppress(OSError):
                w.pipe.send(None)
        for w in self._workers:
            w.process.join(10)
            if w.process.is_alive():
                w.process.terminate()
                w.process.join()
            w.pipe.close()


def _work(pipe: Connection) -> None:
    """The life of a worker: tasks come, lines and outcomes go, until None comes or nobody is there."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C comes once, from the process that waits for us
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while (task := pipe.recv()) is not None:
            pipe.send(run_trial(task, pipe.send))
