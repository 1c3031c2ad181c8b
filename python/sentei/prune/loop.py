"""The rounds of iterative pruning: score, cut, retrain, judge; and back where it cost too much."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from sentei.errors import DataError, GraphError
from sentei.graph import Graph
from sentei.model import Model
from sentei.passes import Costs, costs
from sentei.prune.choice import Scored, choose, free_units, members_of, unit_scores
from sentei.prune.guard import NOTES, Guard, Rollback
from sentei.prune.scores import LayerScores, score_layers
from sentei.prune.step import PARTS, PruneStep, means_of
from sentei.prune.surgery import remove, shrunk_graph
from sentei.prune.target import COUNTS
from sentei.prune.units import PruningMap, Unit, pruning_map
from sentei.prune.verify import Verification, verify

if TYPE_CHECKING:
    from sentei.prune.iterative import IterativePruner

__all__ = ["Loop"]


class Loop:
    """One run of a pruner: the network as it shrinks, and what is known of it."""

    def __init__(self, pruner: IterativePruner) -> None:
        self.p = p = pruner
        self.original = p.original or costs(p.model.graph)
        self.model: Model = p.model.copy()
        self.trainer: Any = p.trainer
        self.steps: list[PruneStep] = list(p.history)
        self.history: list[dict[str, Any]] = [s.to_json() for s in self.steps]
        self.worst = max((s.max_abs_diff for s in self.steps), default=0.0)
        self.parts: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self.scores: tuple[LayerScores, ...] = ()
        self.now = costs(self.model.graph)
        self.stopped: str | None = None
        self.accuracy: float | None = None  # of the network as it is now
        self.rollbacks: list[Rollback] = []
        self.guard = Guard(p.target.max_drop, p.rollback, p.patience)
        self._good = p.good
        self._map: PruningMap | None = None
        self._known = False  # self.scores are those of the network as it is now
        self._over = False

    def go(self) -> None:
        """Round after round, until the target is met or nothing may follow."""
        self._begin()
        while not self._over and not self._arrived():
            before = dict(self.parts)
            with self._timed("surgery"):
                self._map = pruning = self._map or pruning_map(
                    self.model.graph,
                    include=self.p.include,
                    ignore=self.p.ignore,
                    floor=self.p.floor,
                )
            spare = self._copy() if self.guard.rollback is not None else None
            if not self._known and pruning.units:
                with self._timed("scoring"):
                    self.scores = self._score(pruning)
            chosen: list[Scored] = []
            with self._timed("surgery"):
                if pruning.units:
                    chosen = self._choose(pruning)
            if not chosen:
                self._nothing_left(pruning)
                break
            self._round(pruning, chosen, spare, before)
        self._end()

    # -- begin and end -------------------------------------------------------------------------
    def _begin(self) -> None:
        g = self.guard
        if not g.watches:
            return
        if self.p.notes is not None:
            g.restore(self.p.notes)
        if g.reference is None or g.last is None:
            g.begin(self._judge())
        if g.max_drop is not None and self._good is None:
            if g.good != len(self.steps):
                raise DataError(
                    "resume: good must be given to go on with max_drop, the network after "
                    f"{g.good} removals"
                )
            self._keep()
        if g.max_drop is not None and g.bad >= g.patience:  # stopped before it could turn back
            self._back()

    def _arrived(self) -> bool:
        """Whether the size is met; where it costs too much, back to the last network that did not."""
        if not self.p.gauge.met(self.model, self.now):
            return False
        if self.guard.max_drop is None:
            return True
        accuracy = self._judge() if self.accuracy is None else self.accuracy
        if self.guard.keeps(accuracy):
            if self.guard.good != len(self.steps):
                self.guard.good, self.guard.bad = len(self.steps), 0
                self.model.meta["history"] = self.history
                self._keep()
        else:
            self._back()
        return True

    def _nothing_left(self, pruning: PruningMap) -> None:
        """No channel may go any more."""
        if self.p.target.sized and self.p.gauge.check(self.model, self.now):
            return  # latency is not looked at after every round
        if self.guard.protected:
            self.stopped = "protected"
        elif self.p.target.kind in COUNTS:
            raise GraphError(
                "prune: no channel can be removed any more, though the target is not met"
            )
        else:
            self.stopped = "floor"

    def _end(self) -> None:
        if self.guard.max_drop is not None:
            if self.accuracy is None:
                self.accuracy = self._judge()
            if not self.guard.keeps(self.accuracy):
                self._back()
        if self.stopped == "floor" and self.p.target.kind == "max_drop":
            self.stopped = None  # the smallest there is, and it keeps the accuracy
        if self.stopped is not None:
            self.p.gauge.check(self.model, self.now)  # its value is that of the result
        if self.trainer is not None and self.trainer is self.p.trainer:  # nothing was removed
            trainer: Any = self.trainer
            self.trainer = trainer.replaced(self.model, {})
            self.model = self.trainer.model
        self.model.meta["history"] = self.history
        if self.guard.watches:
            self.model.meta[NOTES] = self.guard.to_json()

    # -- a round -------------------------------------------------------------------------------
    def _round(
        self, pruning: PruningMap, chosen: list[Scored], spare: Any, spent: Mapping[str, float]
    ) -> None:
        """Cut, retrain, judge, write down. spent: `parts` when the round began."""
        before, done, units = self.model, len(self.steps), [u for u, _ in chosen]
        members = [members_of(before, u) for u in units]
        proof = self._cut(pruning, units)
        with self._timed("surgery"):
            whole = _costs_on_the_way(before.graph, self.model.graph, pruning, units)
        self.accuracy = None
        if self.trainer is not None and self.p.retrain_steps:
            with self._timed("retraining"):
                self.trainer.steps(self.p.train, self.p.retrain_steps)
        if self._due(done, len(units)):
            self.accuracy = self._judge()
        if spare is not None and self.accuracy is not None and self.guard.too_much(self.accuracy):
            self._undo(spare, [m for some in members for m in some])
            return
        self.now, self._known = whole[-1], False
        self.worst = max(self.worst, proof.max_abs_diff)
        steps = self._written(chosen, members, whole, proof, spent)
        with self._timed("surgery"):
            self._map = pruning.without(units)
        self._watch()
        self.model.meta["history"] = self.history
        if self.guard.watches:
            self.model.meta[NOTES] = self.guard.to_json()
        self.model.meta["scores"] = [
            {"layer": s.layer, "values": s.values.tolist()} for s in self.scores
        ]
        if self.p.on_step is not None:
            for s in steps:
                self.p.on_step(s, self.model, self.trainer)
        if self.guard.bad >= self.guard.patience:
            self._back()

    def _cut(self, pruning: PruningMap, units: Sequence[Unit]) -> Verification:
        """Remove units and prove it."""
        before = self.model
        with self._timed("surgery"):
            # Nothing trains `before` any more: what the cut leaves alone need not be copied.
            model, keep = remove(before, pruning, units, share=True)
        with self._timed("verification"):
            images = np.random.default_rng(0).standard_normal(
                (4, *before.input_shape), dtype=np.float32
            )
            proof = verify(before, model, pruning, units, images)
        with self._timed("surgery"):
            self.model = model
            if self.trainer is not None:
                self.trainer = self.trainer.replaced(model, keep)
                self.model = self.trainer.model
        return proof

    def _written(
        self,
        chosen: Sequence[Scored],
        members: Sequence[tuple[tuple[str, int], ...]],
        whole: Sequence[Costs],
        proof: Verification,
        spent: Mapping[str, float],
    ) -> list[PruneStep]:
        """The steps of a round, added to the record."""
        done, n = len(self.steps), len(chosen)
        parts = {k: (v - spent[k]) / n for k, v in self.parts.items()}
        gone = {m for u, _ in chosen for m in u.members}
        known = self.accuracy is not None and math.isfinite(self.accuracy)  # not of a regression
        judged = self.accuracy if known else None
        steps = [
            PruneStep(
                done + k + 1,
                members[k][0][0],
                members[k][0][1],
                members[k],
                value,
                whole[k].macs,
                whole[k].params,
                proof.max_abs_diff,
                proof.tolerance,
                judged if k == n - 1 else None,
                sum(parts.values()),
                parts,
                **means_of(self.scores, unit.first, gone),
            )
            for k, (unit, value) in enumerate(chosen)
        ]
        self.steps += steps
        self.history = [*self.history, *(s.to_json() for s in steps)]
        return steps

    # -- accuracy ------------------------------------------------------------------------------
    def _due(self, done: int, more: int) -> bool:
        """Whether this round's network is judged: every `evaluate_every` steps; with rollback, always."""
        if self.trainer is None or self.p.val is None:
            return False
        every = self.p.evaluate_every
        return self.guard.rollback is not None or (done + more) // every > done // every

    def _judge(self) -> float:
        with self._timed("evaluation"):
            found = self.trainer.evaluate(self.p.val).get("accuracy")
        if found is None and self.guard.watches:
            raise DataError(
                "prune: max_drop and rollback must have class labels to judge accuracy, got targets"
            )
        return float("nan") if found is None else float(found)

    def _watch(self) -> None:
        """What this round's accuracy means for the guard."""
        g = self.guard
        if self.accuracy is None or not g.watches:
            return
        g.last = self.accuracy
        if g.max_drop is None:
            return
        if g.keeps(self.accuracy):
            g.good, g.bad = len(self.steps), 0
            self.model.meta["history"] = self.history
            self._keep()
        else:
            g.bad += 1

    def _undo(self, spare: Any, members: list[tuple[str, int]]) -> None:
        """Back to where the round began; its channels stay from now on."""
        g = self.guard
        assert g.last is not None and self.accuracy is not None
        back = Rollback(len(self.steps), tuple(members), g.last, self.accuracy)
        g.protected |= set(members)
        g.undone += 1
        self.trainer, self.accuracy, self._known = spare, g.last, True
        self.model = spare.model
        self.model.meta[NOTES] = g.to_json()
        self.rollbacks.append(back)
        if self.p.on_rollback is not None:
            self.p.on_rollback(back, self.model, self.trainer)

    def _copy(self) -> Any:
        """The trainer as it is now, independent of what follows."""
        with self._timed("surgery"):
            return self.trainer.replaced(self.trainer.model.copy(), {})

    def _keep(self) -> None:
        """The network keeps max_drop: remember it."""
        self._good = self._copy()
        self._good.model.meta[NOTES] = self.guard.to_json()
        if self.p.on_good is not None:
            self.p.on_good(self._good)

    def _back(self) -> None:
        """To the last network that keeps max_drop."""
        self.stopped = None if self.p.target.kind == "max_drop" else "max_drop"
        if self.guard.good != len(self.steps):
            self.trainer, self.model = self._good, self._good.model
            self.steps = self.steps[: self.guard.good]
            self.history = self.history[: self.guard.good]
            self.worst = max((s.max_abs_diff for s in self.steps), default=0.0)
            self.now, self._map, self._known = costs(self.model.graph), None, False
            self.accuracy = self._judge()
        self._over = True

    # -- scores --------------------------------------------------------------------------------
    def _score(self, pruning: PruningMap) -> tuple[LayerScores, ...]:
        p = self.p
        needed = {layer for u in pruning.units for layer, _ in u.members}
        gathered = self.trainer if p.scores_from == "training" else None
        if gathered and (missing := needed.difference(gathered.scored_layers)):
            raise ValueError(
                f"prune: the trainer's scores must name every pruned layer, {min(missing)!r} too"
            )
        # What the given trainer has gathered may go back to the first steps of its training.
        if gathered and gathered is not p.trainer:
            found = gathered.scores(p.criterion, normalize=p.normalize)
            scores = tuple(s for s in found if s.layer in needed)
        else:
            loss = getattr(p.trainer, "loss", None)
            scores = score_layers(
                self.model,
                pruning,
                p.criterion,
                normalize=p.normalize,
                images=p.score_images,
                labels=p.score_labels,
                batch=p.score_batch,
                loss=getattr(loss, "hard", loss),  # of a teacher's loss, the part without it
                standard_errors=False,
                means=p.analysis,
            )
        for s in scores:  # NaN has no place in an order
            if not np.isfinite(s.values).all():
                raise DataError(
                    f"prune: scores must be finite, but {p.criterion} gives {s.layer} some that "
                    "are not: the network or the images hold NaN or infinity"
                )
        return scores

    def _choose(self, pruning: PruningMap) -> list[Scored]:
        """The units to remove in this round; none too many."""
        graph = self.model.graph

        def enough(units: list[Unit]) -> bool:
            labels = (u.label for u in units)
            return self.p.gauge.allows(shrunk_graph(graph, pruning.groups, labels)[0])

        free = free_units(pruning, self.model, self.guard.protected)
        values = unit_scores(pruning, self.scores)
        return choose(pruning, values, free, self.p.per_round, self.p.round_to, enough)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        """Add what passes to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.parts[part] += time.perf_counter() - start


def _costs_on_the_way(
    before: Graph, after: Graph, pruning: PruningMap, units: Sequence[Unit]
) -> list[Costs]:
    """Costs after each unit of a round."""
    labels = [u.label for u in units]
    cuts = (labels[:k] for k in range(1, len(labels)))
    found = [costs(shrunk_graph(before, pruning.groups, some)[0]) for some in cuts]
    return [*found, costs(after)]
