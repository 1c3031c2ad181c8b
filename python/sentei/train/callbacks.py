"""What happens besides the steps: best weights, early stopping, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

from sentei.errors import DataError
from sentei.model import Model

if TYPE_CHECKING:
    from sentei.train.trainer import Trainer

__all__ = ["BestWeights", "Callback", "Checkpoint", "EarlyStopping"]

Row = Mapping[str, Any]
Arrays = dict[str, NDArray[Any]]


class Callback:
    """Base: every hook does nothing. `state` and `arrays` go into checkpoints and come back."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first step of `fit`."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After every step of `fit`."""

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """After an epoch and its evaluation; `row` is what metrics.csv gets."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch of `fit`, also when it stops early; not after an error."""

    def state(self) -> dict[str, Any]:
        """JSON data for a checkpoint."""
        return {}

    def arrays(self) -> Arrays:
        """Arrays for a checkpoint."""
        return {}

    def restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """Take back what `state` and `arrays` gave."""

    def reset(self) -> None:
        """Forget everything: the network has changed its shape."""


class BestWeights(Callback):
    """Keep the parameters and statistics of the best epoch.

    monitor: field of the row, e.g. "val_loss", "val_accuracy". mode: "min" or "max"; None: "max" for
    accuracies, "min" for the rest. min_delta: an epoch is better only by more than this.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        mode: Literal["min", "max"] | None = None,
        min_delta: float = 0.0,
    ) -> None:
        if mode not in (None, "min", "max"):
            raise ValueError(f"{type(self).__name__}: mode must be 'min' or 'max', got {mode!r}")
        if not 0 <= min_delta < math.inf:
            raise ValueError(
                f"{type(self).__name__}: min_delta must be at least 0, got {min_delta!r}"
            )
        self.monitor, self.min_delta = monitor, min_delta
        self.mode = mode or ("max" if "accuracy" in monitor or monitor.endswith("r2") else "min")
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.weights: Arrays = {}

    def reset(self) -> None:
        self.best, self.best_epoch, self.weights = None, None, {}

    def better(self, row: Row) -> bool:
        """Whether this epoch beats the best one by more than min_delta."""
        value = row.get(self.monitor)
        if self.monitor not in row:
            raise DataError(
                f"{type(self).__name__}: monitor must be one of {sorted(row)}, got {self.monitor!r}"
                + (" (fit needs val)" if self.monitor.startswith("val_") else "")
            )
        if value is None or not math.isfinite(value):
            return False
        if self.best is None:
            return True
        gain = float(self.best - value if self.mode == "min" else value - self.best)
        return gain > self.min_delta

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        if self.better(row):
            self.best, self.best_epoch = float(row[self.monitor]), int(row["epoch"])
            self.weights = trainer.model.arrays()

    def restore_best(self, model: Model) -> bool:
        """Put the best weights into the model; False when there are none yet."""
        if self.weights:
            model.load_arrays(self.weights)
        return bool(self.weights)

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch}

    def arrays(self) -> Arrays:
        return dict(self.weights)

    def restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.weights = dict(arrays)


class EarlyStopping(BestWeights):
    """Stop when `patience` epochs in a row were not better than the best one.

    restore_best_weights: at the end of `fit` the model has the weights of the best epoch, stopped
    early or not.
    """

    def __init__(
        self,
        patience: int = 10,
        *,
        monitor: str = "val_loss",
        mode: Literal["min", "max"] | None = None,
        min_delta: float = 0.0,
        restore_best_weights: bool = True,
    ) -> None:
        super().__init__(monitor, mode=mode, min_delta=min_delta)
        if patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {patience}")
        self.patience, self.restore_best_weights = patience, restore_best_weights
        self.waited = 0

    def reset(self) -> None:
        super().reset()
        self.waited = 0

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        before = self.best_epoch
        super().on_epoch_end(trainer, row)
        self.waited = 0 if self.best_epoch != before else self.waited + 1
        if self.waited >= self.patience:
            trainer.stop(f"{self.monitor} has not improved for {self.patience} epochs")

    def on_fit_end(self, trainer: Trainer) -> None:
        if self.restore_best_weights and self.restore_best(trainer.model):
            trainer.adopt()

    def state(self) -> dict[str, Any]:
        return {**super().state(), "waited": self.waited}

    def restore(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        super().restore(state, arrays)
        self.waited = int(state["waited"])


class Checkpoint(Callback):
    """Write a checkpoint that `Trainer.resume` goes on from.

    path: None: checkpoint.safetensors in the trainer's run_dir. every_epochs: 0: not by epochs.
    every_seconds: also within epochs, when this much time has passed.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        every_epochs: int = 1,
        every_seconds: float | None = None,
    ) -> None:
        if every_epochs < 0:
            raise ValueError(f"Checkpoint: every_epochs must not be negative, got {every_epochs}")
        if every_seconds is not None and not every_seconds >= 0:
            raise ValueError(f"Checkpoint: every_seconds must not be negative, got {every_seconds}")
        self.path = None if path is None else Path(path)
        self.every_epochs, self.every_seconds = every_epochs, every_seconds
        self._last = time.monotonic()

    def on_fit_start(self, trainer: Trainer) -> None:
        if self.path is None and trainer.run_dir is None and not trainer.world.rank:
            raise DataError("Checkpoint: path must be given for a trainer without run_dir")
        self._last = time.monotonic()

    def on_step_end(self, trainer: Trainer) -> None:
        if self.every_seconds is not None and time.monotonic() - self._last >= self.every_seconds:
            self._write(trainer)

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        if self.every_epochs and trainer.epoch % self.every_epochs == 0:
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._last = time.monotonic()


def as_arrays(tensors: Mapping[str, Any]) -> Arrays:
    """Copies of tensors as arrays."""
    return {k: t.numpy() for k, t in tensors.items()}
