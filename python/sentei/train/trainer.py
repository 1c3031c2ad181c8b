"""Trainer: runs training steps of a model, watches over them, and can stop and go on anywhere."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import DataError
from sentei.io import load_checkpoint, save
from sentei.losses import CrossEntropy, Loss
from sentei.model import Model
from sentei.optim import Constant, Optimizer, Schedule
from sentei.passes import infer_specs
from sentei.regularizers import Regularizer
from sentei.train import state as state_of
from sentei.train.callbacks import Callback, Checkpoint
from sentei.train.evaluate import evaluate
from sentei.train.feed import Data, Feed, TrainingBatch
from sentei.train.interrupt import Interrupt
from sentei.train.leaving import Leaving
from sentei.train.logs import CsvLog, EventLog
from sentei.train.progress import Progress, Show, make_progress
from sentei.train.scoring import Scoring
from sentei.train.settling import Settling
from sentei.train.step import finite
from sentei.train.teaching import Teacher
from sentei.train.turns import build_steps, states_of
from sentei.train.world import ALONE, World

__all__ = ["Trainer"]

Keep = Mapping[tuple[str, int], NDArray[np.int64]]
CHECKPOINT = "checkpoint.safetensors"


class Trainer(Settling, Scoring, Leaving):
    """Trains a model in place with mini-batches of one size.

    Everything is a function of (model, data, settings, seed): the same run gives the same bits, and a
    run that was stopped and resumed gives those of one that was not.

    Args:
        model: its tensors change in place; where they are, the training is (Model.to).
        optimizer: SGD, AdaGrad, RMSprop, Adam, LBFGS, SemiSync or InTurns.
        loss: CrossEntropy() if None. schedule: of the step size; None: constant.
        batch: samples per step; an odd last mini-batch is left out in training.
        seed: of the order of the data and of dropout, in [0, 2**63).
        regularizers: terms added to the loss.
        callbacks: EarlyStopping, BestWeights, Checkpoint, or your own.
        run_dir: folder for metrics.csv, events.jsonl and checkpoint.safetensors; None: no files.
        precision: of the products of training; see sentei.passes.precision. Evaluation is
        in float32.
        teacher: the network that a Distillation learns from; frozen as it is now.
        scores: layers to score on the way (see `scores`), at next to no cost; more where neither the
        gradients of a batch norm nor of the layer itself give the sums.
        world: the processes that share every mini-batch (sentei.distributed); rank 0 writes files.
    Raises:
        GraphError, ShapeError: loss, regularizers or optimizer do not fit the model.

    On cuda the figures in `sums` follow `step` by some steps, but at the end of an epoch.
    """

    def __init__(
        self,
        model: Model,
        optimizer: Optimizer,
        loss: Loss | None = None,
        *,
        batch: int = 100,
        seed: int = 0,
        schedule: Schedule | None = None,
        regularizers: Sequence[Regularizer] = (),
        callbacks: Sequence[Callback] = (),
        run_dir: str | Path | None = None,
        precision: str = "float32",
        scores: Sequence[str] = (),
        teacher: Model | None = None,
        world: World = ALONE,
    ) -> None:
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise ValueError(f"Trainer: batch must be at least 1, got {batch!r}")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 63:
            raise ValueError(f"Trainer: seed must be a whole number in [0, 2**63), got {seed!r}")
        self._model, self.optimizer, self.loss = model, optimizer, loss or CrossEntropy()
        self.batch, self.seed, self.precision = batch, seed, precision
        self.schedule = schedule or Constant()
        self.scored_layers, self.scored_from = tuple(scores), 0
        self.regularizers = tuple(regularizers)
        self.world = world
        self.run_dir = None if run_dir is None or world.rank else Path(run_dir)
        self.callbacks: list[Callback] = list(callbacks)
        if self.run_dir is not None and not any(isinstance(c, Checkpoint) for c in self.callbacks):
            self.callbacks.append(Checkpoint())
        self.step, self.epoch, self.cursor = 0, 0, 0  # steps, epochs, steps of this epoch done
        self.sums: dict[str, float] = dict.fromkeys(
            ("loss", "objective", "correct", "steps", "seconds"), 0
        )  # of this epoch so far
        self.history: list[dict[str, Any]] = []
        self.stopped: str | None = None
        self.last_checkpoint: Path | None = None
        self.events: EventLog | None = None
        world.check(batch, optimizer, self.regularizers, self.scored_layers)
        rest = (precision, self.scored_layers, world, batch)
        self._steps = build_steps(model, self.loss, self.regularizers, optimizer, *rest)
        self.state_tensors: dict[str, Tensor] = states_of(self._steps)
        optimizer.start(model.tensors, self.state_tensors)
        self._outputs = infer_specs(model.graph, 1)[model.output].shape[-1]
        self._teacher = Teacher.of(teacher, model, self.loss, len(range(*world.rows(batch))))
        self._feed: tuple[Any, Feed] | None = None
        self._places: list[tuple[int, int, int]] = []  # steps whose figures are not read yet
        self._window: dict[str, float] | None = None  # sums of the current call of `steps`
        self.plan()

    # -- training ------------------------------------------------------------------------------
    def fit(
        self, train: Data, val: Data | None = None, *, epochs: int, progress: Show = "auto"
    ) -> list[dict[str, Any]]:
        """Train until `epochs` epochs have been done in all (those before a resume count).

        Args:
            train, val: Dataset, Loader or (samples, labels). val is evaluated after every epoch.
            progress: "auto", "rich", "plain" or "none".
        Returns:
            The history: one row per epoch, as in metrics.csv.
        Raises:
            NonFiniteError: the loss, or a parameter at a checkpoint, is not finite; names the step,
            the layer and the last good checkpoint, which stays. KeyboardInterrupt: after Ctrl-C, when
            the step is done and, with a run_dir, a checkpoint is written.
        """
        feed, show = self._feed_of(train), make_progress(progress)
        self.world.share({**self._model.tensors, **self.state_tensors})
        table = None
        if self.run_dir is not None:
            table = CsvLog(self.run_dir / "metrics.csv")
            self.events = EventLog(self.run_dir / "events.jsonl")
            table.rewrite(self.history)
        self._event("fit", step=self.step, epoch=self.epoch, epochs=epochs, seed=self.seed)
        for c in self.callbacks:
            c.on_fit_start(self)
        with Interrupt() as interrupt:
            try:
                total = sum(feed.steps(e) for e in range(self.epoch, epochs)) - self.cursor
                show.start(self.step + max(total, 0), self.step)
                while self.epoch < epochs and self.stopped is None:
                    self._epoch(feed, interrupt, show)
                    row = self._end_epoch(val)
                    show.epoch(row, epochs)
                    if table is not None:
                        table.append(self.history)
                    for c in self.callbacks:
                        c.on_epoch_end(self, row)
                    self._heed(interrupt)
            finally:
                show.close()
                self.settle()
        if self.stopped is not None:
            show.note(f"stopped after epoch {self.epoch}: {self.stopped}")
        for c in self.callbacks:
            c.on_fit_end(self)
        self._event("fit_end", step=self.step, epoch=self.epoch, stopped=self.stopped)
        return self.history

    def steps(self, dataset: Data, n: int) -> dict[str, float]:
        """Run exactly n training steps, going on in the data where the last call stopped.

        Returns:
            Mean loss (and accuracy) over these steps. Nothing is logged, no callback is called.
        """
        if n < 0:
            raise ValueError(f"steps: n must not be negative, got {n}")
        feed = self._feed_of(dataset)
        self._collect()
        window: dict[str, float] = dict.fromkeys(self.sums, 0)
        self._window = window
        try:
            with Interrupt() as interrupt:
                for _ in range(n):
                    if self.cursor >= feed.steps(self.epoch):
                        self._turn()
                    self._one(feed.batch(self.epoch, self.cursor))
                    if self.cursor >= feed.steps(self.epoch):
                        self._turn()
                    self._heed(interrupt)
                self._collect()
        finally:
            self._window = None
            self.settle()
        return self._means(window)

    def stop(self, reason: str) -> None:
        """End `fit` after this epoch (for callbacks)."""
        self.stopped = reason

    def _epoch(self, feed: Feed, interrupt: Interrupt, show: Progress) -> None:
        """The rest of the current epoch."""
        start, before = time.perf_counter(), self.step
        if self.cursor > feed.steps(self.epoch):  # other data than before, with a shorter epoch
            self.cursor = 0
        for made in feed.epoch(self.epoch, self.cursor):
            self._one(made)
            spent = time.perf_counter() - start
            rate = (self.step - before) * self.batch / max(spent, 1e-9)
            show.step(self.step, self._means(self.sums), rate)
            for c in self.callbacks:
                c.on_step_end(self)
            if self.world.any(interrupt.asked):
                self.sums["seconds"] += spent
                self._leave()
        self._collect()
        self.world.agree(self._model.tensors)
        self.sums["seconds"] += time.perf_counter() - start
        self.epoch, self.cursor = self.epoch + 1, 0

    def _turn(self) -> None:
        """The next epoch begins."""
        self._collect()
        self.epoch, self.cursor = self.epoch + 1, 0
        self.sums.update(dict.fromkeys(self.sums, 0))

    def _feeds(self, made: TrainingBatch) -> dict[str, Any]:
        x, labels = made
        self._runner.turn = turn = self.step % self.optimizer.turns
        lr = self.schedule(self.optimizer.of_turn(turn).lr, self.step, self.epoch)
        feeds: dict[str, Any] = {
            self._model.input: x,
            self.loss.takes: self.loss.truth(labels, self._outputs),
            Optimizer.LR: np.array([lr], np.float32),
        }
        if self._teacher is not None:
            feeds[str(self.loss.teacher)] = self._teacher.logits(x)
        if "rng" in self._runner.inputs:
            feeds["rng"] = np.array([self.seed, self.step], np.int64)
        return feeds

    def _one(self, made: TrainingBatch) -> None:
        """One step; its figures are read when they are due."""
        if not self._runner.step(self._feeds(made)):
            self._not_finite(self._runner.figures().total)
        self._ahead = True
        self._places.append((self.epoch, self.cursor, self.step))
        self.step, self.cursor = self.step + 1, self.cursor + 1
        self.stopped = self.stopped or self._runner.stuck
        if self._runner.due:
            self._collect()

    def _collect(self) -> None:
        """Read the figures of the steps made since the last time and add them up."""
        places, self._places = self._places, []
        for i, found in enumerate(self._runner.read()):
            if not math.isfinite(found.total):
                self._go_back(places[: i + 1])
                self._not_finite(found.total)
            for sums in (self.sums, self._window):
                if sums is not None:
                    found.add_to(sums)

    def _go_back(self, places: Sequence[tuple[int, int, int]]) -> None:
        """Make all but the last of these steps again and feed the last, which was not finite."""
        assert self._feed is not None
        runner, feed = self._runner, self._feed[1]

        def fed(place: tuple[int, int, int]) -> dict[str, Any]:
            self.epoch, self.cursor, self.step = place
            return self._feeds(feed.batch(self.epoch, self.cursor))

        runner.rewind()
        self._ahead = True
        for place in places[:-1]:
            runner.step(fed(place))
        runner.feed(fed(places[-1]))
        runner.read()

    def _means(self, sums: Mapping[str, float]) -> dict[str, float]:
        n = sums["steps"]
        if not n:
            return {}
        means = {"loss": sums["loss"] / n}
        if self._step.correct is not None:
            means["accuracy"] = sums["correct"] / (n * self.batch)
        if self.regularizers:
            means["objective"] = sums["objective"] / n
        return means

    def _end_epoch(self, val: Data | None) -> dict[str, Any]:
        seconds, steps = self.sums["seconds"], self.sums["steps"]
        lr = self.schedule(self.optimizer.lr, max(self.step - 1, 0), self.epoch - 1)
        row: dict[str, Any] = {
            "epoch": self.epoch,
            "step": self.step,
            "lr": lr,
            **self._means(self.sums),
        }
        self.sums.update(dict.fromkeys(self.sums, 0))
        if val is not None:
            row.update({f"val_{k}": v for k, v in self.evaluate(val).items()})
        row["seconds"] = round(seconds, 4)
        row["images_per_s"] = round(steps * self.batch / max(seconds, 1e-9), 1)
        self.history.append(row)
        self._event("epoch", **row)
        return row

    # -- judging -------------------------------------------------------------------------------
    def evaluate(self, dataset: Data) -> dict[str, float]:
        """Loss and accuracy (or regression metrics) in inference mode; see train.evaluate."""
        return evaluate(self.model, dataset, self.loss, self.batch, self.world)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (N, K) in inference mode."""
        return self.model.predict(images, self.batch)

    # -- stopping and going on -----------------------------------------------------------------
    def save_checkpoint(self, path: str | Path | None = None) -> Path:
        """Write a checkpoint (None: into run_dir) and return its path.

        Raises:
            NonFiniteError: a parameter or statistic is not finite; the file before stays.
        """
        if path is None and self.run_dir is None and not self.world.rank:
            raise DataError("save_checkpoint: path must be given for a trainer without run_dir")
        self._collect()
        for name, t in self.model.tensors.items():  # on every rank: all have the same bits
            if not finite(t):
                self._fail(f"{name} after step {self.step} is not", f"the parameter {name!r}")
        if self.world.rank:
            return Path(path or CHECKPOINT)
        target = Path(path) if path is not None else Path(self.run_dir or ".") / CHECKPOINT
        target.parent.mkdir(parents=True, exist_ok=True)
        save(self.model, target, *state_of.pack(self))
        self.last_checkpoint = target
        return target

    @classmethod
    def resume(
        cls,
        checkpoint: str | Path,
        *,
        optimizer: Optimizer | None = None,
        loss: Loss | None = None,
        schedule: Schedule | None = None,
        regularizers: Sequence[Regularizer] | None = None,
        callbacks: Sequence[Callback] = (),
        run_dir: str | Path | None = None,
        device: str = "cpu",
        precision: str | None = None,
        teacher: Model | None = None,
        world: World = ALONE,
    ) -> Trainer:
        """A trainer that goes on from a checkpoint, bit for bit, given the same data and device.

        Settings are those of the checkpoint unless given; classes of your own and a teacher must be.
        Callbacks take back their state when they are the same kinds in the same order.

        Raises:
            DataError: the file is damaged or holds no training state.
        """
        model, state, tensors = load_checkpoint(checkpoint)
        if state is None:
            raise DataError(f"resume: {checkpoint} must be a checkpoint, got a model alone")
        given = {"optimizer": optimizer, "loss": loss, "schedule": schedule}
        try:
            found = state_of.settings(state, {**given, "regularizers": regularizers})
            if precision is not None:
                found["precision"] = precision
            trainer = cls(
                model.to(device),
                **found,
                callbacks=callbacks,
                run_dir=run_dir,
                teacher=teacher,
                world=world,
            )
            state_of.restore(trainer, state, tensors)
        except (TypeError, ValueError) as e:
            raise DataError(f"resume: {checkpoint} must fit together: {e}") from e
        trainer.last_checkpoint = Path(checkpoint)
        return trainer

    def replaced(self, model: Model, keep: Keep) -> Trainer:
        """A trainer for the pruned form of this model.

        Step counter, place in the data, schedule and seed go on; optimizer states are cut as their
        parameters were; the groups of semi-synchronous layers are made anew.

        Args:
            model: the pruned model. keep: per (parameter, axis) the indices that stayed.
        """
        self._collect()
        self.optimizer.materialise(self.state_tensors)
        new = copy(self)
        new._model, new._made, new._steps = model, None, state_of.pruned_steps(self, model, keep)
        new.state_tensors, new.scored_from = states_of(new._steps), self.step
        new._outputs = infer_specs(model.graph, 1)[model.output].shape[-1]
        new.sums, new.history, new.stopped = dict(self.sums), list(self.history), None
        new.callbacks, new._places, new._window = list(self.callbacks), [], None
        new._ahead = False
        for c in new.callbacks:
            c.reset()
        if keep:  # else it is a copy, which may never make a step
            new.plan()
        return new

    # -- inside --------------------------------------------------------------------------------
    def _feed_of(self, data: Data) -> Feed:
        if self._feed is None or self._feed[0] is not data:
            self._collect()
            self._feed = (data, Feed(data, self.batch, self.seed, self._model.device, self.world))
        return self._feed[1]
