"""What is trained: a function of one flat vector, and the data in chunks of mini-batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DTypeError, NonFiniteError, ShapeError

__all__ = ["Batch", "Chunks", "Objective", "Recipe", "checked", "cuts", "lengths_of", "start_of"]

Batch = Any  # one mini-batch, in whatever form the objective takes it


@runtime_checkable
class Objective(Protocol):
    """A loss and its gradient at flat weights; every worker makes one of its own."""

    size: int

    def loss_grad(self, w: NDArray[np.float32], batch: Batch) -> tuple[float, NDArray[np.float32]]:
        """Mean loss of a mini-batch and its gradient (size,) float32 at w (size,) float32."""


@runtime_checkable
class Recipe(Protocol):
    """How a worker makes its objective: plain data that travels, not a live object.

    blocks: last index of every layer's parameters in the flat vector; shards are cut there.
    """

    size: int

    def start(self) -> NDArray[np.float32]:
        """The weights that training begins with, (size,) float32."""

    def build(self) -> Objective:
        """The objective, in the worker's own process."""


class Chunks(Protocol):
    """Data in parts: chunk i is a list of mini-batches, the same whenever it is asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Sequence[Batch]: ...


def start_of(recipe: Recipe) -> NDArray[np.float32]:
    """The initial weights, checked."""
    w = recipe.start()
    if not isinstance(w, np.ndarray) or w.dtype != np.float32 or w.shape != (recipe.size,):
        raise ShapeError(
            f"distributed: start must give float32 of shape ({recipe.size},), got "
            f"{getattr(w, 'dtype', type(w).__name__)} of shape {getattr(w, 'shape', None)}"
        )
    return np.ascontiguousarray(w)


def checked(size: int, found: tuple[float, NDArray[np.float32]], what: str) -> tuple[float, Any]:
    """(loss, gradient) of an objective, or an error that says what is wrong with it.

    Raises:
        DTypeError, ShapeError: the gradient is not contiguous float32 of the weights' size.
        NonFiniteError: the loss is not finite.
    """
    loss, g = found
    if not isinstance(g, np.ndarray) or g.dtype != np.float32 or not g.flags.c_contiguous:
        raise DTypeError(
            "distributed: loss_grad must give a contiguous float32 gradient, "
            f"got {getattr(g, 'dtype', type(g).__name__)}"
        )
    if g.shape != (size,):
        raise ShapeError(f"distributed: the gradient must have shape ({size},), got {g.shape}")
    loss = float(loss)
    if not math.isfinite(loss):
        raise NonFiniteError(f"distributed: the loss must be finite, but {what} has {loss}")
    return loss, g


def cuts(size: int, shards: int, blocks: Sequence[int] = ()) -> tuple[int, ...]:
    """Bounds 0 = b[0] <= ... <= b[shards] = size of the shards, near equal shares.

    A bound falls on the end of a layer (`blocks`) where one lies within a tenth of a share, so that
    most layers lie whole in one shard.
    """
    if not 1 <= shards <= size:
        raise ValueError(f"distributed: shards must be in [1, {size}], got {shards}")
    bounds = [0]
    for i in range(1, shards):
        even = round(size * i / shards)
        near = min(blocks, key=lambda b: abs(b - even), default=even)
        within = abs(near - even) * 10 * shards <= size
        bounds.append(max(near if within else even, bounds[-1] + 1))
    return (*bounds, size)


def lengths_of(chunks: Chunks) -> list[int]:
    """Mini-batches of every chunk; a source that knows them (`length`) need not make them."""
    length = getattr(chunks, "length", None) or (lambda i: len(chunks[i]))
    return [int(length(i)) for i in range(len(chunks))]


def updates_of(batches: int, n_push: int) -> int:
    """Pushes of a chunk of so many mini-batches."""
    return -(-batches // n_push)
