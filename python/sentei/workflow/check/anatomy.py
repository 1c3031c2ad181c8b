"""A network with its loss and gradients, every value of it to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.graph import Graph, Node
from sentei.losses import Loss
from sentei.model import Model
from sentei.ops import ADD
from sentei.passes import grad, infer_specs
from sentei.regularizers import Regularizer
from sentei.run import Runner

__all__ = ["Anatomy", "without_dropout"]


class Anatomy:
    """The training form of a copy of a model on one mini-batch, without any update.

    Random numbers stay the same, so that the objective is a function of the parameters.
    """

    def __init__(
        self,
        model: Model,
        loss: Loss,
        regularizers: Sequence[Regularizer],
        x: NDArray[np.float32],
        labels: NDArray[Any],
        seed: int = 0,
    ) -> None:
        self.model = model.copy()
        self.loss = loss
        g = self.model.graph.copy()
        values = loss.emit(g, model.output)
        total = values.loss
        for r in regularizers:
            for term in r.emit(g, model.output):
                total = g.add(ADD, (total, term), name="objective")[0]
        self._total, self._loss = total, values.loss
        forward = g.copy()
        forward.outputs = tuple(dict.fromkeys((total, values.loss, model.output)))
        whole, self.gradients = grad(g, total)
        whole.outputs = forward.outputs
        self.nodes = list(self.model.graph.nodes)
        maps = [n.outputs[0] for n in self.nodes]
        outputs = infer_specs(model.graph, 1)[model.output].shape[-1]
        self._truth = loss.truth(labels, outputs)
        n, device, tensors = len(x), model.device, self.model.tensors
        self._forward = Runner(forward, tensors, n, device=device)
        self._whole = Runner(whole, tensors, n, (*maps, *self.gradients.values()), device)
        for runner in (self._forward, self._whole):
            runner.set(model.input, x)
            runner.set(loss.takes, self._truth)
            if "rng" in runner.inputs:
                runner.set("rng", np.array([seed, 0], np.int64))

    def value(self) -> float:
        """The objective; the loss of every sample in float64, from outputs in float32."""
        self._forward.run()
        return self._read(self._forward)

    def _read(self, runner: Runner) -> float:
        y = runner.fetch(self.model.output)
        with np.errstate(all="ignore"):
            mean = float(self.loss.per_sample(y, self._truth).mean())
        if self._total == self._loss:
            return mean
        return mean + float(runner.fetch(self._total)[0]) - float(runner.fetch(self._loss)[0])

    def run(self) -> float:
        """Compute all: then `gradient`, `map` and `outputs` can be read. Returns the objective."""
        self._whole.run()
        return self._read(self._whole)

    def gradient(self, param: str) -> NDArray[np.float64]:
        """That of a parameter that the loss depends on."""
        return self._whole.fetch(self.gradients[param]).astype(np.float64)

    def map(self, node: Node) -> NDArray[Any]:
        """What a node of the model gave."""
        return self._whole.fetch(node.outputs[0])

    def outputs(self) -> NDArray[Any]:
        """Outputs (N, K)."""
        return self._whole.fetch(self.model.output)


def without_dropout(model: Model) -> Model:
    """The same network, on the same tensors, that drops nothing in training."""
    renamed: dict[str | None, str | None] = {}
    nodes: list[Node] = []
    for n in model.graph.nodes:
        ins = tuple(renamed.get(v, v) for v in n.inputs)
        if n.op.name == "dropout":
            renamed[n.outputs[0]] = ins[0]
        else:
            nodes.append(Node(n.name, n.op, ins, n.outputs, n.attrs))
    outputs = [renamed.get(o, o) or o for o in model.graph.outputs]
    g: Graph = model.graph.rebuild(nodes, outputs)
    used = {v for n in nodes for v in n.inputs} | set(outputs)
    g.values = {k: v for k, v in g.values.items() if v.role != "input" or k in used}
    return Model(g, model.tensors, model.meta)
