"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass

from sentei.graph import Graph
from sentei.ops import SGD_UPDATE
from sentei.optim.base import Grads, Optimizer, States, add_slot, check_range, lr_input, update

__all__ = ["SGD"]


@dataclass(frozen=True)
class SGD(Optimizer):
    """w += v, v = momentum v - lr g; v carries the lr of the step that made it.

    Args:
        lr: step size. momentum: in [0, 1); 0: w -= lr g. weight_decay, l2: see Optimizer.
    Source:
        S eq. 5, 6.
    """

    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("SGD", "momentum", self.momentum, 0, 1)

    def emit(self, graph: Graph, grads: Grads) -> States:
        """Append sgd_update nodes; slot "momentum" unless momentum is 0."""
        states: States = {}
        for param, g in grads.items():
            self.emit_one(graph, states, param, g)
        return states

    def slot(self, graph: Graph, states: States, param: str) -> str | None:
        """The state v of a parameter; None without momentum."""
        return add_slot(graph, states, param, "momentum") if self.momentum else None

    def emit_one(self, graph: Graph, states: States, param: str, g: str) -> None:
        """Append the update of one parameter."""
        v = self.slot(graph, states, param)
        attrs = {"momentum": self.momentum, **self._decay(graph, param)}
        update(graph, SGD_UPDATE, param, (param, g, v, lr_input(graph)), attrs)
