"""Whole runs: train, prune, demo, and going on with one that was stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sentei import device, io
from sentei.errors import DataError
from sentei.model import Model
from sentei.ops.precision import check_precision
from sentei.prune.iterative import TargetUnreachableError
from sentei.prune.preview import Preview, preview
from sentei.prune.target import Target
from sentei.report import write_report
from sentei.train import World
from sentei.workflow.cluster import check_cluster
from sentei.workflow.config import Config
from sentei.workflow.datasets import Images, data_settings, images_for
from sentei.workflow.factory import (
    check_fits,
    check_task,
    make_model,
    make_optimizer,
    make_regularizers,
    network_name,
    read_model,
)
from sentei.workflow.gates import check_gates
from sentei.workflow.parallel import (
    FollowingRun,
    as_one,
    check_ranks,
    rest,
    share_threads,
    traffic,
    world_of,
)
from sentei.workflow.pruning import prune_stage
from sentei.workflow.reporting import build_report, failures
from sentei.workflow.run_dir import RunDir, RunDirError
from sentei.workflow.session import InterruptedRunError, Session
from sentei.workflow.settings import load_config, make_config, read_toml
from sentei.workflow.stages import train_stage
from sentei.workflow.targets import check_pruning, make_target, round_to
from sentei.workflow.watch import Watch

__all__ = ["Plan", "RunResult", "plan", "prune", "prune_config", "resume", "start", "train"]


@dataclass(frozen=True)
class RunResult:
    """What a run came to. report: as in report.json. problems: why it is no success, if it is none."""

    run_dir: Path
    report: dict[str, Any]
    model: Model
    pruned: Model | None
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Plan:
    """A run that has been checked and not begun."""

    command: str
    config: Config
    run_dir: Path
    images: Images
    model: Model
    preview: Preview | None
    target: Target | None

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON data."""
        c = self.model.costs()
        out: dict[str, Any] = {
            "command": self.command,
            "run_dir": str(self.run_dir),
            "network": network_name(self.model),
            "dataset": self.images.train.name,
            "images": {k: len(getattr(self.images, k)) for k in ("train", "val", "test")},
            "macs": c.macs,
            "flops": c.flops,
            "params": c.params,
            "config": self.config.model_dump(exclude_none=True),
        }
        if self.preview is not None:
            target = self.target
            out["prune"] = {
                "method": self.config.prune.method,
                "target": None if target is None else target.describe(self.preview.original),
                "reachable": self.preview.reachable,
                "smallest_flops": self.preview.smallest.flops,
                "smallest_params": self.preview.smallest.params,
                "layers": [
                    {"name": x.name, "width": x.width, "prunable": x.prunable, "reason": x.reason}
                    for x in self.preview.layers
                ],
            }
        return out


def plan(config: Config, command: str) -> Plan:
    """Check everything that can be checked before any work; nothing is written.

    Raises:
        SenteiError, ValueError, FileNotFoundError: a setting, a file or a combination of them is wrong.
    """
    _use_machine(config)
    check_ranks(config, command)
    if command == "prune" and config.model.file is None:
        named = "network" in config.model.model_fields_set
        if config.prune.method == "score" or not named:
            raise DataError(
                "prune: model.file must be given, a file that `sentei train` wrote"
                + ("" if named else "; methods with gates can do with model.network, untrained")
            )
    loaded = None if config.model.file is None else read_model(config.model.file)
    meta = {} if loaded is None else loaded.meta
    scaled = command == "prune" and loaded is not None
    images = images_for(meta, config.data, config.run.seed, scaled=scaled)
    model = loaded
    if model is None:
        model = make_model(config.model, images, config.run.seed)
    check_fits(model, images)
    check_task(config.train, images)
    make_optimizer(config.train)
    make_regularizers(config.train.regularizers)
    if command == "train":
        check_cluster(config, model)
    if config.train.batch > len(images.train):
        raise DataError(
            f"train: batch must be at most the number of training images, {len(images.train)}, "
            f"got {config.train.batch}"
        )
    look, target = None, None
    if command in ("prune", "demo"):
        p = config.prune
        check_pruning(config, model)
        target = make_target(p)
        if p.method == "score":
            _check_criterion(p.criterion)
            where = device.require(config.run.device)
            look = preview(
                model.to(where),
                target,
                include=p.include,
                ignore=p.ignore,
                floor=p.floor,
                round_to=round_to(config, where),
            )
        else:
            smallest = check_gates(p, config.train, model, target)
            found = preview(model, None, floor=p.floor)
            look = replace(found, smallest=smallest, target=target)
        if target is not None and not look.reachable:
            raise TargetUnreachableError(
                f"prune: the target must be reachable, but {target.describe(look.original)} is below "
                f"the smallest network that prune.floor, prune.ignore and prune.round_to allow, {look.least}"
            )
    return Plan(
        command,
        config,
        RunDir.place(config, command, network_name(model)),
        images,
        model,
        look,
        target,
    )


