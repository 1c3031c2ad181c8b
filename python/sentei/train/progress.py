"""What a person sees of a training run: a live bar on a terminal, a line per epoch otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

__all__ = ["Progress", "Show", "make_progress"]

Show = Literal["auto", "rich", "plain", "none"]
_PAUSE = 0.1  # seconds between two changes of the bar


class Progress:
    """Shows nothing; base of those that do."""

    def start(self, steps: int, done: int) -> None:
        """Training begins: steps in all, steps done before."""

    def step(self, done: int, values: Mapping[str, float], rate: float) -> None:
        """A step is done; running loss (and accuracy), images per second."""

    def epoch(self, row: Mapping[str, Any], epochs: int) -> None:
        """An epoch is done."""

    def note(self, text: str) -> None:
        """Say something in one line."""

    def close(self) -> None:
        """The end, whatever it is."""


def line(row: Mapping[str, Any], epochs: int) -> str:
    """One line for an epoch."""
    parts = [f"epoch {row['epoch']}/{epochs}"]
    for key in ("loss", "accuracy", "val_loss", "val_accuracy", "val_rmse"):
        value = row.get(key)
        if value is not None:
            parts.append(f"{key} {value:.2%}" if key.endswith("accuracy") else f"{key} {value:.4g}")
    parts.append(f"{row['images_per_s']:,.0f} images/s")
    parts.append(f"{row['seconds']:.1f} s")
    return "  ".join(parts)


class PlainProgress(Progress):
    """One line per epoch on the error stream, which leaves the output to results."""

    def epoch(self, row: Mapping[str, Any], epochs: int) -> None:
        self.note(line(row, epochs))

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class RichProgress(Progress):
    """A bar with loss, accuracy, images per second and the time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("step"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None
        self._next = 0.0

    def start(self, steps: int, done: int) -> None:
        self._bar.start()
        self._task = self._bar.add_task("train", total=steps, completed=done, text="")

    def step(self, done: int, values: Mapping[str, float], rate: float) -> None:
        now = time.monotonic()
        if now < self._next or "loss" not in values:  # on cuda it comes a little later
            return
        self._next = now + _PAUSE
        text = f"loss {values['loss']:.4g}"
        if "accuracy" in values:
            text += f"  accuracy {values['accuracy']:.2%}"
        self._bar.update(self._task, completed=done, text=f"{text}  {rate:,.0f} images/s")

    def epoch(self, row: Mapping[str, Any], epochs: int) -> None:
        self._bar.console.print(line(row, epochs), highlight=False)

    def note(self, text: str) -> None:
        self._bar.console.print(text, highlight=False)

    def close(self) -> None:
        self._bar.stop()


def make_progress(show: Show) -> Progress:
    """The progress for "auto" (a bar on a terminal, else lines), "rich", "plain" or "none"."""
    if show not in ("auto", "rich", "plain", "none"):
        raise ValueError(f"progress must be 'auto', 'rich', 'plain' or 'none', got {show!r}")
    if show == "auto":
        show = "rich" if sys.stderr.isatty() else "plain"
    return {"rich": RichProgress, "plain": PlainProgress, "none": Progress}[show]()
