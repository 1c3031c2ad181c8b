"""A data set that stays on the device: a mini-batch is picked there by a few numbers a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.data import Loader
from sentei.errors import DeviceError
from sentei.ops import GATHER_BATCH

__all__ = ["Gathered", "Resident"]

_MOST = 8 << 30  # bytes of images; more of them come batch by batch


@dataclass(frozen=True)
class Gathered:
    """A mini-batch that is still to be made from images on the device."""

    data: Resident
    plan: NDArray[np.int32]

    def write(self, x: Tensor) -> None:
        """Make it in the memory of x."""
        d = self.data
        plan = d.plan_of(len(self.plan))
        plan.copy_from(self.plan)
        GATHER_BATCH.run([d.images, plan, d.scale, d.shift], [x], {}, None)


class Resident:
    """The images of a Loader on the device; mini-batches have the bits of Loader.batch."""

    def __init__(self, loader: Loader, device: str) -> None:
        self.loader = loader
        raw = loader.dataset.images
        scale, shift = loader.standardize.factors(raw.dtype)
        self.images = Tensor.empty(raw.shape, str(raw.dtype), device=device)
        self.images.copy_from(raw)
        self.scale = Tensor.from_numpy(scale).to(device)
        self.shift = Tensor.from_numpy(shift).to(device)
        self._plans: dict[int, Tensor] = {}

    @classmethod
    def of(cls, source: object, device: str) -> Resident | None:
        """None: not on a device, no room there, or a loader that does more than pick and move."""
        if device == "cpu" or type(source) is not Loader or not source.movable:
            return None
        if source.dataset.images.nbytes > _MOST:
            return None
        try:
            return cls(source, device)
        except DeviceError:  # no room
            return None

    def plan_of(self, batch: int) -> Tensor:
        """Memory for the plan of a mini-batch."""
        if batch not in self._plans:
            self._plans[batch] = Tensor.empty((batch, 4), "int32", device=self.images.device)
        return self._plans[batch]

    def batch(self, epoch: int, step: int) -> tuple[Gathered, NDArray[Any]]:
        """One mini-batch and its labels."""
        plan, labels = self.loader.moves(epoch, step)
        return Gathered(self, plan), labels
