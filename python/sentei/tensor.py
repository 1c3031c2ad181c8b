"""Tensors: dense, contiguous, row-major arrays of at most four axes on a device."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei._core import from_dlpack as _from_dlpack
from sentei.errors import DTypeError

__all__ = ["ArrayLike", "Tensor", "as_tensor", "from_dlpack", "from_nchw", "from_numpy", "to_nchw"]

ArrayLike = Tensor | NDArray[Any]


def from_numpy(array: NDArray[Any]) -> Tensor:
    """Copy a NumPy array into a new Tensor of the same shape and dtype; nothing is cast.

    Raises:
        DTypeError: not float32, float64, int32, int64 or uint8.
        ShapeError: more than four axes.
    """
    return Tensor.from_numpy(array)


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """Share the memory of any object with ``__dlpack__`` (NumPy, PyTorch, CuPy, ...), on cpu or cuda.

    On cuda the work of both sides is put in order: ours on x follows the producer's. Memory that
    its owner declares read-only is read, and every op refuses to write it.

    Args:
        x: float32, float64, int32, int64 or uint8; contiguous and row-major; at most four axes.
        device: cpu or cuda, where the tensor is to be; None: where x is.
        copy: True: always. False: never. None: only to reach another device.
    Raises:
        AttributeError: x has no ``__dlpack__`` or no ``__dlpack_device__``.
        ValueError: not contiguous and row-major, or copy is False and x is on another device.
        DTypeError, DeviceError, ShapeError: see x. BufferError: the producer refuses.
    Source:
        Python array API standard 2023.12, from_dlpack; DLPack 1.0.
    """
    return _from_dlpack(x, device=device, copy=copy)


def as_tensor(x: ArrayLike, name: str = "x") -> Tensor:
    """Return a Tensor as it is, and a NumPy array as a Tensor on the array's own memory.

    Ops read a read-only array and refuse to write it.
    """
    if isinstance(x, Tensor):
        return x
    if isinstance(x, np.ndarray):
        return Tensor.borrow(x)
    raise DTypeError(f"{name} must be a sentei.Tensor or a NumPy array, got {type(x).__name__}")


def from_nchw(images: NDArray[Any]) -> Tensor:
    """Copy images (N, C, H, W) into a Tensor (N, H, W, C)."""
    return Tensor.from_numpy(np.ascontiguousarray(images.transpose(0, 2, 3, 1)))


def to_nchw(x: Tensor) -> NDArray[Any]:
    """Copy a Tensor (N, H, W, C) into an array (N, C, H, W)."""
    return np.ascontiguousarray(x.numpy().transpose(0, 3, 1, 2))