def prune_config(
    file: str | os.PathLike[str] | None = None,
    pairs: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """Settings for work on a model file: what is not given is taken from the file's own notes.

    Arguments as settings.load_config; the file is that of model.file.
    """
    pairs = tuple(pairs)
    given = load_config(file, pairs, flags)
    if given.model.file is None:
        return given
    meta = read_model(given.model.file).meta
    base: dict[str, Any] = {}
    if settings := data_settings(meta):
        base["data"] = settings
        if isinstance(seed := meta["data"].get("seed"), int):
            base["run"] = {"seed": seed}  # the same cut: no training image among those for testing
        if given.data.name != settings.get("name") and "name" in given.data.model_fields_set:
            # other images than those of the file: only how they are prepared is kept
            base["data"] = {k: settings[k] for k in ("size",) if k in settings}
    if isinstance(train := meta.get("train"), Mapping):
        base["train"] = {k: v for k, v in train.items() if k not in ("schedule", "precision")}
    return load_config(file, pairs, flags, base)


def _use_machine(config: Config) -> None:
    where = device.require(config.run.device)
    try:
        check_precision("train", config.train.precision, where)
    except ValueError as e:
        raise DataError(str(e)) from None
    if config.run.threads is not None:
        device.set_threads(config.run.threads)
    else:
        share_threads()


def _check_criterion(name: str) -> None:
    from sentei.prune.importance import criterion

    criterion(name)


def train(config: Config, watch: Watch | None = None, words: str = "") -> RunResult:
    """Train a network and write its run folder.

    Args:
        config: what to do. watch: shows progress. words: the command line, for the report.
    Raises:
        SenteiError, ValueError: before any work, something is wrong with the settings or the data.
        NonFiniteError: numbers blew up. InterruptedRunError: Ctrl-C.
    """
    return start(plan(config, "train"), watch, words)


def prune(config: Config, watch: Watch | None = None, words: str = "") -> RunResult:
    """Prune the network in config.model.file and write a run folder; arguments as `train`.

    Raises:
        As `train`; and TargetUnreachableError, VerificationError.
    """
    return start(plan(config, "prune"), watch, words)


def start(made: Plan, watch: Watch | None = None, words: str = "") -> RunResult:
    """Carry out a plan."""
    world = world_of(made.command)
    if world.rank:
        run: RunDir = FollowingRun(made.run_dir)
    else:
        run = RunDir.create(made.run_dir, made.command, made.config, words)
    with run.claimed():
        if made.command == "prune":
            if made.config.model.file is None:  # not trained: its notes are still to be made
                made.model.meta["data"] = made.images.about()
            io.save(made.model, run.model)  # the folder is complete, whatever becomes of the file
        return _go(
            Session(run, made.config, made.images, watch or Watch(), made.command, world=world)
        )


def resume(run_dir: str | os.PathLike[str], watch: Watch | None = None) -> RunResult:
    """Go on with a run that was stopped; the result is bit for bit that of a run that was not.

    Raises:
        RunDirError: no run lies there, or it is finished. Others as `train`.
    """
    run = RunDir.reopen(run_dir)
    world = world_of(run.read_plan()["command"])
    if world.rank:
        run = FollowingRun(run_dir)
    with run.claimed():
        return _resume(run, watch, world)


def _resume(run: RunDir, watch: Watch | None, world: World) -> RunResult:
    run.mend()
    what = run.read_plan()
    command = what["command"]
    if command not in ("train", "prune", "demo"):
        raise RunDirError(
            f"run folder: {run.plan} must be of train, prune or demo, got {command!r}"
        )
    if what.get("finished"):
        raise RunDirError(
            f"run folder: {run.path} must hold an unfinished run, this one is finished"
        )
    config = make_config(read_toml(run.config))
    _use_machine(config)
    check_ranks(config, command)
    meta: dict[str, Any] = {}
    if run.model.is_file():
        meta = io.load(run.model).meta
    elif config.model.file is not None:
        start_of = run.checkpoint if run.checkpoint.is_file() else config.model.file
        meta = io.load(start_of).meta
    images = images_for(meta, config.data, config.run.seed, scaled=False)
    return _go(Session(run, config, images, watch or Watch(), command, resumed=True, world=world))


def _go(session: Session) -> RunResult:
    run = session.run
    try:
        with session.interrupt, as_one(session.world):
            return _stages(session)
    except KeyboardInterrupt:
        with suppress(OSError):
            run.event("interrupted")
        raise InterruptedRunError(run.path, session.stored()) from None
    except Exception as e:
        with suppress(OSError):  # a full disk must not hide what went wrong
            run.event("failed", error=str(e))
        raise
    finally:
        session.watch.close()


def _stages(session: Session) -> RunResult:
    run = session.run
    session.start = time.perf_counter()
    run.event("session", resumed=session.resumed, command=session.command)
    pruning = session.command == "prune"
    model = io.load(run.model).to(session.device) if pruning else train_stage(session)
    counters = traffic(session.world)
    if session.world.rank:
        rest(session.world)  # rank 0 measures and writes
        return RunResult(run.path, {}, model, None, ())
    pruned: Model | None = None
    if session.command in ("prune", "demo"):
        pruned = prune_stage(session, model)
    report = dict(build_report(session, model, pruned))
    if counters is not None:
        report["cluster"] = counters
    write_report(run.path, report)
    run.write_metrics()
    session.drop_checkpoint()
    run.event("finished")
    run.write_plan({**run.read_plan(), "finished": True})
    rest(session.world)
    return RunResult(run.path, _from_json(run), model, pruned, tuple(failures(report)))


def _from_json(run: RunDir) -> dict[str, Any]:
    import json

    found: Mapping[str, Any] = json.loads((run.path / "report.json").read_text(encoding="utf-8"))
    return dict(found)
