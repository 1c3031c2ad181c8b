"""A long vector that lies in several tensors, and the few operations that L-BFGS needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sentei._core import Tensor
from sentei.ops import SCALE, SCORE_FROM_GRADIENTS, SGD_UPDATE_MANY

__all__ = ["Vector"]


class Vector:
    """All parameters (or their gradients) as one vector; the tensors are used in place.

    Sums of products are in float64 and in a fixed order, so that they depend neither on the threads
    nor on the run. Vectors that are joined must be cut alike and lie on one device.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tuple(tensors)
        device = self.tensors[0].device
        width = sum(t.shape[0] for t in self.tensors)  # one product per row, then their sum
        self._rows = Tensor.zeros((2, width), "float64", device=device)
        self._none = np.zeros((2, width))
        self._factor = Tensor.zeros((1,), device=device)

    def like(self) -> Vector:
        """A new vector of the same cut, all zeros."""
        return Vector([Tensor.zeros(t.shape, device=t.device) for t in self.tensors])

    def zero(self) -> None:
        """Set every element to 0."""
        for t in self.tensors:
            t.copy_from(np.zeros(t.shape, np.float32))

    def copy(self, other: Vector) -> None:
        """self = other"""
        for mine, theirs in zip(self.tensors, other.tensors, strict=True):
            mine.copy_from(theirs)

    def dot(self, other: Vector) -> float:
        """Return self . other, summed in float64."""
        self._rows.copy_from(self._none)
        pairs = self._with(other)
        layers = {"bias": (False,) * len(self.tensors)}
        SCORE_FROM_GRADIENTS.run([self._rows, *pairs], [], layers, None)
        return float(self._rows.numpy()[0].sum())

    def add(self, factor: float, other: Vector) -> None:
        """self += factor other; the factor is rounded to float32."""
        self._factor.copy_from(np.array([-factor], np.float32))
        SGD_UPDATE_MANY.run([self._factor, *self._with(other)], [], {}, None)

    def scale(self, factor: float) -> None:
        """self *= factor"""
        for t in self.tensors:
            SCALE.run([t], [t], {"factor": float(factor)}, None)

    def _with(self, other: Vector) -> list[Tensor]:
        both = zip(self.tensors, other.tensors, strict=True)
        return [t for pair in both for t in pair]
