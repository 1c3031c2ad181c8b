"""The folder of a run: what lies in it, and the events that are appended as it goes."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sentei.errors import SenteiError
from sentei.report import read_events
from sentei.report.files import atomic_path
from sentei.report.schema import clean
from sentei.workflow.config import Config
from sentei.workflow.settings import dump_toml

__all__ = ["RunDir", "RunDirError"]

_COLUMNS = (
    "event", "phase", "epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy",
    "val_rmse", "val_r2", "lr",
    "layer", "channel", "score", "macs", "params", "accuracy_after_retrain", "seconds",
)  # fmt: skip


class RunDirError(SenteiError, ValueError):
    """A run folder cannot be used."""


class RunDir:
    """Paths of a run's files, its events and metrics.

    Files: config.resolved.toml, run.json (what is running), events.jsonl, metrics.csv, report.json,
    report.html, model.safetensors, pruned.safetensors, checkpoint.safetensors (while unfinished).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.resolved.toml"
        self.plan = self.path / "run.json"
        self.events = self.path / "events.jsonl"
        self.metrics = self.path / "metrics.csv"
        self.model = self.path / "model.safetensors"
        self.pruned = self.path / "pruned.safetensors"
        self.checkpoint = self.path / "checkpoint.safetensors"

    @staticmethod
    def place(config: Config, command: str, network: str) -> Path:
        """The folder that the settings name, or runs/<command>-<network>-<time>; nothing is made.

        Raises:
            RunDirError: it holds something already, or is no folder.
        """
        if config.run.run_dir is not None:
            path = Path(config.run.run_dir)
            if path.exists() and not path.is_dir():
                raise RunDirError(f"run folder: {path} must be a folder, got a file")
            if path.is_dir() and any(path.iterdir()):
                hint = f" (`sentei resume {path}` goes on with a run)"
                is_run = (path / "run.json").exists()
                raise RunDirError(
                    f"run folder: {path} must be new or empty, got files in it{hint if is_run else ''}"
                )
            return path
        clean_name = "".join(c if c.isalnum() or c in "-_." else "_" for c in network)
        stem = f"{command}-{clean_name}-{datetime.now():%Y%m%d-%H%M%S}"
        path, k = Path("runs") / stem, 1
        while path.exists():
            k += 1
            path = Path("runs") / f"{stem}-{k}"
        return path

    @classmethod
    def create(cls, path: Path, command: str, config: Config, words: str = "") -> RunDir:
        """Make the folder and write what is about to run."""
        run = cls(path)
        path.mkdir(parents=True, exist_ok=True)
        try:
            run.plan.open("x").close()  # of two processes that began together, one has the folder
        except FileExistsError:
            raise RunDirError(
                f"run folder: {path} must be new or empty, another process has just begun a run in it"
            ) from None
        with atomic_path(run.config) as beside:
            beside.write_text(dump_toml(config), encoding="utf-8")
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        run.write_plan({"command": command, "command_line": words, "created": now})
        return run

    @classmethod
    def reopen(cls, path: str | os.PathLike[str]) -> RunDir:
        """Open the folder of an earlier run."""
        run = cls(path)
        if not run.plan.is_file() or not run.config.is_file():
            raise RunDirError(
                f"run folder: {path} must hold run.json and config.resolved.toml of a run, got none"
            )
        return run

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other processes from going on with this run; ends with the process at the latest.

        Raises:
            RunDirError: another process is at it.
        """
        try:
            import fcntl
        except ImportError:  # no such locks on this system
            yield
            return
        folder = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunDirError(
                    f"run folder: {self.path} must be free, another process is at work in it"
                ) from None
            except OSError:  # a file system without locks
                pass
            yield
        finally:
            os.close(folder)

    # -- what is running -----------------------------------------------------------------------
    def read_plan(self) -> dict[str, Any]:
        """What create wrote: command, command_line, created."""
        try:
            plan = json.loads(self.plan.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as e:
            raise RunDirError(f"run folder: {self.plan} must be JSON, got: {e}") from None
        if not isinstance(plan, dict) or not isinstance(plan.get("command"), str):
            raise RunDirError(f"run folder: {self.plan} must name the command of the run")
        return plan

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        with atomic_path(self.plan) as beside:
            beside.write_text(json.dumps(clean(plan), indent=2) + "\n", encoding="utf-8")

    # -- events --------------------------------------------------------------------------------
    def event(self, event: str, **fields: Any) -> None:
        """Append one line to events.jsonl; it is on its way to the disk before this returns."""
        line = json.dumps(clean({"event": event, "time": time.time(), **fields}), allow_nan=False)
        with self.events.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def mend(self) -> None:
        """Cut off a last line that a killed run left unfinished."""
        if not self.events.is_file():
            return
        with self.events.open("rb+") as file:
            data = file.read()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                file.truncate(whole)

    def read(self) -> list[dict[str, Any]]:
        """All events so far."""
        return read_events(self.events) if self.events.is_file() else []

    def write_metrics(self) -> None:
        """Write metrics.csv: a row per epoch and pruning step; one that ran twice counts once."""
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for e in self.read():
            if e.get("event") in ("epoch", "prune_step"):
                rows[e["event"], e.get("phase"), e.get("epoch"), e.get("step")] = e
        with (
            atomic_path(self.metrics) as beside,
            beside.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())
