"""What the stages of one run share, and how they stop and go on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentei.device import require
from sentei.io import load_checkpoint, save
from sentei.model import Model
from sentei.train import ALONE, Callback, Trainer, World
from sentei.train.interrupt import Interrupt
from sentei.workflow.config import Config
from sentei.workflow.datasets import Images
from sentei.workflow.parallel import rank_rates
from sentei.workflow.run_dir import RunDir
from sentei.workflow.watch import Watch

__all__ = ["InterruptedRunError", "Keeper", "Session"]

PHASE = "run_phase"  # in the meta of a checkpoint: which stage wrote it


_PULSE = 20  # steps between two looks at all ranks


class InterruptedRunError(KeyboardInterrupt):
    """Ctrl-C stopped a run; `sentei resume` goes on from run_dir."""

    def __init__(self, run_dir: Path, checkpoint: Path | None) -> None:
        super().__init__(f"stopped; {run_dir} holds what is needed to go on")
        self.run_dir, self.checkpoint = run_dir, checkpoint


@dataclass
class Session:
    """One run: folder, settings, images, who watches. resumed: it goes on with what is there."""

    run: RunDir
    config: Config
    images: Images
    watch: Watch
    command: str
    resumed: bool = False
    world: World = ALONE
    interrupt: Interrupt = field(default_factory=Interrupt)
    start: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def device(self) -> str:
        """Where networks are trained, pruned and judged: cpu or cuda."""
        return require(self.config.run.device)

    def asked(self) -> bool:
        """Whether Ctrl-C was pressed, in any rank; all of them must ask."""
        return self.world.any(self.interrupt.asked)

    def keep(self, model: Model, path: Path) -> None:
        """Write a network; rank 0 does."""
        if not self.world.rank:
            save(model, path)

    def heed(self) -> None:
        """Stop here if Ctrl-C was pressed."""
        if self.interrupt.asked:
            raise KeyboardInterrupt

    def saved_phase(self) -> str | None:
        """The stage that wrote the checkpoint; None when there is none to go on from."""
        if not self.resumed or not self.run.checkpoint.is_file():
            return None
        phase = load_checkpoint(self.run.checkpoint)[0].meta.get(PHASE)
        return phase if isinstance(phase, str) else None

    def save(self, trainer: Trainer, phase: str) -> None:
        """Write the checkpoint of a stage."""
        trainer.model.meta[PHASE] = phase
        try:
            trainer.save_checkpoint(self.run.checkpoint)
        finally:
            trainer.model.meta.pop(PHASE, None)

    def drop_checkpoint(self) -> None:
        """A stage is done and its result is on disk."""
        if not self.world.rank:
            self.run.checkpoint.unlink(missing_ok=True)
            for file in self.run.path.glob("good-*.safetensors"):  # of pruning with max_drop
                file.unlink(missing_ok=True)

    def stored(self) -> Path | None:
        """The checkpoint, if there is one."""
        return self.run.checkpoint if self.run.checkpoint.is_file() else None

    def about(self, model: Model) -> dict[str, Any]:
        """What the model's file keeps about this run."""
        train = self.config.train.model_dump(exclude_none=True)
        return {**model.meta, "data": self.images.about(), "train": train}


class Keeper(Callback):
    """Shows progress, appends events and writes checkpoints while a trainer fits."""

    def __init__(self, session: Session, phase: str, epochs: int) -> None:
        self.session, self.phase, self.epochs = session, phase, epochs
        self.every = session.config.train.checkpoint_every
        self._start, self._done = 0.0, 0
        self._pulse = 0 if session.world.size == 1 else _PULSE

    def on_fit_start(self, trainer: Trainer) -> None:
        self._start, self._done = time.perf_counter(), trainer.step

    def on_step_end(self, trainer: Trainer) -> None:
        n = max(int(trainer.sums["steps"]), 1)
        spent = max(time.perf_counter() - self._start, 1e-9)
        if trainer.sums["steps"]:  # on cuda they are read now and then
            self.session.watch.fit_step(
                trainer.step,
                trainer.sums["loss"] / n,
                trainer.sums["correct"] / (n * trainer.batch)
                if trainer.loss.takes == "labels"
                else None,
                (trainer.step - self._done) * trainer.batch / spent,
            )
        if self._pulse and trainer.step % self._pulse == 0:
            rates = rank_rates(
                self.session.world, (trainer.step - self._done) * trainer.batch / spent
            )
            self.session.watch.ranks(rates)
        if self.session.asked():
            self.session.save(trainer, self.phase)
            raise KeyboardInterrupt

    def on_epoch_end(self, trainer: Trainer, row: Any) -> None:
        self.session.watch.epoch(row, self.epochs)
        self.session.run.event("epoch", phase=self.phase, **row)
        self.session.run.write_metrics()
        asked = self.session.asked()
        if trainer.epoch % self.every == 0 or asked:
            self.session.save(trainer, self.phase)
        if asked:
            raise KeyboardInterrupt
