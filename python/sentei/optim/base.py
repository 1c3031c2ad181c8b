"""What every optimizer is: settings, and the update nodes that it appends to a graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sentei._core import Tensor
from sentei.errors import DataError
from sentei.graph import Graph, Op, Spec
from sentei.ops import COUNTER_ADVANCE

__all__ = ["Grads", "Optimizer", "States", "check_range"]

Grads = Mapping[str, str]  # parameter -> value of its gradient
States = dict[str, Tensor]


def check_range(kind: str, name: str, value: float, low: float, below: float = math.inf) -> None:
    """ValueError unless `value` is a finite number in [low, below)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < below:
        bound = f"in [{low:g}, {below:g})" if below < math.inf else f"at least {low:g}"
        raise ValueError(f"{kind}: {name} must be {bound}, got {value!r}")


@dataclass(frozen=True)
class Optimizer:
    """Base of the optimizers.

    lr: step size that a schedule starts from; each step's own value is the graph input "lr".
    weight_decay: adds weight_decay w to the gradient, l2: adds 2 l2 w, before anything else; on
    weights only, not on biases, gamma, beta (graph.Value.decay).
    """

    lr: float
    weight_decay: float = 0.0
    l2: float = 0.0

    LR: ClassVar[str] = "lr"
    turns: ClassVar[int] = 1  # kinds of steps that follow one another

    def __post_init__(self) -> None:
        kind = type(self).__name__
        check_range(kind, "lr", self.lr, 0)
        check_range(kind, "weight_decay", self.weight_decay, 0)
        check_range(kind, "l2", self.l2, 0)

    def of_turn(self, turn: int) -> Optimizer:
        """The optimizer of one kind of step."""
        return self

    def trained(self, graph: Graph, params: Iterable[str], turn: int) -> list[str]:
        """The parameters that one kind of step may change."""
        return list(params)

    def emit(self, graph: Graph, grads: Grads) -> States:
        """Append the updates of all parameters in `grads`; return new states by name, as they start.

        Declares the input "lr" (1,) and the states "<parameter>.<slot>".
        """
        raise NotImplementedError

    def start(self, params: Mapping[str, Tensor], states: Mapping[str, Tensor]) -> None:
        """Fill states that begin from the parameters; also when those were written from outside."""

    def settle(self, params: Mapping[str, Tensor], states: Mapping[str, Tensor]) -> None:
        """Write parameters whose steps so far stand in `states` only; changes no state."""

    def materialise(self, states: Mapping[str, Tensor]) -> None:
        """Bring states to a form that can be cut row by row."""

    def carried(self, name: str, old: Tensor, states: Mapping[str, Tensor]) -> Tensor:
        """A state of a rebuilt (pruned) network: `old` has been sliced like its parameter.

        states: those of the new network as they start.
        """
        return old

    def check_states(self, states: Mapping[str, Tensor]) -> None:
        """DataError when states read from a file cannot be used."""
        t = states.get(COUNT)
        if t is not None and int(t.numpy()[0]) < 1:
            raise DataError(f"{type(self).__name__}: {COUNT} must be at least 1")

    def _decay(self, graph: Graph, param: str) -> dict[str, float]:
        if not graph.values[param].decay:
            return {"weight_decay": 0.0, "l2": 0.0}
        return {"weight_decay": self.weight_decay, "l2": self.l2}


COUNT = "optimizer.t"


def lr_input(graph: Graph) -> str:
    """The input that carries the step size."""
    if Optimizer.LR not in graph.values:
        graph.add_input(Optimizer.LR, Spec((1,)))
    return Optimizer.LR


def add_slot(graph: Graph, states: States, param: str, slot: str) -> str:
    """Declare a state of the shape of a parameter, zero at the start."""
    spec = graph.values[param].spec
    assert spec is not None
    name = graph.add_state(f"{param}.{slot}", spec)
    states[name] = Tensor.zeros(spec.shape, spec.dtype)
    return name


def add_number(graph: Graph, states: States, name: str, array: np.ndarray) -> str:
    """Declare a state that starts as this integer array."""
    states[name] = Tensor.from_numpy(array)
    return graph.add_state(name, Spec(tuple(array.shape), str(array.dtype)))


def add_count(graph: Graph, states: States) -> str:
    """Declare the number of the update, from 1; `count_on` moves it after the updates."""
    return add_number(graph, states, COUNT, np.ones(1, np.int64))


def count_on(graph: Graph, count: str, modulo: int = 0) -> None:
    graph.add(COUNTER_ADVANCE, (count,), {"modulo": modulo}, f"update.{count}")


def update(
    graph: Graph, op: Op, param: str, inputs: Sequence[str | None], attrs: Mapping[str, object]
) -> None:
    graph.add(op, inputs, dict(attrs), f"update.{param}")
