"""One trial: a network pruned, or trained from scratch, for the same number of steps, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentei import io
from sentei.device import require
from sentei.errors import DataError
from sentei.graph import Graph
from sentei.init import initialise
from sentei.model import Model
from sentei.optim import Constant, Cosine, Schedule
from sentei.passes import costs
from sentei.prune import importance
from sentei.prune.iterative import IterativePruner, PruneStep
from sentei.prune.trust import ranking_trust
from sentei.prune.units import pruning_map
from sentei.train import Trainer, recalibrate_bn
from sentei.workflow.compare.plan import Comparison, Trial, uniform_graph
from sentei.workflow.factory import (
    make_loss,
    make_model,
    make_optimizer,
    make_regularizers,
    make_schedule,
)
from sentei.workflow.quality import judged

__all__ = ["Outcome", "Workshop"]

Tell = Callable[[str], None]
_CHUNK = 20  # steps between two looks at the progress


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. flops, params: what remains; steps: of training in all; rounds: of pruning.

    score: on the test images at the last step. right_after: before the steps that follow the rounds.
    trust: rank correlation of two halves of the scored images, on the network before pruning.
    """

    kind: str
    criterion: str
    target: str
    seed: int
    state: str
    score: float | None = None
    loss: float | None = None
    flops: int = 0
    params: int = 0
    widths: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    rounds: int = 0
    right_after: float | None = None
    trust: float | None = None
    max_abs_diff: float | None = None
    seconds: float = 0.0
    error: str = ""

    @property
    def trial(self) -> Trial:
        return Trial(self.kind, self.criterion, self.target, self.seed)


def _widths(graph: Graph) -> dict[str, int]:
    found = {}
    for node in graph.nodes:
        if node.op.name in ("conv2d", "linear"):
            spec = graph.values[str(node.input("w"))].spec
            assert spec is not None
            found[node.name] = spec.shape[0]
    return found


