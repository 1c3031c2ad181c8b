"""Scores that training steps gather on the way, from the gradients that they compute anyhow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sentei.errors import DataError
from sentei.prune import LayerScores, criterion, importance

if TYPE_CHECKING:
    from sentei._core import Tensor
    from sentei.train.step import StepGraph

__all__ = ["Scoring"]

PREFIX = "scores."


class Scoring:
    """What a trainer with scored layers offers; the steps themselves read nothing back."""

    _steps: list[StepGraph]
    state_tensors: dict[str, Tensor]
    step: int
    scored_from: int  # step from which the sums count

    if TYPE_CHECKING:

        def _collect(self) -> None:
            """Read what the steps have left on the device (Trainer has it)."""

    @property
    def scored_steps(self) -> int:
        """Steps in the sums; 0 when no layer is scored."""
        return 0 if self._steps[0].scores is None else self.step - self.scored_from

    def scores(
        self, name: str = "oracle", *, normalize: float | None = 1.0
    ) -> tuple[LayerScores, ...]:
        """Scores of the scored layers over the steps since `reset_scores`.

        x . g is that of training: statistics of the batch, dropout, the whole objective, and weights
        that move. The standard error is between steps; None for layers whose maps had to be read.

        Args:
            name: first or oracle. normalize: p of the Lp normalisation, None for none.
        Raises:
            ValueError: another criterion. DataError: no scored layer, or no step yet.
        """
        kind = criterion(name)
        if not kind.sum_only:
            raise ValueError(f"scores: name must be first or oracle, got {name!r}")
        self._collect()
        steps = self.scored_steps
        if self._steps[0].scores is None or steps < 1:
            raise DataError("scores: a trainer with `scores` must have made a step, got none")
        found = []
        for layer, (total, squares) in self._steps[0].scores.read(self.state_tensors).items():
            stats = np.zeros((6, len(total)))
            stats[1], stats[2] = total, squares
            raw = getattr(importance, name)(stats, steps)
            values = raw if normalize is None else importance.normalize(name, raw, normalize)
            known = np.isfinite(squares).all()
            error = importance.standard_error(name, stats, steps) if known else None
            found.append(LayerScores(layer, values, raw, error))
        return tuple(found)

    def reset_scores(self) -> None:
        """Begin the sums anew."""
        self._collect()
        self.scored_from = self.step
        for name, t in self.state_tensors.items():
            if name.startswith(PREFIX):
                t.copy_from(np.zeros(t.shape))
