"""Progress on the error stream: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sentei.cli.guard import say
from sentei.distributed.result import Status
from sentei.passes import Costs
from sentei.prune.gauge import Gauge
from sentei.prune.iterative import PruneStep
from sentei.workflow.watch import RankRate, Watch

__all__ = ["PlainWatch", "RichWatch", "make_watch"]

_PAUSE = 0.1  # seconds between two changes of a bar
_LINES = 10  # a plain line for so many parts of the way to the target


def make_watch() -> Watch:
    """Bars where a person looks on, lines otherwise."""
    return RichWatch() if sys.stderr.isatty() else PlainWatch()


def _epoch_line(row: Mapping[str, Any], epochs: int) -> str:
    parts = [f"epoch {row['epoch']}/{epochs}"]
    for key, word in (("loss", "loss"), ("accuracy", "accuracy"), ("val_accuracy", "validation")):
        value = row.get(key)
        if value is not None:
            parts.append(f"{word} {value:.2%}" if "accuracy" in key else f"{word} {value:.4f}")
    if row.get("val_rmse") is not None:
        parts.append(f"validation rmse {row['val_rmse']:.4g}")
    parts.append(f"{row['images_per_s']:,.0f} images/s")
    parts.append(f"{row['seconds']:.1f} s")
    return "  ".join(parts)


def _step_line(step: PruneStep, way: Gauge) -> str:
    seen = step.accuracy_after_retrain
    shown = "" if seen is None else f"  validation {seen:.2%}"
    return f"removed {step.layer}[{step.channel}]  {way.words()}{shown}"


def _workers_line(status: Status) -> str:
    loss = "" if status.loss is None else f"  loss {status.loss:.4f}"
    return f"{status.done:,} of {status.planned:,} updates{loss}"


class PlainWatch(Watch):
    """One line per epoch, and about ten for a pruning."""

    _waiting = ""

    def stage(self, text: str) -> None:
        say(text)

    def ranks(self, rows: Sequence[RankRate]) -> None:
        self._waiting = "/".join(f"{r.waiting:.0%}" for r in rows)

    def epoch(self, row: Mapping[str, Any], epochs: int) -> None:
        shown = f"  ranks waiting {self._waiting}" if self._waiting else ""
        say(f"  {_epoch_line(row, epochs)}{shown}")

    def prune_start(self, gauge: Gauge, now: Costs) -> None:
        self._way = gauge
        self._way.seen(now)
        self._next = min(self._way.done + 1 / _LINES, 1.0)

    def prune_step(self, step: PruneStep, now: Costs) -> None:
        self._way.seen(now)
        done = self._way.done
        if done >= self._next:
            say(f"  step {step.step}: {_step_line(step, self._way)}")
            self._next = 2.0 if done >= 1 else min(done + 1 / _LINES, 1.0)

    def workers(self, status: Status) -> None:
        for text in status.notes:
            self.note(text)
        done = status.done / max(status.planned, 1)
        if done < getattr(self, "_shown", 0.0):
            return
        self._shown = done + 1 / _LINES
        say(
            f"  {_workers_line(status)}  {', '.join(f'{k} {v}' for k, v in status.workers.items())}"
        )

    def note(self, text: str) -> None:
        say(f"  {text}")


class RichWatch(Watch):
    """A bar per stage."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._console = Console(stderr=True)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: Any = None
        self._rows: dict[str, Any] = {}  # of workers
        self._next = 0.0
        self._seen = ""
        self._ranks: list[Any] = []

    def stage(self, text: str) -> None:
        self._console.print(f"[bold]{_plain(text)}[/bold]", highlight=False)

    def fit_start(self, epochs: int, steps: int, done: int) -> None:
        self._open("training", steps, done)

    def fit_step(self, done: int, loss: float, accuracy: float | None, rate: float) -> None:
        shown = "" if accuracy is None else f"  accuracy {accuracy:.2%}"
        self._move(done, f"loss {loss:.4f}{shown}  {rate:,.0f} images/s")

    def workers(self, status: Status) -> None:
        """One bar for the updates of all, and a row for every worker."""
        if self._task is None:
            self._open("training", status.planned, 0)
        for text in status.notes:
            self.note(text)
        self._move(status.done, _workers_line(status))
        for name, state in status.workers.items():
            if name not in self._rows:
                self._rows[name] = self._bar.add_task(f"  {name}", total=None, text="")
            self._bar.update(self._rows[name], text=_plain(state))

    def epoch(self, row: Mapping[str, Any], epochs: int) -> None:
        self._console.print(f"  {_plain(_epoch_line(row, epochs))}", highlight=False)

    def ranks(self, rows: Sequence[RankRate]) -> None:
        while len(self._ranks) < len(rows):
            name = f"rank {len(self._ranks)}"
            self._ranks.append(self._bar.add_task(name, total=1.0, text=""))
        for task, row in zip(self._ranks, rows, strict=True):
            text = f"{row.rate:,.0f} images/s  waiting {row.waiting:.0%}"
            self._bar.update(task, completed=1 - row.waiting, text=text)

    def fit_end(self) -> None:
        self._shut()

    def prune_start(self, gauge: Gauge, now: Costs) -> None:
        self._way, self._seen = gauge, ""
        self._way.seen(now)
        self._open("pruning", 1000, int(1000 * self._way.done))

    def prune_step(self, step: PruneStep, now: Costs) -> None:
        if step.accuracy_after_retrain is not None:
            self._seen = f"  validation {step.accuracy_after_retrain:.2%}"
        self._way.seen(now)
        text = f"{self._way.words()}  removed {step.layer}[{step.channel}]{self._seen}"
        self._move(int(1000 * self._way.done), text)

    def prune_end(self) -> None:
        self._shut()

    def note(self, text: str) -> None:
        self._console.print(f"  {_plain(text)}", highlight=False)

    def close(self) -> None:
        self._shut()

    def _open(self, name: str, total: int, done: int) -> None:
        self._shut()
        self._task = self._bar.add_task(name, total=total, completed=done, text="")
        self._bar.start()

    def _move(self, done: int, text: str) -> None:
        now = time.monotonic()
        if now >= self._next and self._task is not None:
            self._next = now + _PAUSE
            self._bar.update(self._task, completed=done, text=_plain(text))

    def _shut(self) -> None:
        self._bar.stop()
        if self._task is not None:
            for task in (self._task, *self._ranks, *self._rows.values()):
                self._bar.remove_task(task)
            self._task, self._ranks = None, []
            self._rows.clear()


def _plain(text: str) -> str:
    """Text in which brackets are no markup."""
    from rich.markup import escape

    return escape(text)