class Workshop:
    """Makes the networks of a comparison; those that others start from lie in a folder."""

    def __init__(self, comparison: Comparison, folder: Path) -> None:
        self.plan, self.config = comparison, comparison.config
        self.folder = folder
        self._device = require(self.config.run.device)
        self._tell: Tell = lambda text: None

    def run(self, trial: Trial, tell: Tell) -> Outcome:
        """Make and judge the network of a trial."""
        self._tell = tell
        start = time.perf_counter()
        notes: dict[str, Any] = {}
        if trial.kind == "pruned":
            model, notes = self._pruned(trial)
        elif trial.kind == "unpruned":
            model = self._after(self.base(trial.seed), trial.seed, self.plan.after)
        else:
            model = self._from_scratch(trial)
        score, loss = self._judge(model)
        model.meta["data"] = self.plan.images.about()
        model.meta["train"] = self.config.train.model_dump(exclude_none=True)
        io.save(model, self.folder / trial.file)
        c = model.costs()
        steps = self.plan.first + self.plan.after
        return Outcome(
            **trial.__dict__, state="done", score=score, loss=loss, flops=c.flops, params=c.params,
            widths=_widths(model.graph), steps=steps, seconds=time.perf_counter() - start, **notes,
        )  # fmt: skip

    # -- networks ------------------------------------------------------------------------------
    def base(self, seed: int) -> Model:
        """The network that is pruned: the given one, or one trained with this seed."""
        if self.plan.from_file:
            return self.plan.model.to(self._device).copy()
        path = self.folder / f"base-seed{seed}.safetensors"
        if path.is_file():
            return io.load(path).to(self._device)
        model = make_model(self.config.model, self.plan.images, seed).to(self._device)
        self._first(model, seed, "training the network to prune")
        model.meta["data"] = self.plan.images.about()
        io.save(model, path)
        return model

    def _from_scratch(self, trial: Trial) -> Model:
        if trial.kind == "uniform":
            p = self.config.prune
            graph = uniform_graph(self.plan.model.graph, self.plan.target(trial.target), p)
        else:
            twin = Trial("pruned", trial.criterion, trial.target, trial.seed)
            path = self.folder / twin.file
            if not path.is_file():
                raise DataError(f"the pruning by {trial.criterion} failed, so there is no network")
            graph = io.load(path).graph
        tensors = initialise(graph, self.plan.init, seed=trial.seed)
        meta = {k: v for k, v in self.plan.model.meta.items() if k in ("network", "classes")}
        model = Model(graph.copy(), tensors, meta).to(self._device)
        self._first(model, trial.seed, "from scratch")
        return self._after(model, trial.seed, self.plan.after)

    def _pruned(self, trial: Trial) -> tuple[Model, dict[str, Any]]:
        p, s, images = self.config.prune, self.config.train, self.plan.images
        base = self.base(trial.seed)
        for key in ("history", "scores", "prune"):
            base.meta.pop(key, None)
        trainer = self._trainer(base, trial.seed, p.lr or s.lr, Constant())
        original, target = costs(base.graph), self.plan.target(trial.target)
        pixels, labels = images.sample(p.score_images, trial.seed)
        options: dict[str, Any] = {"include": p.include, "ignore": p.ignore, "floor": p.floor}
        trust = None
        if importance.criterion(trial.criterion).needs != "weights":
            trust = ranking_trust(
                base, pruning_map(base.graph, **options), trial.criterion,
                normalize=p.normalize or None, images=pixels, labels=labels, loss=trainer.loss,
            ).overall  # fmt: skip

        def on_step(step: PruneStep, now: Model, current: Any) -> None:
            self._tell(f"{2 * step.macs / original.flops:.1%} of FLOPs left")

        result = IterativePruner(
            base, target, criterion=trial.criterion, normalize=p.normalize or None,
            trainer=trainer, train=images.training(s.batch, trial.seed), score_images=pixels,
            score_labels=labels, retrain_steps=p.retrain_steps, per_round=p.per_round,
            score_batch=min(100, len(pixels)), on_step=on_step, **options,
        ).run()  # fmt: skip
        done = int(result.trainer.step)
        cut = self._judge(result.model)[0]
        model = self._after(result.trainer.model, trial.seed, self.plan.after - done)
        rounds = (
            done // p.retrain_steps if p.retrain_steps else -(-len(result.steps) // p.per_round)
        )
        notes = {
            "rounds": rounds,
            "right_after": cut,
            "trust": trust,
            "max_abs_diff": result.max_abs_diff,
        }
        return model, notes

    # -- training ------------------------------------------------------------------------------
    def _trainer(self, model: Model, seed: int, lr: float, schedule: Schedule) -> Trainer:
        s = self.config.train
        return Trainer(
            model, make_optimizer(s, lr), make_loss(s), batch=s.batch, seed=seed, schedule=schedule,
            regularizers=make_regularizers(s.regularizers), precision=s.precision,
        )  # fmt: skip

    def _steps(self, trainer: Trainer, count: int, words: str) -> None:
        data = self.plan.images.training(self.config.train.batch, trainer.seed)
        for done in range(0, count, _CHUNK):
            self._tell(f"{words}, step {done:,} of {count:,}")
            trainer.steps(data, min(_CHUNK, count - done))

    def _first(self, model: Model, seed: int, words: str) -> None:
        """The steps before pruning, by the settings' schedule."""
        s, count = self.config.train, self.plan.first
        trainer = self._trainer(model, seed, s.lr, make_schedule(s, count))
        self._steps(trainer, count, words)

    def _after(self, model: Model, seed: int, count: int) -> Model:
        """The last steps: the step size falls to 0 by a cosine; then batch norm is measured."""
        p, s = self.config.prune, self.config.train
        if count > 0:
            lr = p.finetune_lr or p.lr or s.lr
            trainer = self._trainer(model, seed, lr, Cosine(count, per="step"))
            self._steps(trainer, count, "training on")
            model = trainer.model
        if p.recalibrate_bn:
            loader = self.plan.images.training(s.batch, self.config.run.seed)
            recalibrate_bn(model, loader, p.recalibrate_bn, s.batch, seed)
        return model

    def _judge(self, model: Model) -> tuple[float, float]:
        loader = self.plan.images.plain(self.plan.images.test)
        found = judged(model, loader, make_loss(self.config.train), loader.batch_size)[0]
        return float(found[self.plan.metric]), float(found["loss"])
