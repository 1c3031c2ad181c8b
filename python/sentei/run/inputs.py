"""The inputs of a runner; on a device vectors travel together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec

__all__ = ["Feed", "Inputs"]

_ALIGN = 256


class Writes(Protocol):
    """What makes an input in place, from numbers that are on the device already."""

    def write(self, x: Tensor) -> None:
        """Write x."""


Feed = NDArray[Any] | Tensor | Writes


class Inputs:
    """Memory of the inputs. `set` writes; on a device vectors (labels, step size, seed) wait for
    `flush`, which makes one upload of them all."""

    def __init__(self, specs: Mapping[str, Spec], device: str) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._waiting: dict[str, NDArray[Any]] = {}
        self._dirty = False
        packed = {k: s for k, s in specs.items() if device != "cpu" and len(s.shape) == 1}
        offsets, end = {}, 0
        for name, spec in packed.items():
            offsets[name] = end
            end += -(-spec.nbytes // _ALIGN) * _ALIGN
        self._host = np.zeros(end, np.uint8)
        self._block = Tensor.zeros((end,), "uint8", device=device)
        for name, spec in specs.items():
            if name in packed:
                at = offsets[name]
                self.tensors[name] = self._block.view(spec.shape, at, spec.dtype)
                own = self._host[at : at + spec.nbytes].view(spec.dtype)
                self._waiting[name] = own.reshape(spec.shape)
            else:
                self.tensors[name] = Tensor.zeros(spec.shape, spec.dtype, device=device)

    def set(self, name: str, array: Feed) -> None:
        """Write one input; ShapeError or DTypeError unless it fits exactly."""
        waiting = self._waiting.get(name)
        if not isinstance(array, np.ndarray | Tensor):
            array.write(self.tensors[name])
            return
        if waiting is None:
            self.tensors[name].copy_from(array)
            return
        got = array.numpy() if isinstance(array, Tensor) else np.asarray(array)
        if got.dtype != waiting.dtype:
            raise DTypeError(f"Runner: {name} must be {waiting.dtype}, got {got.dtype}")
        if got.shape != waiting.shape:
            raise ShapeError(f"Runner: {name} must have shape {waiting.shape}, got {got.shape}")
        waiting[...] = got
        self._dirty = True

    def flush(self) -> None:
        """Send what waits."""
        if self._dirty:
            self._block.copy_from(self._host)
            self._dirty = False
