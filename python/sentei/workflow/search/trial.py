"""One trial: a training run in a folder of its own, begun or gone on with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentei import device
from sentei.errors import DataError
from sentei.workflow.run_dir import RunDir
from sentei.workflow.runs import plan, resume, start
from sentei.workflow.search.space import with_values
from sentei.workflow.session import InterruptedRunError
from sentei.workflow.watch import Watch

__all__ = ["Outcome", "Task", "choose_metric", "run_trial", "score_of"]

Tell = Callable[[str], None]
_METRICS = ("val_accuracy", "val_loss", "accuracy", "loss")


def choose_metric(given: str | None, regression: bool) -> str:
    """What trials are judged by. given: None for val_accuracy, of a regression val_loss.

    Raises:
        DataError: it is none, or an accuracy of a regression.
    """
    known = [k for k in _METRICS if not (regression and "accuracy" in k)]
    metric = known[0] if given is None else given
    if metric not in known:
        of = " for a regression" if regression else ""
        *first, last = known
        raise DataError(f"search: metric must be {', '.join(first)} or {last}{of}, got {metric!r}")
    return metric


@dataclass(frozen=True)
class Task:
    """What a worker is told. base: settings; values: of this trial; threads: of its kernels."""

    number: int
    base: dict[str, Any]
    values: dict[str, Any]
    folder: str
    metric: str
    threads: int


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. state: done, failed or interrupted."""

    number: int
    state: str
    score: float | None = None
    seconds: float = 0.0
    error: str = ""


class _Teller(Watch):
    """Sends a line per epoch."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def epoch(self, row: Mapping[str, Any], epochs: int) -> None:
        shown = [f"{k} {row[k]:.4g}" for k in ("loss", "val_accuracy") if row.get(k) is not None]
        self._tell(f"epoch {row['epoch']}/{epochs}  " + "  ".join(shown))


def run_trial(task: Task, tell: Tell) -> Outcome:
    """Train with the settings of a task; what goes wrong with them is its outcome, no error."""
    run = RunDir(task.folder)
    try:
        # the threads of this process; not a setting, as no result depends on them
        device.set_threads(task.threads)
        watch = _Teller(tell)
        if run.plan.is_file() and run.config.is_file():
            if not run.read_plan().get("finished"):
                resume(task.folder, watch)
        else:
            for stray in (run.plan, run.config):  # of a process that was killed as it began
                stray.unlink(missing_ok=True)
            config = with_values(task.base, {**task.values, "run.run_dir": task.folder})
            start(plan(config, "train"), watch, "sentei search")
        return Outcome(task.number, "done", score_of(run, task.metric), _seconds(run))
    except (KeyboardInterrupt, InterruptedRunError):
        return Outcome(task.number, "interrupted")
    except Exception as e:  # settings that do not fit, a loss that is not finite
        return Outcome(task.number, "failed", None, _seconds(run), " ".join(str(e).split()))


def score_of(run: RunDir, metric: str) -> float:
    """The figure of the epoch whose weights a finished run keeps.

    Raises:
        DataError: there is no such figure.
    """
    from sentei.workflow.settings import make_config, read_toml

    epochs = {
        e["epoch"]: e for e in run.read() if e.get("event") == "epoch" and e.get("phase") == "train"
    }
    if not epochs:
        raise DataError("search: train.epochs must be at least 1, got a trial without an epoch")
    rows = [epochs[k] for k in sorted(epochs)]
    if metric not in rows[-1]:
        known = [k for k in _METRICS if k in rows[-1]]  # not lr, seconds and the like
        raise DataError(f"search: metric must be one of {known}, got {metric!r}")
    row = rows[-1]
    if make_config(read_toml(run.config)).train.best_weights:
        if "val_accuracy" in row:
            row = max(rows, key=lambda r: (r["val_accuracy"], -r["epoch"]))
        else:
            row = min(rows, key=lambda r: (r["val_loss"], r["epoch"]))
    value = row[metric]
    if value is None or not math.isfinite(value):
        raise DataError(f"search: {metric} must be finite, got none in epoch {row['epoch']}")
    return float(value)


def _seconds(run: RunDir) -> float:
    """Seconds of training so far."""
    if not Path(run.events).is_file():
        return 0.0
    rows = {e["epoch"]: e for e in run.read() if e.get("event") == "epoch"}
    return float(sum(e.get("seconds") or 0.0 for e in rows.values()))
