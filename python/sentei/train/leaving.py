"""How training ends before its time: Ctrl-C, and numbers that are not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sentei.errors import NonFiniteError
from sentei.train.interrupt import Interrupt
from sentei.train.logs import EventLog
from sentei.train.runners import Runs
from sentei.train.world import ALONE, World

__all__ = ["Leaving"]


class Leaving:
    """What a trainer does when it cannot go on; all processes of a world leave in the same step."""

    world: World = ALONE
    run_dir: Path | None
    events: EventLog | None
    last_checkpoint: Path | None
    step: int
    epoch: int

    @property
    def _runner(self) -> Runs:
        """Of the trainer."""
        raise NotImplementedError

    def save_checkpoint(self, path: str | Path | None = None) -> Path:
        """Of the trainer."""
        raise NotImplementedError

    def _event(self, event: str, **fields: Any) -> None:
        if self.events is not None:
            self.events.write(event, **fields)

    def _heed(self, interrupt: Interrupt) -> None:
        """After Ctrl-C: a checkpoint, then KeyboardInterrupt."""
        if self.world.any(interrupt.asked):
            self._leave()

    def _leave(self) -> None:
        if self.run_dir is not None:
            self._event("interrupted", step=self.step, epoch=self.epoch)
            self.save_checkpoint()
        raise KeyboardInterrupt

    def _not_finite(self, value: float) -> None:
        with self.world.apart():
            where = self._runner.first_not_finite()
        where = self.world.first(where)
        what = f"the loss of step {self.step} (epoch {self.epoch}) is {value}"
        self._fail(what, where or "the loss")

    def _fail(self, what: str, where: str) -> None:
        last = self.last_checkpoint
        kept = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
        self._event("not_finite", step=self.step, epoch=self.epoch, where=where)
        error = NonFiniteError(
            f"train: numbers must stay finite, but {what}: {where} is the first that is not; {kept}"
        )
        error.step, error.where, error.checkpoint = self.step, where, last
        raise error
