"""The graph of one training step - forward, loss, gradients, updates - and its runner."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sentei._core import Tensor
from sentei.errors import GraphError
from sentei.graph import Graph, Spec
from sentei.losses import Loss
from sentei.model import Model
from sentei.ops import ADD, RECORD_APPEND
from sentei.optim import Optimizer, SemiSync
from sentei.passes import fuse_statistics, fuse_updates, grad, precision, training
from sentei.prune import ScoreSums
from sentei.regularizers import Regularizer
from sentei.run import Runner
from sentei.run.inputs import Feed
from sentei.run.runner import finite
from sentei.train.world import ALONE, World

__all__ = ["Figures", "StepGraph", "StepRunner", "build_step", "finite"]

LOG, AT = "record.log", "record.at"
_ROWS = 64  # steps that a device makes before its figures are read, at most
_SECONDS = 0.25  # and at least so often


class Figures(NamedTuple):
    """What is read of a step: the loss with and without regularizers, and right answers."""

    total: float
    loss: float
    correct: int

    def add_to(self, sums: dict[str, float]) -> None:
        """Count this step."""
        gained = {"loss": self.loss, "objective": self.total, "correct": self.correct, "steps": 1}
        for k, value in gained.items():
            sums[k] += value


@dataclass(frozen=True)
class StepGraph:
    """graph of a whole step; states of the optimizer as they start; total: loss with regularizers;
    loss, correct: values to read; forward: how many nodes come before the gradients; scores: sums
    that the step gathers, in states "scores.*"."""

    graph: Graph
    states: dict[str, Tensor]
    total: str
    loss: str
    correct: str | None
    forward: int
    scores: ScoreSums | None = None


def build_step(
    model: Model,
    loss: Loss,
    regularizers: Sequence[Regularizer],
    optimizer: Optimizer,
    products: str = "float32",
    scores: Sequence[str] = (),
    turn: int = 0,
    world: World = ALONE,
    batch: int = 1,
) -> StepGraph:
    """Append loss, regularizers, gradients and updates to a model's graph.

    On a device the figures of a step go into a log there. products: see sentei.passes.precision.
    scores: layers whose batch sums of x . g the step adds up; updates stay the same to the bit.
    turn: which of the optimizer's kinds of steps. world, batch: the processes that share a mini-batch
    of so many samples.

    Raises:
        GraphError: the loss does not fit the output, or reaches no parameter; scores names no layer.
    """
    # A regularizer may read the value between batch norm and ReLU, which folding leaves out.
    g = model.graph.copy()
    optimizer, all_turns = optimizer.of_turn(turn), optimizer
    partial = optimizer.chosen(g) if isinstance(optimizer, SemiSync) else ()
    reads = any(r.reads_activations for r in regularizers)
    sums = ScoreSums.find(model.graph, g, scores, partial)
    if not reads:
        g = training(
            g, keep=tuple(sums.points.values()), join=model.device == "cpu" and world.size == 1
        )
    values = loss.emit(g, model.output)
    total = values.loss
    for r in regularizers:
        for term in r.emit(g, model.output):
            total = g.add(ADD, (total, term), name="objective")[0]
    if reads:  # regularizers may read what lies between
        sums = ScoreSums.find(model.graph, g, scores, partial)
    forward = len(g.nodes)
    params = all_turns.trained(g, g.by_role("param"), turn)
    g, found = grad(g, total, dict.fromkeys([*params, *sums.points.values()]))
    grads = {k: v for k, v in found.items() if k in params}
    if not grads:
        raise GraphError("train: the loss must depend on a parameter of the model")
    summed = sums.emit(g, found)  # before the parameters change
    states = {**optimizer.emit(g, grads), **summed}
    correct = values.metrics.get("correct")
    g.outputs = tuple(dict.fromkeys(v for v in (total, values.loss, correct) if v is not None))
    if model.device != "cpu":
        g = fuse_statistics(fuse_updates(g))
        log = g.add_state(LOG, Spec((_ROWS, 3), "float64"))
        at = g.add_state(AT, Spec((1,), "int64"))
        g.add(RECORD_APPEND, (total, values.loss, correct, log, at), name="record")
    g = precision(g, products, model.device)
    placed = {k: t.to(model.device) for k, t in states.items()}
    made = StepGraph(g, placed, total, values.loss, correct, forward, sums if scores else None)
    return world.rewrite(made, grads, batch)


class StepRunner(Runner):
    """Runs steps. `step` issues one, `read` gives the figures of those since the last `read`.

    On cpu the loss is looked at before anything is updated: a step whose loss is not finite is not
    made. On cuda steps follow one another unseen; when one turns out not finite, `rewind` puts
    everything back to the last `read`, so that the steps before it can be made again.
    """

    turn = 0  # whose step is made (sentei.train.turns)
    stuck: str | None = None  # why further steps would change nothing

    def __init__(self, step: StepGraph, tensors: Mapping[str, Tensor], batch: int) -> None:
        device = next(iter(tensors.values())).device
        own = {}
        if device != "cpu":
            own[LOG] = Tensor.zeros((_ROWS, 3), "float64", device=device)
            own[AT] = Tensor.zeros((1,), "int64", device=device)
        super().__init__(step.graph, {**tensors, **own}, batch, device=device)
        names = {n.name for n in step.graph.nodes[: step.forward]}
        self._cut = sum(s.node.name in names for s in self.plan.steps)
        self._figures = (step.total, step.loss, step.correct)
        self._done: list[Figures] = []  # on cpu
        self._issued, self._last = 0, 0.0  # on cuda, since the last read
        changed = {
            v
            for s in self.plan.steps
            for v in s.node.changed()
            if self.plan.graph.values[v].role in ("param", "state")
        }
        self._changed = [self._values[v] for v in sorted(changed)] if device != "cpu" else []
        self._before = [Tensor.empty(t.shape, t.dtype, device=device) for t in self._changed]

    def feed(self, feeds: Mapping[str, Feed]) -> None:
        """Write inputs."""
        for name, what in feeds.items():
            self.set(name, what)

    def step(self, feeds: Mapping[str, Feed]) -> bool:
        """Make a step. False, on cpu only: the loss is not finite and nothing was updated."""
        self.feed(feeds)
        if self.device == "cpu":
            return self._watched()
        if not self._issued:
            self._last = time.monotonic()
            for kept, t in zip(self._before, self._changed, strict=True):
                kept.copy_from(t)
        self.run()
        self._issued += 1
        return True

    def _watched(self) -> bool:
        for call in self._calls[: self._cut]:
            call()
        found = self.figures()
        if not math.isfinite(found.total):
            return False
        for call in self._calls[self._cut :]:
            call()
        self._done.append(found)
        return True

    @property
    def due(self) -> bool:
        """Whether the figures should be read now."""
        if self.device == "cpu":
            return True
        return self._issued >= _ROWS or (
            self._issued > 0 and time.monotonic() - self._last >= _SECONDS
        )

    def read(self) -> list[Figures]:
        """Figures of the steps since the last read; on cuda the host waits for them here only."""
        if self.device == "cpu":
            done, self._done = self._done, []
            return done
        if not self._issued:
            return []
        rows = self._values[LOG].numpy()
        at = int(self._values[AT].numpy()[0])
        order = [(at - self._issued + i) % _ROWS for i in range(self._issued)]
        self._issued = 0
        return [Figures(float(r[0]), float(r[1]), int(r[2])) for r in rows[order]]

    def rewind(self) -> None:
        """Put parameters and states back to where they were before the steps last read."""
        for kept, t in zip(self._before, self._changed, strict=True):
            t.copy_from(kept)
        self._issued = 0

    def figures(self) -> Figures:
        """Those of the step just made, or of its forward part."""
        total, loss, correct = self._figures
        right = 0 if correct is None else int(self.number(correct))
        return Figures(self.number(total), self.number(loss), right)

    def number(self, name: str) -> float:
        """A value of one element."""
        return float(self._values[name].numpy()[0])

    def first_not_finite(self) -> str | None:
        """Where a value that is not finite comes from: an input, a parameter, or a layer."""
        self._inputs.flush()
        for name, t in self.inputs.items():
            if not finite(t):
                return f"the input {name!r}"
        for name in self.plan.graph.by_role("param"):
            if not finite(self._values[name]):
                return f"the parameter {name!r}"
        layer = self._first_not_finite(range(self._cut))
        return None if layer is None else f"the layer {layer!r}"
