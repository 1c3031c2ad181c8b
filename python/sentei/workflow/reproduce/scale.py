"""What is made smaller, and the words that say so."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sentei.errors import DataError
from sentei.optim import Schedule, Step
from sentei.workflow.reproduce.spec import Gates, Scores, Setting, Table

__all__ = ["Scale"]

_LEAST_SCORED = 500  # images
_LEAST_RETRAIN = 5  # steps after each filter, however small the scale


@dataclass(frozen=True)
class Scale:
    """A share of the published epochs, and a cap on the images.

    factor: in (0, 1]; epochs, the milestones of step sizes and the steps between two removals are
    multiplied by it, and where less than one epoch is left the training images too. images: at most
    so many of each part.
    Raises:
        DataError: out of range.
    """

    factor: float = 1.0
    images: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise DataError(f"reproduce: scale must lie in (0, 1], got {self.factor!r}")
        if self.images is not None and self.images < 1:
            raise DataError(f"reproduce: images must be at least 1, got {self.images}")

    def epochs(self, published: int) -> int:
        """Epochs that are run."""
        return max(1, round(published * self.factor))

    def training(self, table: Table, there: int) -> int:
        """Training images that are used, of those that are there."""
        most = max(a.setting.epochs for a in table.arms)
        share = min(1.0, most * self.factor)
        return max(1, min(there if share == 1 else round(there * share), self.images or there))

    def testing(self, there: int) -> int:
        """Test images that are used."""
        return min(there, self.images or there)

    def setting(self, setting: Setting) -> Setting:
        """The setting that is run."""
        return replace(
            setting,
            epochs=self.epochs(setting.epochs),
            schedule=self._schedule(setting.schedule),
        )

    def _schedule(self, schedule: Schedule) -> Schedule:
        if isinstance(schedule, Step) and schedule.per == "epoch":
            return replace(schedule, milestones=tuple(map(self.epochs, schedule.milestones)))
        return schedule

    def scored(self, prune: Scores, training: int) -> int:
        """Images that scores are taken over: at most a twentieth of those for training."""
        return min(prune.images, max(_LEAST_SCORED, training // 20), training)

    def prune(self, prune: Scores | Gates | None) -> Scores | Gates | None:
        """The pruning that is run."""
        if isinstance(prune, Scores):
            return replace(prune, retrain=self._retrain(prune.retrain))
        return None if prune is None else replace(prune, epochs=self.epochs(prune.epochs))

    def _retrain(self, steps: int) -> int:
        return min(steps, max(_LEAST_RETRAIN, round(steps * self.factor)))

    def describe(
        self, table: Table, seeds: int, there: tuple[int, int] | None = None
    ) -> tuple[str, ...]:
        """What differs from the source, one sentence each; empty: nothing.

        there: training and test images that are there; None: as the table says.
        """
        said: list[str] = []
        for n in sorted({a.setting.epochs for a in table.arms}):
            if self.epochs(n) != n:
                said.append(f"epochs: {self.epochs(n):,} of {n:,}")
        marks = {m for a in table.arms if isinstance(a.setting.schedule, Step)
                 for m in a.setting.schedule.milestones}  # fmt: skip
        if marks and self.factor < 1:
            now = ", ".join(str(self.epochs(m)) for m in sorted(marks))
            said.append(f"the step size falls at epochs {now}")
        prunes = [a.prune for a in table.arms]
        for steps in sorted({p.retrain for p in prunes if isinstance(p, Scores)}):
            if self._retrain(steps) != steps:
                said.append(f"steps after each filter: {self._retrain(steps)} of {steps}")
        for n in sorted({p.epochs for p in prunes if isinstance(p, Gates)}):
            if self.epochs(n) != n:
                said.append(f"epochs with gates: {self.epochs(n):,} of {n:,}")
        train = there[0] if there else table.data.images
        if train is not None and self.training(table, train) != train:
            said.append(f"training images: {self.training(table, train):,} of {train:,}")
        for p in {p.images: p for p in prunes if isinstance(p, Scores)}.values():
            now_ = None if train is None else self.scored(p, self.training(table, train))
            if now_ not in (None, p.images):
                said.append(f"scored images: {now_:,} of {p.images:,}")
        if there and self.testing(there[1]) != there[1]:
            said.append(f"test images: {self.testing(there[1]):,} of {there[1]:,}")
        if seeds != table.runs:
            said.append(f"runs: {seeds} of {table.runs}")
        return tuple(said)
