"""One trial: an arm with a seed, from initial weights to its figures."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sentei import io
from sentei.errors import NonFiniteError
from sentei.model import Model
from sentei.nn import models
from sentei.optim import SGD, InTurns
from sentei.passes import costs
from sentei.prune import (
    Closing,
    IterativePruner,
    Target,
    attach_blocks,
    attach_gates,
    close_gates,
    fold_blocks,
)
from sentei.regularizers import OpenGates, Regularizer
from sentei.train import Callback, Trainer, evaluate
from sentei.workflow.reproduce.data import Parts
from sentei.workflow.reproduce.scale import Scale
from sentei.workflow.reproduce.spec import Arm, Gates, Scores, Setting, Table

__all__ = ["Trial", "run_trial"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """A finished trial. values: percent by column. state: done or diverged (why: error).

    images_per_s: of training, None when the network was there already.
    """

    arm: str
    seed: int
    state: str
    values: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    images_per_s: float | None = None
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class _Teller(Callback):
    """Tells where training is."""

    def __init__(self, tell: Tell, words: str, epochs: int) -> None:
        self._tell, self._words, self._epochs = tell, words, epochs

    def on_step_end(self, trainer: Trainer) -> None:
        self._tell(f"{self._words}, epoch {trainer.epoch + 1} of {self._epochs}")

    def on_epoch_end(self, trainer: Trainer, row: Mapping[str, Any]) -> None:
        words = f"{self._words}, epoch {row['epoch']} of {self._epochs}  loss {row['loss']:.4f}"
        self._tell(words)


@dataclass
class _Bench:
    """What the steps of a trial share."""

    table: Table
    parts: Parts
    scale: Scale
    folder: Path
    device: str
    seed: int
    tell: Tell

    def accuracy(self, model: Model, setting: Setting) -> float:
        """Of the test images, in percent."""
        loader = self.parts.testing(setting.batch)
        return 100 * evaluate(model, loader, setting.loss, loader.batch_size)["accuracy"]

    def trained(self, setting: Setting) -> tuple[Model, float | None]:
        """The network of a setting and this seed: of the folder, or trained now; and images/s."""
        setting = self.scale.setting(setting)
        kept = self.folder / "networks" / f"{setting.key()}-{self.seed}.safetensors"
        if kept.is_file():
            return io.load(kept).to(self.device), None
        made = models.build(
            setting.network,
            self.table.data.input_shape,
            self.table.data.classes,
            seed=self.seed,
            init=setting.init,
            **setting.options,
        ).to(self.device)
        trainer = self.fit(made, setting, kept.stem)
        kept.parent.mkdir(parents=True, exist_ok=True)
        io.save(trainer.model, kept)
        self.drop(kept.stem)
        seconds = sum(r["seconds"] for r in trainer.history)
        images = trainer.step * setting.batch
        return trainer.model, images / max(seconds, 1e-9)

    def fit(
        self,
        model: Model,
        setting: Setting,
        name: str,
        optimizer: Any = None,
        terms: tuple[Regularizer, ...] = (),
    ) -> Trainer:
        """Train, or go on with a training that was interrupted; it leaves checkpoints on its way."""
        folder = self.folder / "training" / name
        checkpoint = folder / "checkpoint.safetensors"
        teller = _Teller(self.tell, f"training {setting.network}", setting.epochs)
        if checkpoint.is_file():
            trainer = Trainer.resume(
                checkpoint, callbacks=[teller], run_dir=folder, device=self.device
            )
        else:
            trainer = Trainer(
                model,
                optimizer or setting.optimizer,
                setting.loss,
                batch=setting.batch,
                seed=self.seed,
                schedule=setting.schedule,
                regularizers=(*setting.regularizers, *terms),
                callbacks=[teller],
                run_dir=folder,
            )
        train = self.parts.training(setting, self.seed)
        trainer.fit(train, epochs=setting.epochs, progress="none")
        return trainer

    def drop(self, name: str) -> None:
        """Remove the checkpoints of a training that is over."""
        shutil.rmtree(self.folder / "training" / name, ignore_errors=True)


def run_trial(
    table: Table,
    arm: Arm,
    seed: int,
    parts: Parts,
    scale: Scale,
    folder: Path,
    device: str,
    tell: Tell,
) -> Trial:
    """Train (and prune) an arm; a loss that is not finite is a result, not an error.

    Args:
        folder: of the run; trained networks are kept there, as arms with one setting share them.
    """
    bench = _Bench(table, parts, scale, folder, device, seed, tell)
    start = time.perf_counter()
    values: dict[str, float] = {}
    rate = None
    try:
        model, rate = bench.trained(arm.setting)
        values["0 %" if arm.prune else "accuracy"] = bench.accuracy(model, arm.setting)
        prune = scale.prune(arm.prune)
        if isinstance(prune, Scores):
            values.update(_by_scores(bench, model, arm.setting, prune))
        elif isinstance(prune, Gates):
            values.update(_by_gates(bench, model, arm, prune))
    except NonFiniteError as e:
        words = " ".join(str(e).split())
        seconds = time.perf_counter() - start
        return Trial(arm.name, seed, "diverged", {}, seconds, rate, words)
    return Trial(arm.name, seed, "done", values, time.perf_counter() - start, rate)


def _by_scores(bench: _Bench, model: Model, setting: Setting, prune: Scores) -> dict[str, float]:
    """Accuracy at every level, one pruning that goes on from level to level."""
    optimizer = prune.optimizer or setting.optimizer
    trainer = Trainer(
        model,
        optimizer,
        setting.loss,
        batch=setting.batch,
        seed=bench.seed,
        regularizers=setting.regularizers,
    )
    count = bench.scale.scored(prune, len(bench.parts.train))
    images, labels = bench.parts.sample(count)
    original, values = costs(model.graph), {}
    steps: tuple[Any, ...] = ()
    train = bench.parts.training(setting, bench.seed)
    for column, remains in prune.levels.items():
        pruner = IterativePruner(
            trainer.model,
            Target(flops=remains),
            prune.criterion,
            prune.normalize,
            trainer,
            train,
            score_images=images,
            score_labels=labels,
            score_batch=min(100, len(images)),
            retrain_steps=prune.retrain,
            on_step=lambda step, now, _: bench.tell(
                f"removed {step.layer}[{step.channel}], "
                f"{step.macs / original.macs:.1%} of the FLOPs left"
            ),
            history=steps,
            original=original,
        )
        result = pruner.run()
        trainer, steps = result.trainer, result.steps
        values[column] = bench.accuracy(trainer.model, setting)
    return values


def _by_gates(bench: _Bench, model: Model, arm: Arm, prune: Gates) -> dict[str, float]:
    """Accuracy without the closed filters, and the share of the FLOPs that went with them."""
    original = costs(model.graph)
    if prune.method == "block":
        gated = attach_blocks(model, seed=bench.seed, **prune.model_options)
    else:
        kind = "step" if prune.method == "autoprune" else "sigmoid"
        gated = attach_gates(model, kind, **prune.model_options)  # type: ignore[arg-type]
    gates = SGD(prune.gates_lr, momentum=prune.gates_momentum)
    setting = Setting(
        arm.setting.network, prune.epochs, prune.optimizer, batch=arm.setting.batch,
        loss=arm.setting.loss, regularizers=arm.setting.regularizers,
    )  # fmt: skip
    name = f"gates-{prune.method}-{bench.scale.setting(arm.setting).key()}-{bench.seed}"
    turns = InTurns(prune.optimizer, gates)
    trainer = bench.fit(gated, setting, name, turns, (OpenGates(prune.lam),))
    closed = close_gates(trainer.model, Closing(prune.threshold), original)
    smaller = fold_blocks(closed.model) if prune.method == "block" else closed.model
    found = {
        "accuracy": bench.accuracy(smaller, arm.setting),
        "FLOPs removed": 100 * (1 - costs(smaller.graph).flops / original.flops),
    }
    bench.drop(name)
    return found
