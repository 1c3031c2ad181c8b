"""Sensitivity analysis of a model file, in a run folder of its own that can be gone on with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sentei import device, io
from sentei.errors import DataError
from sentei.model import Model
from sentei.prune.importance import criterion
from sentei.prune.sensitivity import SHARES, SensitivityPoint, sensitivity, sensitivity_layers
from sentei.report.files import atomic_path
from sentei.report.schema import clean
from sentei.report.sensitivity import sensitivity_page
from sentei.train import evaluate
from sentei.train.interrupt import Interrupt
from sentei.workflow.config import Config
from sentei.workflow.datasets import Images, images_for
from sentei.workflow.factory import check_fits, check_task, make_loss, network_name, read_model
from sentei.workflow.run_dir import RunDir, RunDirError
from sentei.workflow.session import InterruptedRunError
from sentei.workflow.settings import make_config, read_toml

__all__ = ["Sensitivity", "plan_sensitivity", "resume_sensitivity", "run_sensitivity"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Sensitivity:
    """An analysis that has been checked and not begun; layers: groups of tied ones."""

    config: Config
    run_dir: Path
    images: Images
    model: Model
    shares: tuple[float, ...]
    layers: tuple[tuple[str, ...], ...]

    @property
    def count(self) -> int:
        """Networks to judge."""
        return 1 + len(self.layers) * len(self.shares)

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON data."""
        p = self.config.prune
        return {
            "network": network_name(self.model),
            "dataset": self.images.train.name,
            "criterion": p.criterion,
            "images": len(self.images.val),
            "score_images": min(p.score_images, len(self.images.train)),
            "shares": list(self.shares),
            "layers": [list(g) for g in self.layers],
        }


def plan_sensitivity(config: Config, shares: Sequence[float] = SHARES) -> Sensitivity:
    """Check everything; nothing is written.

    Raises:
        SenteiError, ValueError, FileNotFoundError: a setting or a file is wrong; no layer can be pruned.
    """
    device.require(config.run.device)
    if config.run.threads is not None:
        device.set_threads(config.run.threads)
    if config.model.file is None:
        raise DataError("sensitivity: model.file must be given, a file that `sentei train` wrote")
    criterion(config.prune.criterion)
    ordered = tuple(sorted(set(shares)))
    if not ordered or any(not 0 < s < 1 for s in ordered):
        raise DataError(f"sensitivity: shares must lie between 0% and 100%, got {list(shares)}")
    model = read_model(config.model.file)
    images = images_for(model.meta, config.data, config.run.seed)
    check_fits(model, images)
    check_task(config.train, images)
    p = config.prune
    layers = tuple(sensitivity_layers(model, include=p.include, ignore=p.ignore))
    if not layers:
        raise DataError("sensitivity: a layer must have channels that can be pruned, got none")
    place = RunDir.place(config, "sensitivity", network_name(model))
    return Sensitivity(config, place, images, model, ordered, layers)


def run_sensitivity(
    made: Sensitivity, progress: Progress | None = None, words: str = ""
) -> dict[str, Any]:
    """Carry an analysis out: report.html, report.json, events.jsonl.

    Returns:
        What report.json holds.
    Raises:
        InterruptedRunError: Ctrl-C; points that are known are kept.
    """
    run = RunDir.create(made.run_dir, "sensitivity", made.config, words)
    with run.claimed():
        io.save(made.model, run.model)  # the folder is complete, whatever becomes of the file
        run.write_plan({**run.read_plan(), "sensitivity": made.to_json(), "finished": False})
        return _carry_out(made, run, progress)


def resume_sensitivity(
    folder: str | os.PathLike[str], progress: Progress | None = None
) -> dict[str, Any]:
    """Go on with an analysis that was stopped.

    Raises:
        RunDirError: none lies there, or it is finished.
    """
    run = RunDir.reopen(folder)
    with run.claimed():
        run.mend()
        what = run.read_plan()
        kept = what.get("sensitivity")
        if what["command"] != "sensitivity" or not isinstance(kept, Mapping):
            raise RunDirError(
                f"run folder: {run.plan} must be of a sensitivity analysis, got {what['command']!r}"
            )
        if what.get("finished"):
            raise RunDirError(
                f"run folder: {run.path} must hold an unfinished run, this one is finished"
            )
        config = make_config(read_toml(run.config))
        config.run.run_dir = None
        config.model.file = str(run.model)
        made = replace(plan_sensitivity(config, kept["shares"]), run_dir=run.path)
        return _carry_out(made, run, progress)


def _known(run: RunDir) -> dict[Any, SensitivityPoint]:
    found = {}
    for e in run.read():
        if e.get("event") == "sensitivity":
            data = {k: v for k, v in e.items() if k not in ("event", "time")}
            point = SensitivityPoint(**{**data, "layers": tuple(data["layers"])})
            found[point.key] = point
    return found


def _carry_out(made: Sensitivity, run: RunDir, progress: Progress | None) -> dict[str, Any]:
    config, images = made.config, made.images
    p, loss = config.prune, make_loss(config.train)
    model = made.model.to(device.require(config.run.device))
    pixels, labels = images.sample(p.score_images, config.run.seed)
    loader = images.plain(images.val)
    points, interrupt = _known(run), Interrupt()

    def tell(text: str) -> None:
        if interrupt.asked:
            raise KeyboardInterrupt
        if progress is not None:
            progress(len(points), made.count, text)

    try:
        with interrupt:
            tell("scoring")
            for point in sensitivity(
                model,
                lambda m: evaluate(m, loader, loss, loader.batch_size),
                criterion=p.criterion,
                images=pixels,
                labels=labels,
                shares=made.shares,
                include=p.include,
                ignore=p.ignore,
                loss=loss,
                skip=lambda layers, share: (layers, share) in points,
            ):
                run.event("sensitivity", **point.to_json())
                points[point.key] = point
                tell(f"{' + '.join(point.layers) or 'whole network'} without {point.share:.0%}")
    except KeyboardInterrupt:
        run.event("interrupted")
        raise InterruptedRunError(run.path, run.events) from None
    whole = points.pop(((), 0.0))
    report = {
        "command": "sensitivity",
        **made.to_json(),
        "whole": whole.to_json(),
        "points": [points[g, s].to_json() for g in made.layers for s in made.shares],
    }
    with atomic_path(run.path / "report.json") as beside:
        beside.write_text(
            json.dumps(clean(report), indent=2, allow_nan=False) + "\n", encoding="utf-8"
        )
    with atomic_path(run.path / "report.html") as beside:
        beside.write_text(sensitivity_page(report), encoding="utf-8", newline="\n")
    run.event("finished")
    run.write_plan({**run.read_plan(), "finished": True})
    return report
