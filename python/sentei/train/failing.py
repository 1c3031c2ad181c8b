"""What a trainer says when numbers blow up: the step, the layer and the last good checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sentei.errors import NonFiniteError

if TYPE_CHECKING:
    from sentei.train.runners import Runs

__all__ = ["Failing"]


class Failing:
    """How a trainer ends when a number is not finite."""

    step: int
    epoch: int
    last_checkpoint: Path | None

    if TYPE_CHECKING:

        @property
        def _runner(self) -> Runs:
            """Runs steps (Settling has it)."""

        def _event(self, event: str, **fields: Any) -> None:
            """Write to events.jsonl (Trainer has it)."""

    def _not_finite(self, value: float) -> NoReturn:
        where = self._runner.first_not_finite()
        what = f"the loss of step {self.step} (epoch {self.epoch}) is {value}"
        self._fail(what, where or "the loss")

    def _fail(self, what: str, where: str) -> NoReturn:
        last = self.last_checkpoint
        kept = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
        self._event("not_finite", step=self.step, epoch=self.epoch, where=where)
        error = NonFiniteError(
            f"train: numbers must stay finite, but {what}: {where} is the first that is not; {kept}"
        )
        error.step, error.where, error.checkpoint = self.step, where, last
        raise error
