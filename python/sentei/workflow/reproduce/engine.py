"""The run of a table: arms times seeds, one line per finished trial; an interrupted one goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentei import device as devices
from sentei.errors import DataError
from sentei.report.files import atomic_path
from sentei.report.schema import clean
from sentei.workflow.reproduce.data import is_there, load_parts
from sentei.workflow.reproduce.scale import Scale
from sentei.workflow.reproduce.spec import Table
from sentei.workflow.reproduce.trial import Trial, run_trial

__all__ = ["Reproduction", "Result", "plan_table", "read_trials", "reproduce"]

Progress = Callable[[int, int, str], None]

PLAN, TRIALS = "reproduction.json", "trials.jsonl"


@dataclass(frozen=True)
class Reproduction:
    """What is about to run. out: folder; done: trials that lie there already."""

    table: Table
    scale: Scale
    seeds: int
    data_dir: Path | None
    out: Path
    device: str = "cpu"
    done: int = 0

    @property
    def trials(self) -> list[tuple[int, int]]:
        """(seed, arm) in the order in which they run: all arms of a seed before the next seed."""
        return [(s, a) for s in range(self.seeds) for a in range(len(self.table.arms))]

    def fingerprint(self) -> str:
        """What a folder must agree on to be gone on with; more seeds may be asked for."""
        told = (self.table.name, self.table.data, self.table.arms, self.scale)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Result:
    """The trials of a run, what was smaller than in the source, and the test images in use."""

    what: Reproduction
    trials: tuple[Trial, ...]
    scaled: tuple[str, ...]
    test_images: int


def plan_table(
    table: Table,
    *,
    scale: float = 1.0,
    images: int | None = None,
    seeds: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> Reproduction:
    """Check everything that can be checked before any work; nothing is written.

    Args:
        scale, images: see Scale. seeds: runs of each arm; None: as many as the source made.
        out: folder; None: runs/reproduce/NAME.
    Raises:
        DataError: a number out of range, fewer images than a mini-batch has, a method that is not
        there, no data, a folder that holds trials of other settings.
    """
    if table.needs:
        raise DataError(f"reproduce: {table.name} must wait, it needs {table.needs}")
    count = table.runs if seeds is None else seeds
    if not 1 <= count <= 1000:
        raise DataError(f"reproduce: seeds must lie in [1, 1000], got {count}")
    made = Scale(scale, images)
    if (there := table.data.images or images) is not None:
        _check_batch(table, made.training(table, there))
    if not is_there(table.data, data_dir):
        load_parts(table, data_dir, made)  # says what is missing
    where = Path("runs") / "reproduce" / table.name if out is None else Path(out)
    plan = Reproduction(
        table,
        made,
        count,
        None if data_dir is None else Path(data_dir),
        where,
        devices.require(device),
    )
    done = len(_finished(plan)) if _matches(plan) else 0
    return Reproduction(**{**plan.__dict__, "done": done})


def _check_batch(table: Table, images: int) -> None:
    """DataError when the training images fill no mini-batch of an arm."""
    batch = max(a.setting.batch for a in table.arms)
    if images < batch:
        raise DataError(
            f"reproduce: images must be at least the largest mini-batch of {table.name}, {batch}, "
            f"got {images} for training (scale and images set how many)"
        )


def _matches(what: Reproduction) -> bool:
    """Whether the folder holds a run of these settings; False: nothing, or none that has a trial.

    Raises:
        DataError: it holds something else.
    """
    out, file = what.out, what.out / PLAN
    if out.exists() and not out.is_dir():
        raise DataError(f"reproduce: out must be a folder, got the file {out}")
    if not file.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise DataError(f"reproduce: out must be new, empty or of this command, got {out}")
        return False
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as e:
        raise DataError(f"reproduce: {file} must be JSON, got: {e}") from None
    ours = isinstance(kept, dict) and kept.get("command") == "reproduce"
    if ours and kept.get("fingerprint") == what.fingerprint():
        return True
    if ours and not read_trials(out / TRIALS):
        return False  # it stopped before its first trial: nothing is lost
    raise DataError(
        f"reproduce: out must hold {what.table.name} with the same scale and images to go on "
        f"with, got other settings in {out}"
    )


def read_trials(path: Path) -> list[Trial]:
    """Finished trials of a file; a last line that was cut off is passed over.

    Raises:
        DataError: a whole line is no trial.
    """
    if not path.is_file():
        return []
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            entry = Trial(**json.loads(line))
            whole = isinstance(entry.arm, str) and type(entry.seed) is int
            numbers = all(isinstance(v, float) for v in entry.values.values())
        except (ValueError, TypeError, AttributeError, RecursionError) as e:
            raise DataError(f"reproduce: {path} must hold one trial a line, got: {e}") from None
        if not (whole and numbers and entry.state in ("done", "diverged")):
            raise DataError(f"reproduce: {path} must hold one trial a line, got {line!r:.80}")
        found.append(entry)
    return found


def _finished(what: Reproduction) -> dict[tuple[str, int], Trial]:
    return {(t.arm, t.seed): t for t in read_trials(what.out / TRIALS)}


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder."""
    from sentei.workflow.run_dir import RunDir

    with RunDir(folder).claimed():
        yield


