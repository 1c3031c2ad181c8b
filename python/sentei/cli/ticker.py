"""Progress of what is no training: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from sentei.cli.guard import say

__all__ = ["Ticker"]

_PAUSE = 0.1  # seconds between two changes of a bar
_LINES = 5.0  # and between two lines


class Ticker:
    """`ticker(done, total, text)` as work goes on; `with Ticker("name", quiet):` around it."""

    def __init__(self, name: str, quiet: bool = False) -> None:
        self._name, self._quiet = name, quiet
        self._bar: Any = None
        self._task: Any = None
        self._next = time.monotonic() + (0.0 if sys.stderr.isatty() else 2.0)

    def __enter__(self) -> Ticker:
        return self

    def __call__(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if self._quiet or now < self._next:
            return
        if not sys.stderr.isatty():
            self._next = now + _LINES
            say(f"  {self._name} {done}/{total}  {text}")
            return
        self._next = now + _PAUSE
        if self._bar is None:
            self._open()
        from rich.markup import escape

        self._bar.update(self._task, completed=done, total=total, text=escape(text))

    def note(self, text: str) -> None:
        """Say something in one line of its own."""
        if self._quiet:
            return
        if self._bar is None:
            say(f"  {text}")
        else:
            self._bar.console.print(f"  {text}", highlight=False, markup=False)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Left

        self._bar = Progress(
            TextColumn(self._name),
            BarColumn(bar_width=28),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            Left(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(self._name, total=1, text="")
        self._bar.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
