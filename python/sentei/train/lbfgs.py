"""Steps of L-BFGS: a mini-batch of any size in parts, a direction, a line search."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sentei._core import Tensor
from sentei.optim import LBFGS, Pairs, Point, Vector, strong_wolfe
from sentei.optim.lbfgs import GRADIENT, SHARE
from sentei.run.inputs import Feed
from sentei.train.resident import Gathered
from sentei.train.step import AT, LOG, Figures, StepGraph, StepRunner

__all__ = ["LbfgsRunner"]


class LbfgsRunner:
    """What StepRunner is for other optimizers; one step is one iteration of L-BFGS.

    The objective of a step is the mean over the mini-batch, with the terms of weight decay and L2;
    dropout and a mini-batch's crops stay the same within a step. Batch norm takes the statistics of a
    part of `chunk` samples; its moving averages are those of the last evaluation.
    """

    due = True  # figures are read step by step
    turn = 0

    def __init__(
        self, step: StepGraph, optimizer: LBFGS, tensors: Mapping[str, Tensor], batch: int
    ) -> None:
        self.opt, self.batch = optimizer, batch
        self._step, self._tensors = step, tensors
        self._parts: dict[int, StepRunner] = {}
        g = step.graph
        params = [p for p in g.by_role("param") if f"{p}.{GRADIENT}" in step.states]
        self._w = Vector([tensors[p] for p in params])
        self._g = Vector([tensors[f"{p}.{GRADIENT}"] for p in params])
        self._pairs = Pairs(params, step.states, optimizer.memory)
        self._start, self._g0, self._d = (self._w.like() for _ in range(3))
        decay = 2 * optimizer.l2 + optimizer.weight_decay
        shrunk = [p for p in params if g.values[p].decay] if decay else []
        self._decay = decay
        self._shrunk = Vector([tensors[p] for p in shrunk]) if shrunk else None
        self._shrunk_g = Vector([tensors[f"{p}.{GRADIENT}"] for p in shrunk]) if shrunk else None
        own = {*step.states, LOG, AT}
        moving = [tensors[s] for s in g.by_role("state") if s not in own]
        self._moving = [(t, Tensor.empty(t.shape, t.dtype, device=t.device)) for t in moving]
        self._feeds: dict[str, Any] = {}
        self._lr = optimizer.lr
        self._done: list[Figures] = []
        self._now = Figures(math.nan, math.nan, 0)
        self._known: tuple[bytes, float, float] | None = None  # what the gradient is of, w.w, value
        self._last: StepRunner | None = None
        self.stuck: str | None = None  # why further steps would change nothing

    # -- what a trainer asks of the runner of its steps ------------------------------------------
    @property
    def inputs(self) -> Mapping[str, Tensor]:
        """What can be written, by name."""
        return self._part(min(self.opt.chunk, self.batch)).inputs

    def feed(self, feeds: Mapping[str, Any]) -> None:
        """Take the mini-batch of the next step."""
        self._feeds = {k: v for k, v in feeds.items() if k != LBFGS.LR}
        self._lr = float(feeds[LBFGS.LR][0])

    def step(self, feeds: Mapping[str, Any]) -> bool:
        """Make an iteration. False: the loss is not finite before it, and nothing was changed."""
        self.feed(feeds)
        for t, kept in self._moving:
            kept.copy_from(t)
        same = self._known is not None and self._known[0] == self._key()
        value = self._value_here()
        if not math.isfinite(value):
            self._still()
            return False
        g2, w2 = self._g.dot(self._g), self._w.dot(self._w)
        if g2**0.5 <= self.opt.tolerance * max(1.0, w2**0.5):
            self._rest("the gradient has vanished" if same else None)
            return True
        self._start.copy(self._w)
        self._g0.copy(self._g)
        found = None
        while found is None:
            found = self._search(value, g2)
            if found is None and not self._pairs.count:
                break
            if found is None:
                self._pairs.forget()  # they belong to another place: down the gradient instead
        if found is None:
            self._w.copy(self._start)
            self._value()
            self._rest("no step lowers the loss by more than rounding" if same else None)
            return True
        self._pairs.put(found.t, self._d, self._g0, self._g)
        self._known = (self._key(), self._w.dot(self._w), found.value)
        self._done.append(self._now)
        return True

    def figures(self) -> Figures:
        """Those of the last evaluation."""
        return self._now

    def read(self) -> list[Figures]:
        """Figures of the steps since the last read: those of the point where a step ended."""
        done, self._done = self._done, []
        return done

    def rewind(self) -> None:
        """Nothing to take back: a step whose loss is not finite is never made."""

    def first_not_finite(self) -> str | None:
        """Where a value that is not finite comes from: an input, a parameter, or a layer."""
        return None if self._last is None else self._last.first_not_finite()

    # -- inside --------------------------------------------------------------------------------
    def _search(self, value: float, g2: float) -> Point | None:
        """A step from the start along -H g; the parameters, the gradient and `_now` are its."""
        fresh = not self._pairs.count
        self._pairs.direction(self._g0, self._d)
        slope = self._d.dot(self._g0)
        if not slope < 0:
            return None
        first = self._lr * (min(1.0, 1.0 / g2**0.5) if fresh else 1.0)
        at = 0.0

        def evaluate(t: float) -> Point:
            nonlocal at
            at = t
            self._w.copy(self._start)
            self._w.add(t, self._d)
            reached = self._value()
            return Point(t, reached, self._g.dot(self._d) if math.isfinite(reached) else math.nan)

        o = self.opt
        found = strong_wolfe(
            evaluate, Point(0.0, value, slope), first, c1=o.c1, c2=o.c2, evaluations=o.evaluations
        )
        if found is not None and at != found.t:
            evaluate(found.t)
        return found

    def _rest(self, stuck: str | None) -> None:
        """The step moves nothing. `_now` and the gradient are those of the parameters."""
        self._still()
        self._known = (self._key(), self._w.dot(self._w), self._now.total)
        self._done.append(self._now)
        self.stuck = stuck

    def _still(self) -> None:
        """Moving averages as they were before the step."""
        for t, kept in self._moving:
            t.copy_from(kept)

    def _value_here(self) -> float:
        """The objective where the parameters are; what the last step found, where nothing changed."""
        if self._known is not None and self._known[:2] == (self._key(), self._w.dot(self._w)):
            return self._known[2]
        return self._value()

    def _value(self) -> float:
        """Objective and gradient of the mini-batch at the parameters."""
        self._still()
        self._g.zero()
        total = loss = 0.0
        correct = 0
        for i in range(0, self.batch, self.opt.chunk):
            n = min(self.opt.chunk, self.batch - i)
            part, share = self._part(n), n / self.batch
            part.feed(self._slice(i, n))
            part.set(SHARE, np.array([-share], np.float32))
            part.run()
            found = part.figures()
            total, loss = total + share * found.total, loss + share * found.loss
            correct += found.correct
            self._last = part
            if not math.isfinite(found.total):
                total = loss = math.nan
                break
        if self._shrunk is not None and self._shrunk_g is not None:
            total += self._decay / 2 * self._shrunk.dot(self._shrunk)
            self._shrunk_g.add(self._decay, self._shrunk)
        self._now = Figures(total, loss, correct)
        return total

    def _part(self, n: int) -> StepRunner:
        if n not in self._parts:
            self._parts[n] = StepRunner(self._step, self._tensors, n)
        return self._parts[n]

    def _slice(self, first: int, n: int) -> dict[str, Feed]:
        """Samples first, first + 1, ... of the mini-batch; every part has random numbers of its own."""
        out: dict[str, Feed] = {}
        for name, what in self._feeds.items():
            if name == "rng":
                seed, step = (int(x) for x in what)
                parts = -(-self.batch // self.opt.chunk)
                out[name] = np.array([seed, step * parts + first // self.opt.chunk], np.int64)
            elif isinstance(what, Gathered):
                out[name] = Gathered(what.data, what.plan[first : first + n])
            else:
                out[name] = np.ascontiguousarray(what[first : first + n])
        return out

    def _key(self) -> bytes:
        """A number for the function that the step searches."""
        digest = hashlib.blake2b(digest_size=16)
        for name, what in sorted(self._feeds.items()):
            array = what.plan if isinstance(what, Gathered) else what
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.digest()
