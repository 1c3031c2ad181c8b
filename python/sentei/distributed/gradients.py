"""The worker of synchronous SGD: gradients at weights that it is given."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from sentei.distributed.engine import Computed, LostError, Process
from sentei.distributed.objective import Chunks, Recipe, checked
from sentei.distributed.shard import Weights, no_point

__all__ = ["GradientWorker"]


class GradientWorker:
    """Computes gradients at weights that it is given.

    Args:
        recipe: of the objective. chunks: data; None: a mini-batch comes with every call.
        bounds: of the shards' ranges.
    """

    point: Callable[[str], str | None] = staticmethod(no_point)

    def __init__(self, recipe: Recipe, chunks: Chunks | None, bounds: Sequence[int]) -> None:
        self.objective = recipe.build()
        self.bounds = tuple(bounds)
        self.w = np.zeros(self.objective.size, np.float32)
        if chunks is not None:
            self.chunk = functools.lru_cache(maxsize=2)(lambda i: chunks[i])

    def beat(self) -> bool:
        """A sign of life."""
        return True

    def gradient(self, place: tuple[int, int], batch: Any, *weights: Weights) -> Process:
        """Loss and the gradient's part for every shard, of a mini-batch.

        Args:
            place: (chunk, mini-batch in it). batch: it, or None. weights: of every shard.
        """
        yield None
        self.point("after_fetch")
        if len({w.version for w in weights}) != 1:
            raise LostError("distributed: the weights must be of one step")
        for w, (a, b) in zip(weights, pairwise(self.bounds), strict=True):
            self.w[a:b] = w.values
        if batch is None:
            batch = self.chunk(place[0])[place[1]]
        what = f"mini-batch {place[1]} of chunk {place[0]}"
        loss, g = checked(self.objective.size, self.objective.loss_grad(self.w, batch), what)
        yield Computed("gradient")
        self.point("after_gradient")
        return loss, *(g[a:b] for a, b in pairwise(self.bounds))
