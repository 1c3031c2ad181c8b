"""Iterative pruning: score, remove the least channels physically, retrain, until the target is met."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sentei.errors import SenteiError
from sentei.model import Model
from sentei.passes import Costs, costs
from sentei.prune import importance
from sentei.prune.gauge import Gauge, gauge_of
from sentei.prune.guard import Rollback
from sentei.prune.loop import Loop
from sentei.prune.preview import preview
from sentei.prune.scores import LayerScores
from sentei.prune.step import PARTS, PruneStep
from sentei.prune.surgery import Keep
from sentei.prune.target import SIZES, Target

__all__ = [
    "PARTS",
    "IterativePruner",
    "PruneResult",
    "PruneStep",
    "TargetUnreachableError",
    "Trains",
    "operating_points",
]


class TargetUnreachableError(SenteiError, ValueError):
    """The target is below the smallest network that floors and ignored layers allow."""


class Trains(Protocol):
    """What the pruner needs of a trainer (sentei.train.Trainer has it)."""

    scored_layers: tuple[str, ...]

    @property
    def model(self) -> Model:
        """What is trained, up to date."""

    def steps(self, dataset: Any, n: int) -> Mapping[str, float]:
        """Run exactly n training steps, going on where the last call stopped."""

    def replaced(self, model: Model, keep: Keep) -> Trains:
        """A trainer for the pruned model: optimizer state sliced, counters carried over."""

    def evaluate(self, dataset: Any) -> Mapping[str, float]:
        """Loss and accuracy in inference mode."""

    def scores(self, name: str, *, normalize: float | None) -> tuple[LayerScores, ...]:
        """Scores of `scored_layers` that its steps have gathered."""


@dataclass(frozen=True)
class PruneResult:
    """The pruned model and how it came about. The model that was given is unchanged.

    stopped: None where the size was met (or max_drop alone has found its network); else why pruning
    ended before: max_drop (more would cost too much), protected (rollbacks protect all that is left),
    floor (nothing is left to remove). gauge: the value of the result in the measure of the target.
    reference, accuracy: on `val` before any removal and of the result, where the target has a max_drop.
    """

    model: Model
    original: Costs
    final: Costs
    target: Target
    steps: tuple[PruneStep, ...]
    scores: tuple[LayerScores, ...]  # of the last round
    max_abs_diff: float  # largest masked-versus-pruned difference of all removals
    verified: bool  # every removal was compared; False: there was none
    seconds: float
    parts: Mapping[str, float]  # seconds of this call by what they went into (PARTS)
    trainer: Any = field(repr=False, default=None)
    stopped: str | None = None
    gauge: Gauge | None = field(repr=False, default=None)
    reference: float | None = None
    accuracy: float | None = None
    rollbacks: tuple[Rollback, ...] = ()  # of this call


@dataclass
class IterativePruner:
    """Remove the channel of least score in the whole network, retrain, and again.

    model: stays as it is; the result holds a new one. With a trainer it must be the trainer's.
    target: prune.Target. criterion: a name in prune.CRITERIA. normalize: p of the Lp normalisation
    over each layer's channels (None: raw scores).
    trainer: retrains between removals (sentei.train.Trainer); None: no retraining. train: data set
    for scores and retraining. val: data set for the accuracy in the record, every `evaluate_every` steps.
    retrain_steps: training steps after each round. per_round: channels removed before scoring again.
    score_images, score_labels: the samples to score on, by the trainer's loss (softmax cross-entropy
    without one). scores_from: "pass", or "training": by what the retraining steps gathered (criteria
    first and oracle; the trainer's `scores` must name the layers); the first time by a pass.
    analysis: gather mean features and gradients of what goes and stays; None: where the criterion's
    maps have them anyway (robust, trace).
    include, ignore, floor: see prune.preview. round_to: widths end at multiples of it (blocks of channels
    go together), where a layer is cut at all; 1: any width.
    rollback: accuracy points on `val` that a round with its retraining may cost; one that costs more is
    undone and its channels are protected. patience: of a target with max_drop, evaluations in a row that
    may break it before pruning goes back to the last network that kept it.
    on_step: called with (PruneStep, model, trainer) after each removal and its retraining; the model is
    trained and cut further: copy it to keep it.
    on_rollback: called with (Rollback, model, trainer) when a round is undone. on_good: with a trainer,
    a copy, whose model keeps max_drop.
    history: steps already done, when an interrupted run goes on; original: costs before those. notes:
    meta["pruning"] of the interrupted model; good: what on_good got last. baseline: the unpruned
    network, which memory and latency are told against; the model where history is empty.

    Source: methods section 5; one channel a round with retraining in between is the default.
    """

    model: Model
    target: Target
    criterion: str = "robust"
    normalize: float | None = 1.0
    trainer: Trains | None = None
    train: Any = None
    val: Any = None
    score_images: NDArray[np.float32] | None = None
    score_labels: NDArray[Any] | None = None
    retrain_steps: int = 20
    per_round: int = 1
    evaluate_every: int = 1
    include: Sequence[str] = ("conv2d",)
    ignore: Sequence[str] = ()
    floor: int = 1
    score_batch: int = 100
    scores_from: Literal["pass", "training"] = "pass"
    analysis: bool | None = None
    on_step: Callable[[PruneStep, Model, Any], None] | None = None
    history: Sequence[PruneStep] = ()
    original: Costs | None = None
    round_to: int = 1
    rollback: float | None = None
    patience: int = 3
    on_rollback: Callable[[Rollback, Model, Any], None] | None = None
    on_good: Callable[[Any], None] | None = None
    notes: Mapping[str, Any] | None = None
    good: Any = None
    baseline: Model | None = None

    def __post_init__(self) -> None:
        if self.per_round < 1:
            raise ValueError(f"IterativePruner: per_round must be at least 1, got {self.per_round}")
        if self.retrain_steps < 0:
            raise ValueError(
                f"IterativePruner: retrain_steps must not be negative, got {self.retrain_steps}"
            )
        if self.trainer is not None and self.retrain_steps and self.train is None:
            raise ValueError("IterativePruner: train must be given when a trainer retrains")
        if self.scores_from not in ("pass", "training"):
            raise ValueError(
                f"IterativePruner: scores_from must be pass or training, got {self.scores_from!r}"
            )
        if self.scores_from == "training":
            if self.trainer is None or not self.retrain_steps:
                raise ValueError("IterativePruner: a trainer must retrain to score in training")
            if not importance.criterion(self.criterion).sum_only:
                raise ValueError(
                    f"IterativePruner: criterion must be first or oracle in training, got {self.criterion!r}"
                )
        if self.trainer is not None and self.trainer.model is not self.model:
            raise ValueError("IterativePruner: model must be trainer.model, got another one")
        for name, least in (("round_to", 1), ("patience", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"IterativePruner: {name} must be at least {least}, got {getattr(self, name)}"
                )
        if self.rollback is not None and not 0 <= self.rollback < 100:
            raise ValueError(
                f"IterativePruner: rollback must lie in [0, 100) accuracy points, got {self.rollback!r}"
            )
        watched = [
            k for k, v in (("max_drop", self.target.max_drop), ("rollback", self.rollback))
            if v is not None
        ]  # fmt: skip
        if watched and (self.trainer is None or self.val is None):
            raise ValueError(
                f"IterativePruner: trainer and val must be given with {' and '.join(watched)}, to judge "
                "accuracy (retrain_steps may be 0)"
            )
        if watched and self.scores_from == "training":
            raise ValueError(
                f"IterativePruner: scores_from must be pass with {' and '.join(watched)}, got training"
            )

    @cached_property
    def gauge(self) -> Gauge:
        """The measure of the target; made (for latency: measured) when first asked for.

        Raises:
            ValueError: baseline is missing where an interrupted run goes on.
        """
        baseline = self.baseline or (self.model if not self.history else None)
        return gauge_of(self.target, self.original or costs(self.model.graph), baseline)

    def run(self) -> PruneResult:
        """Prune until the target is met, or more would break what else was asked for.

        Raises:
            TargetUnreachableError: before any work, when floors and ignored layers forbid the target.
            DataError: a score is not finite, or accuracy cannot be told. VerificationError: a pruned
            network differed from its masked one.
        """
        start = time.perf_counter()
        self._check_reachable()
        loop = Loop(self)
        loop.go()
        return PruneResult(
            loop.model,
            loop.original,
            loop.now,
            self.target,
            tuple(loop.steps),
            loop.scores,
            loop.worst,
            bool(loop.steps),
            time.perf_counter() - start,
            dict(loop.parts),
            loop.trainer,
            loop.stopped,
            self.gauge,
            loop.guard.reference,
            loop.accuracy,
            tuple(loop.rollbacks),
        )

    def _check_reachable(self) -> None:
        if not self.target.sized:
            return
        scope: dict[str, Any] = {"include": self.include, "ignore": self.ignore}
        scope |= {"floor": self.floor, "round_to": self.round_to}
        if self.target.kind == "latency_ms":
            return  # noise may decide it; the loop ends where nothing is left
        look = preview(self.model, None, **scope)
        assert look.graph is not None
        least = self.gauge.of_graph(look.graph, look.smallest)
        assert least is not None
        if least > self.gauge.budget:
            whole = self.gauge.shown(self.gauge.whole)
            raise TargetUnreachableError(
                f"prune: the target must be reachable, but {self.target.describe(None, self.gauge.whole)} "
                f"asks for at most {self.gauge.shown(self.gauge.budget).split()[0]} while the smallest "
                f"reachable network has {self.gauge.shown(least).split()[0]} of {whole} "
                f"(floor {self.floor}, round_to {self.round_to}, ignored {list(self.ignore)})"
            )


def operating_points(
    pruner: IterativePruner, targets: Sequence[Target]
) -> Iterator[tuple[Target, PruneResult]]:
    """Prune through several targets in one run; yields a result at each, the largest network first.

    The network of a result is its own: it may be trained on, saved or judged while the run goes on.
    The run goes on from where the point before ended, so that scores and retraining are paid for once.

    Args:
        pruner: its target is replaced. targets: of one kind, each below the one before.
    Raises:
        ValueError: the targets differ in kind, in max_drop or in batch, or do not fall. Others as run.
    """
    check_points(targets, pruner.original or costs(pruner.model.graph), pruner.gauge.whole)
    baseline = pruner.baseline or pruner.model.copy()
    original = pruner.original or costs(pruner.model.graph)
    now = replace(pruner, original=original, baseline=baseline)
    for target in targets:
        now = replace(now, target=target)
        result = now.run()
        trainer, model = result.trainer, result.model
        if trainer is not None:
            trainer = trainer.replaced(model.copy(), {})
            model = trainer.model
        yield target, result
        if result.stopped is not None:
            return
        now = replace(
            now, model=model, trainer=trainer, history=result.steps, good=None,
            notes=model.meta.get("pruning"),
        )  # fmt: skip


def check_points(targets: Sequence[Target], original: Costs, whole: float) -> None:
    """Refuse operating points that are none.

    Raises:
        ValueError: as operating_points says.
    """
    if not targets:
        raise ValueError("operating points: targets must name at least one, got none")
    first = targets[0]
    for t in targets:
        if not t.sized:
            raise ValueError(f"operating points: targets must be sizes ({', '.join(SIZES)})")
        if (t.kind, t.max_drop, t.batch) != (first.kind, first.max_drop, first.batch):
            raise ValueError("operating points: targets must be of one kind, got several")
    budgets = [t.budget_of(whole) for t in targets]
    for before, after in itertools.pairwise(budgets):
        if not after < before:
            raise ValueError(
                "operating points: targets must fall, the largest network first, got "
                + " before ".join(str(getattr(t, t.kind)) for t in targets)
            )
