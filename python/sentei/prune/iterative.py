"""Iterative pruning: score, remove the least channels physically, retrain, until the target is met."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError, GraphError, SenteiError
from sentei.graph import Graph
from sentei.model import Model
from sentei.passes import Costs, costs
from sentei.prune import importance
from sentei.prune.preview import preview
from sentei.prune.scores import LayerScores, score_layers
from sentei.prune.step import PARTS, PruneStep, means_of
from sentei.prune.surgery import Keep, original_channels, remove, shrunk_graph
from sentei.prune.target import Target
from sentei.prune.units import PruningMap, Unit, pruning_map
from sentei.prune.verify import Verification, verify

__all__ = [
    "PARTS",
    "IterativePruner",
    "PruneResult",
    "PruneStep",
    "TargetUnreachableError",
    "Trains",
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
    """The pruned model and how it came about. The model that was given is unchanged."""

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
    include, ignore, floor: see prune.preview.
    on_step: called with (PruneStep, model, trainer) after each removal and its retraining; the model is
    trained and cut further: copy it to keep it.
    history: steps already done, when an interrupted run goes on; original: costs before those.

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

    def run(self) -> PruneResult:
        """Prune until the target is met.

        Raises:
            TargetUnreachableError: before any work, when floors and ignored layers forbid the target.
            DataError: a score is not finite. VerificationError: a pruned network differed from its
            masked one.
        """
        start = time.perf_counter()
        original = self.original or costs(self.model.graph)
        look = preview(self.model, None, include=self.include, ignore=self.ignore, floor=self.floor)
        if not self.target.reached(look.smallest, original):
            measure = self.target.measure
            raise TargetUnreachableError(
                f"prune: the target must be reachable, but {self.target.describe(original)} asks for at most "
                f"{self.target.budget(original):,.0f} while the smallest reachable network has "
                f"{measure(look.smallest):,} of {measure(original):,} {self.target.kind} "
                f"(floor {self.floor}, ignored {list(self.ignore)})"
            )
        steps = list(self.history)
        state = _State(self.model.copy(), self.trainer)
        state.worst = max((s.max_abs_diff for s in steps), default=0.0)
        state.history = [s.to_json() for s in steps]
        scores: tuple[LayerScores, ...] = ()
        now = costs(state.model.graph)
        pruning: PruningMap | None = None
        while not self.target.reached(now, original):
            before = dict(state.parts)
            with state.timed("surgery"):
                pruning = pruning or pruning_map(
                    state.model.graph, include=self.include, ignore=self.ignore, floor=self.floor
                )
            with state.timed("scoring"):
                scores = self._score(state, pruning)
            with state.timed("surgery"):
                chosen = self._choose(pruning, scores, state.model, original)
            removed, now = self._remove(state, pruning, scores, chosen, before)
            steps.extend(removed)
            with state.timed("surgery"):
                pruning = pruning.without([u for u, _ in chosen])
        if state.trainer is not None and state.trainer is self.trainer:  # nothing to remove
            state.trainer = state.trainer.replaced(state.model, {})
            state.model = state.trainer.model
        state.model.meta["history"] = state.history
        return PruneResult(
            state.model,
            original,
            now,
            self.target,
            tuple(steps),
            scores,
            state.worst,
            bool(steps),
            time.perf_counter() - start,
            dict(state.parts),
            state.trainer,
        )

    def _score(self, state: _State, pruning: PruningMap) -> tuple[LayerScores, ...]:
        needed = {layer for u in pruning.units for layer, _ in u.members}
        gathered = state.trainer if self.scores_from == "training" else None
        if gathered and (missing := needed.difference(gathered.scored_layers)):
            raise ValueError(
                f"prune: the trainer's scores must name every pruned layer, {min(missing)!r} too"
            )
        # What the given trainer has gathered may go back to the first steps of its training.
        if gathered and gathered is not self.trainer:
            found = gathered.scores(self.criterion, normalize=self.normalize)
            scores = tuple(s for s in found if s.layer in needed)
        else:
            scores = score_layers(
                state.model,
                pruning,
                self.criterion,
                normalize=self.normalize,
                images=self.score_images,
                labels=self.score_labels,
                batch=self.score_batch,
                loss=getattr(self.trainer, "loss", None),
                standard_errors=False,
                means=self.analysis,
            )
        for s in scores:  # NaN has no place in an order
            if not np.isfinite(s.values).all():
                raise DataError(
                    f"prune: scores must be finite, but {self.criterion} gives {s.layer} some that "
                    "are not: the network or the images hold NaN or infinity"
                )
        return scores

    def _choose(
        self, pruning: PruningMap, scores: Sequence[LayerScores], model: Model, original: Costs
    ) -> list[tuple[Unit, float]]:
        """The units to remove in this round: least first, lowest layer and index on ties, none too many."""
        by_layer = {s.layer: s.values for s in scores}
        ranked = sorted(
            (
                (float(sum(by_layer[layer][i] for layer, i in u.members)), k)
                for k, u in enumerate(pruning.units)
            ),
        )
        widths = pruning.widths()
        chosen: list[tuple[Unit, float]] = []
        for value, k in ranked:
            unit = pruning.units[k]
            if not pruning.removable(unit, widths):
                continue
            for layer, _ in unit.members:
                widths[layer] -= 1
            chosen.append((unit, value))
            if len(chosen) == self.per_round:
                break
            smaller = shrunk_graph(model.graph, pruning.groups, (u.label for u, _ in chosen))[0]
            if self.target.reached(costs(smaller), original):
                break
        if not chosen:
            raise GraphError(
                "prune: no channel can be removed any more, though the target is not met"
            )
        return chosen

    def _remove(
        self,
        state: _State,
        pruning: PruningMap,
        scores: Sequence[LayerScores],
        chosen: list[tuple[Unit, float]],
        spent: Mapping[str, float],
    ) -> tuple[list[PruneStep], Costs]:
        """Remove, retrain, write down. spent: `state.parts` when the round began."""
        before, done = state.model, len(state.history)
        units = [u for u, _ in chosen]
        with state.timed("surgery"):
            # Nothing trains `before` any more: what the cut leaves alone need not be copied.
            model, keep = remove(before, pruning, units, share=True)
        with state.timed("verification"):
            proof = self._prove(before, model, pruning, units)
        state.worst = max(state.worst, proof.max_abs_diff)
        with state.timed("surgery"):
            kept = original_channels(before)
            state.model = model
            if state.trainer is not None:
                state.trainer = state.trainer.replaced(model, keep)
                state.model = state.trainer.model
            whole = self._costs_on_the_way(before.graph, model.graph, pruning, units)
        accuracy = None
        if state.trainer is not None and self.retrain_steps:
            with state.timed("retraining"):
                state.trainer.steps(self.train, self.retrain_steps)
        if (
            state.trainer is not None
            and self.val is not None
            and (done + 1) % self.evaluate_every == 0
        ):
            with state.timed("evaluation"):
                accuracy = state.trainer.evaluate(self.val).get("accuracy")
        parts = {k: (v - spent[k]) / len(chosen) for k, v in state.parts.items()}
        steps, gone = [], {m for u in units for m in u.members}
        for k, (unit, value) in enumerate(chosen):
            members = tuple(
                (layer, int(kept.get(layer, range(1 << 30))[i])) for layer, i in unit.members
            )
            last = k == len(chosen) - 1
            steps.append(
                PruneStep(
                    done + k + 1,
                    members[0][0],
                    members[0][1],
                    members,
                    value,
                    whole[k].macs,
                    whole[k].params,
                    proof.max_abs_diff,
                    proof.tolerance,
                    accuracy if last else None,
                    sum(parts.values()),
                    parts,
                    **means_of(scores, unit.first, gone),
                )
            )
        state.history = [*state.history, *(s.to_json() for s in steps)]
        state.model.meta["history"] = state.history
        state.model.meta["scores"] = [
            {"layer": s.layer, "values": s.values.tolist()} for s in scores
        ]
        if self.on_step is not None:
            for s in steps:
                self.on_step(s, state.model, state.trainer)
        return steps, whole[-1]

    @staticmethod
    def _costs_on_the_way(
        before: Graph, after: Graph, pruning: PruningMap, units: Sequence[Unit]
    ) -> list[Costs]:
        """Costs after each unit of a round."""
        labels = [u.label for u in units]
        cuts = (labels[:k] for k in range(1, len(labels)))
        found = [costs(shrunk_graph(before, pruning.groups, some)[0]) for some in cuts]
        return [*found, costs(after)]

    def _prove(
        self, before: Model, after: Model, pruning: PruningMap, units: Sequence[Unit]
    ) -> Verification:
        rng = np.random.default_rng(0)
        images = rng.standard_normal((4, *before.input_shape), dtype=np.float32)
        return verify(before, after, pruning, units, images)


@dataclass
class _State:
    model: Model
    trainer: Trains | None
    history: list[dict[str, Any]] = field(default_factory=list)
    worst: float = 0.0
    parts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add what passes to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.parts[part] += time.perf_counter() - start
