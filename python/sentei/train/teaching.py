"""A teacher's logits for every mini-batch, for losses that learn from another network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError, ShapeError
from sentei.losses import Loss
from sentei.model import Model
from sentei.passes import infer_specs
from sentei.train.resident import Gathered

__all__ = ["Teacher"]


class Teacher:
    """The inference form of a network, frozen now; it sees the images that the student sees.

    Once a mini-batch, after crops and flips: logits kept from an earlier epoch would be those of other
    images.
    """

    def __init__(self, model: Model, batch: int, device: str) -> None:
        self._predictor = model.to(device).predictor(batch)
        self._runner = self._predictor.runner(batch)

    @classmethod
    def of(cls, model: Model | None, student: Model, loss: Loss, batch: int) -> Teacher | None:
        """The teacher that a loss needs, or None.

        Raises:
            DataError: it is missing, or given to a loss that takes none. ShapeError: it does not fit.
        """
        name = type(loss).__name__
        if loss.teacher is None:
            if model is not None:
                raise DataError(f"Trainer: teacher must be left out with the loss {name}, got one")
            return None
        if model is None:
            raise DataError(f"Trainer: teacher must be given with the loss {name}, got none")
        if model.input_shape != student.input_shape:
            raise ShapeError(
                f"Trainer: teacher must take images of {student.input_shape}, as the model does, "
                f"got {model.input_shape}"
            )
        mine, theirs = (infer_specs(m.graph, 1)[m.output].shape[-1] for m in (student, model))
        if mine != theirs:
            raise ShapeError(f"Trainer: teacher must have {mine} outputs, got {theirs}")
        return cls(model, batch, student.device)

    def logits(self, images: NDArray[np.float32] | Gathered) -> NDArray[np.float32]:
        """Outputs (N, K) for one mini-batch."""
        self._runner.set(self._predictor.input, images)
        self._runner.run()
        return self._runner.fetch(self._predictor.output)
