"""Two optimizers that take turns: one mini-batch for the weights, the next for the gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sentei._core import Tensor
from sentei.errors import GraphError
from sentei.graph import Graph
from sentei.ops import GATE_CLIP_UPDATE
from sentei.optim.base import Grads, Optimizer, States, check_range
from sentei.optim.lbfgs import LBFGS
from sentei.optim.sgd import SGD

__all__ = ["InTurns"]


@dataclass(frozen=True)
class Gates(SGD):
    """SGD of auxiliary variables, kept within +-bound."""

    bound: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("InTurns", "bound", self.bound, 0)

    def emit(self, graph: Graph, grads: Grads) -> States:
        """Append all updates, then the clipping."""
        states = super().emit(graph, grads)
        for m in grads:
            graph.add(GATE_CLIP_UPDATE, (m,), {"bound": self.bound}, f"clip.{m}")
        return states


@dataclass(frozen=True)
class InTurns(Optimizer):
    """Train weights and auxiliary variables in turns, one mini-batch each, weights first.

    Args:
        weights: optimizer of everything but the auxiliary variables.
        gates: SGD of the auxiliary variables, which get no weight decay. bound: they are clipped to
        +-bound after every step of theirs. A schedule acts on the step sizes of both.
    Raises:
        TypeError: not such optimizers. ValueError: bound.
    Source:
        the thesis on feature maps, eq. 4.27 and 4.29.
    """

    lr: float = field(init=False, default=0.0)
    weight_decay: float = field(init=False, default=0.0)
    l2: float = field(init=False, default=0.0)
    weights: Optimizer
    gates: SGD
    bound: float = 1.0

    turns: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Optimizer) or isinstance(self.weights, InTurns | LBFGS):
            raise TypeError(f"InTurns: weights must be an optimizer, got {self.weights!r}")
        if type(self.gates) is not SGD:
            raise TypeError(f"InTurns: gates must be SGD, got {self.gates!r}")
        check_range("InTurns", "bound", self.bound, 0)
        object.__setattr__(self, "lr", self.weights.lr)

    def of_turn(self, turn: int) -> Optimizer:
        """The optimizer of the weights (turn 0) or of the auxiliary variables (turn 1)."""
        if turn == 0:
            return self.weights
        return Gates(self.gates.lr, momentum=self.gates.momentum, bound=self.bound)

    def trained(self, graph: Graph, params: Iterable[str], turn: int) -> list[str]:
        """The parameters that move in a turn."""
        gates = {n.inputs[0] for n in graph.nodes if n.op.name == "gate"}
        if not gates:
            raise GraphError(
                "InTurns: the network must have gates, got none; see prune.attach_gates"
            )
        return [p for p in params if (p in gates) == (turn == 1)]

    def start(self, params: Mapping[str, Tensor], states: Mapping[str, Tensor]) -> None:
        self.weights.start(params, states)

    def settle(self, params: Mapping[str, Tensor], states: Mapping[str, Tensor]) -> None:
        self.weights.settle(params, states)

    def materialise(self, states: Mapping[str, Tensor]) -> None:
        self.weights.materialise(states)

    def carried(self, name: str, old: Tensor, states: Mapping[str, Tensor]) -> Tensor:
        return self.weights.carried(name, old, states)

    def check_states(self, states: Mapping[str, Tensor]) -> None:
        self.weights.check_states(states)
