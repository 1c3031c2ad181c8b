"""The graph of one training step - forward, loss, gradients, updates - and its runner."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import GraphError
from sentei.graph import Graph
from sentei.losses import Loss
from sentei.model import Model
from sentei.ops import ADD
from sentei.optim import Optimizer
from sentei.passes import grad, training
from sentei.regularizers import Regularizer
from sentei.run import Runner

__all__ = ["StepGraph", "StepRunner", "build_step"]


@dataclass(frozen=True)
class StepGraph:
    """graph of a whole step; states of the optimizer as they start; total: loss with regularizers;
    loss, correct: values to read; forward: how many nodes come before the gradients."""

    graph: Graph
    states: dict[str, Tensor]
    total: str
    loss: str
    correct: str | None
    forward: int


def build_step(
    model: Model, loss: Loss, regularizers: Sequence[Regularizer], optimizer: Optimizer
) -> StepGraph:
    """Append loss, regularizers, gradients and updates to a model's graph.

    Raises:
        GraphError: the loss does not fit the output, or reaches no parameter.
    """
    # A regularizer may read the value between batch norm and ReLU, which folding leaves out.
    g = model.graph.copy() if regularizers else training(model.graph)
    values = loss.emit(g, model.output)
    total = values.loss
    for r in regularizers:
        for term in r.emit(g, model.output):
            total = g.add(ADD, (total, term), name="objective")[0]
    forward = len(g.nodes)
    g, grads = grad(g, total)
    if not grads:
        raise GraphError("train: the loss must depend on a parameter of the model")
    states = optimizer.emit(g, grads)
    correct = values.metrics.get("correct")
    g.outputs = tuple(dict.fromkeys(v for v in (total, values.loss, correct) if v is not None))
    return StepGraph(g, states, total, values.loss, correct, forward)


class StepRunner(Runner):
    """Runs a step; the loss is looked at before anything is updated."""

    def __init__(self, step: StepGraph, tensors: Mapping[str, Tensor], batch: int) -> None:
        super().__init__(step.graph, tensors, batch)
        names = {n.name for n in step.graph.nodes[: step.forward]}
        self._cut = sum(s.node.name in names for s in self.plan.steps)
        self._total = step.total

    def step(self, feeds: Mapping[str, NDArray[Any]]) -> bool:
        """Forward; then, if the loss is finite, gradients and updates. False: nothing was updated."""
        for name, array in feeds.items():
            self.set(name, array)
        for call in self._calls[: self._cut]:
            call()
        if not math.isfinite(self.number(self._total)):
            return False
        for call in self._calls[self._cut :]:
            call()
        return True

    def number(self, name: str) -> float:
        """A value of one element."""
        return float(np.asarray(self._values[name])[0])

    def first_not_finite(self) -> str | None:
        """Where a value that is not finite comes from: an input, a parameter, or a layer."""
        for name, t in self.inputs.items():
            if not finite(t):
                return f"the input {name!r}"
        stored = self.plan.graph.by_role("param")
        for name in stored:
            if not finite(self._values[name]):
                return f"the parameter {name!r}"
        forward = zip(self.plan.steps[: self._cut], self._calls[: self._cut], strict=True)
        for step, call in forward:
            call()
            if not all(finite(self._values[o]) for o in step.node.outputs):
                return f"the layer {step.node.name!r}"
        return None


def finite(t: Tensor) -> bool:
    """Whether all numbers of a tensor are finite."""
    a = np.asarray(t)
    return a.dtype.kind != "f" or bool(np.isfinite(a).all())