def reproduce(what: Reproduction, progress: Progress | None = None, words: str = "") -> Result:
    """Run what is missing of a table and write the report.

    Args:
        progress: called with trials done, trials in all and what is going on. words: the command.
    Raises:
        DataError: as load_parts. KeyboardInterrupt: Ctrl-C; the same call goes on.
    """
    from sentei.workflow.reproduce.report import write_results

    parts = load_parts(what.table, what.data_dir, what.scale)
    _check_batch(what.table, len(parts.train))
    scaled = what.scale.describe(what.table, what.seeds, parts.there)
    _matches(what)
    what.out.mkdir(parents=True, exist_ok=True)
    with _claimed(what.out):
        if (what.out / PLAN).is_file() and not _matches(what):
            for left in ("networks", "training"):  # of the settings that were there
                shutil.rmtree(what.out / left, ignore_errors=True)
        finished = _finished(what)
        _write_plan(what, words, scaled)
        _mend(what.out / TRIALS)
        todo = [(s, a) for s, a in what.trials if (what.table.arms[a].name, s) not in finished]
        total = len(what.trials)
        for k, (seed, index) in enumerate(todo):
            arm, done = what.table.arms[index], total - len(todo) + k

            def tell(text: str, name: str = f"{arm.name}, seed {seed}", n: int = done) -> None:
                if progress is not None:
                    progress(n, total, f"{name}: {text}")

            trial = run_trial(what.table, arm, seed, parts, what.scale, what.out, what.device, tell)
            _append(what.out / TRIALS, trial)
            finished[arm.name, seed] = trial
        wanted = [(what.table.arms[a].name, s) for s, a in what.trials]
        result = Result(what, tuple(finished[k] for k in wanted), scaled, len(parts.test))
        write_results(result)
        shutil.rmtree(what.out / "training", ignore_errors=True)
    return result


def _write_plan(what: Reproduction, words: str, scaled: tuple[str, ...]) -> None:
    about: dict[str, Any] = {
        "command": "reproduce",
        "table": what.table.name,
        "fingerprint": what.fingerprint(),
        "command_line": words,
        "scale": what.scale.factor,
        "images": what.scale.images,
        "seeds": what.seeds,
        "scaled": list(scaled),
        "settings": {
            a.name: repr((what.scale.setting(a.setting), what.scale.prune(a.prune)))
            for a in what.table.arms
        },
    }
    with atomic_path(what.out / PLAN) as beside:
        beside.write_text(json.dumps(clean(about), indent=2) + "\n", encoding="utf-8")


def _append(path: Path, trial: Trial) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(clean(trial.to_json()), allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _mend(path: Path) -> None:
    """Cut off a last line that a killed process left unfinished."""
    if path.is_file():
        with path.open("rb+") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)
