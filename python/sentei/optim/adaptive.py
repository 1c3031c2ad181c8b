"""Optimizers with a step size of its own for every element."""

from __future__ import annotations

from dataclasses import dataclass

from sentei.graph import Graph
from sentei.ops import ADAGRAD_UPDATE, ADAM_UPDATE, RMSPROP_UPDATE
from sentei.optim.base import (
    Grads,
    Optimizer,
    States,
    add_count,
    add_slot,
    check_range,
    count_on,
    lr_input,
    update,
)

__all__ = ["AdaGrad", "Adam", "RMSprop"]

_TINY = 1e-300  # "above 0" for check_range


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """h += g^2;  w -= lr g / (sqrt(h) + eps)."""

    eps: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("AdaGrad", "eps", self.eps, _TINY)

    def emit(self, graph: Graph, grads: Grads) -> States:
        """Append adagrad_update nodes; slot "square_sum"."""
        states: States = {}
        for param, g in grads.items():
            h = add_slot(graph, states, param, "square_sum")
            attrs = {"eps": self.eps, **self._decay(graph, param)}
            update(graph, ADAGRAD_UPDATE, param, (param, g, h, lr_input(graph)), attrs)
        return states


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """h = alpha h + (1 - alpha) g^2;  w -= lr g / sqrt(h + eps)."""

    alpha: float = 0.99
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("RMSprop", "alpha", self.alpha, 0, 1)
        check_range("RMSprop", "eps", self.eps, _TINY)

    def emit(self, graph: Graph, grads: Grads) -> States:
        """Append rmsprop_update nodes; slot "square_mean"."""
        states: States = {}
        for param, g in grads.items():
            h = add_slot(graph, states, param, "square_mean")
            attrs = {"alpha": self.alpha, "eps": self.eps, **self._decay(graph, param)}
            update(graph, RMSPROP_UPDATE, param, (param, g, h, lr_input(graph)), attrs)
        return states


@dataclass(frozen=True)
class Adam(Optimizer):
    """w -= lr m^ / (sqrt(v^) + eps), with bias correction (t from 1).

    m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  m^ = m / (1 - beta1^t), v^ alike.
    eps_inside: sqrt(v^ + eps) in place of sqrt(v^) + eps (B eq. 68).
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    eps_inside: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("Adam", "beta1", self.beta1, 0, 1)
        check_range("Adam", "beta2", self.beta2, 0, 1)
        check_range("Adam", "eps", self.eps, _TINY)

    def emit(self, graph: Graph, grads: Grads) -> States:
        """Append adam_update nodes; slots "mean" and "square_mean", one count for all."""
        states: States = {}
        if not grads:
            return states
        count = add_count(graph, states)
        attrs = {"beta1": self.beta1, "beta2": self.beta2, "eps": self.eps}
        attrs["eps_inside"] = self.eps_inside
        for param, g in grads.items():
            m = add_slot(graph, states, param, "mean")
            v = add_slot(graph, states, param, "square_mean")
            inputs = (param, g, m, v, count, lr_input(graph))
            update(graph, ADAM_UPDATE, param, inputs, {**attrs, **self._decay(graph, param)})
        count_on(graph, count)
        return states
