"""A Sandblaster worker: the gradient of one portion of the data at a time, for whoever asks."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.distributed.engine import (
    Computed,
    GaveUpError,
    LostError,
    Port,
    Process,
    Sleep,
    Wait,
    Worker,
)
from sentei.distributed.objective import Batch, Chunks, Objective, Recipe, checked
from sentei.distributed.shard import no_point
from sentei.errors import NonFiniteError

__all__ = ["PortionWorker", "weight_of"]

_TRIES = 40  # at one shard, before the portion is given up


def weight_of(objective: Objective, batch: Batch) -> float:
    """Samples of a mini-batch when the objective can tell (`samples`), else 1: all weigh the same."""
    count = getattr(objective, "samples", None)
    return float(count(batch)) if count is not None else 1.0


class PortionWorker:
    """Computes portions with the weights of the current evaluation and adds them to the shards.

    Args:
        recipe: of the objective. chunks: data; None: comes with the work. shards: their workers.
        bounds: of their ranges. wait: seconds after which an answer is given up.
    """

    point: Callable[[str], str | None] = staticmethod(no_point)

    def __init__(
        self,
        recipe: Recipe,
        chunks: Chunks | None,
        shards: Sequence[Worker],
        bounds: Sequence[int],
        wait: float,
    ) -> None:
        self.objective, self.chunks, self.shards, self.wait = recipe.build(), chunks, shards, wait
        self.parts = [slice(a, b) for a, b in pairwise(bounds)]
        self.w = np.zeros(self.objective.size, np.float32)
        self.evaluation = -1  # whose weights are in w
        self.done, self.born = 0, secrets.token_hex(8)
        self.busy = False

    def beat(self) -> tuple[str, int]:
        """A sign of life: which process this is, and mini-batches done in it."""
        return self.born, self.done

    def work(self, evaluation: int, portion: int, batches: Sequence[Batch] | None) -> Process:
        """Compute a portion and add it to all shards.

        Returns (sum of weight times loss, sum of weights); infinity: a loss is not finite; None: the
        evaluation is over.
        """
        if self.busy:  # its answer was given up, but it lives: one at a time may use the weights
            raise LostError("sandblaster: the worker is still at another portion")
        self.busy = True
        try:
            return (yield from self._work(evaluation, portion, batches))
        finally:
            self.busy = False

    def _work(self, evaluation: int, portion: int, batches: Sequence[Batch] | None) -> Process:
        port: Port = yield None
        self.point("after_lease")
        if self.evaluation != evaluation and not (yield from self._fetch(port, evaluation)):
            return None
        self.point("after_fetch")
        if batches is None:
            assert self.chunks is not None
            batches = self.chunks[portion]
        total: NDArray[np.float64] = np.zeros(self.objective.size)
        loss = weight = 0.0
        for batch in batches:
            found = self.objective.loss_grad(self.w, batch)
            try:
                what = f"a mini-batch of portion {portion}"
                value, g = checked(self.objective.size, found, what)
            except NonFiniteError:  # of a trial that went too far: the search takes a shorter step
                return math.inf, weight
            share = weight_of(self.objective, batch)
            total += share * g.astype(np.float64)
            loss, weight = loss + share * value, weight + share
            self.done += 1
            yield Computed("gradient")
            self.point("in_portion")
        gradient = total.astype(np.float32)
        twice = self.point("before_push") == "duplicate"
        for _ in range(1 + twice):
            if not (yield from self._push(port, evaluation, portion, gradient)):
                return None
        return loss, weight

    def _fetch(self, port: Port, evaluation: int) -> Process:
        self.evaluation = -1
        for i, part in enumerate(self.parts):
            found = yield from self._ask(port, i, "fetch", evaluation)
            if found is None:
                return False
            self.w[part] = found
        self.evaluation = evaluation
        return True

    def _push(
        self, port: Port, evaluation: int, portion: int, gradient: NDArray[np.float32]
    ) -> Process:
        sent = [
            port.send(shard, "add", evaluation, portion, gradient[part])
            for shard, part in zip(self.shards, self.parts, strict=True)
        ]
        yield Wait(sent, len(sent), self.wait)
        fates = []
        for i, future in enumerate(sent):
            ready, _ = yield Wait([future], 1, 0)
            try:
                fate = port.take(future) if ready else None
            except LostError:
                fate = None
            if fate is None:  # a repeat is dropped
                part = gradient[self.parts[i]]
                fate = yield from self._ask(port, i, "add", evaluation, portion, part)
            fates.append(fate)
        return "late" not in fates

    def _ask(self, port: Port, i: int, method: str, *args: Any) -> Process:
        """Call a shard until it answers; it may be on its way back."""
        pause = 0.05
        for _ in range(_TRIES):
            future = port.send(self.shards[i], method, *args)
            ready, _ = yield Wait([future], 1, self.wait)
            if ready:
                try:
                    return port.take(future)
                except LostError:
                    pass
            yield Sleep(pause)
            pause = min(2 * pause, 1.0)
        raise GaveUpError(f"distributed: {self.shards[i].name} does not answer")
