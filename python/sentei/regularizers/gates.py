"""The price of open gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sentei.errors import GraphError
from sentei.graph import Graph
from sentei.ops import GATE_PENALTY
from sentei.regularizers.base import Regularizer, check_lam

__all__ = ["OpenGates"]


@dataclass(frozen=True)
class OpenGates(Regularizer):
    """lam sum over layers of the mean of h(m): what auxiliary variables pay for open filters.

    Args:
        lam: weight of the term.
    Raises (emit):
        GraphError: the network has no gates (prune.attach_gates gives it some).
    Source:
        the thesis on feature maps, eq. 4.28.
    """

    lam: float

    reads_activations: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_lam("OpenGates", self.lam)

    def emit(self, graph: Graph, output: str) -> list[str]:
        """Append one gate_penalty per gated layer."""
        gates = [n for n in graph.nodes if n.op.name == "gate"]
        if not gates:
            raise GraphError(
                "OpenGates: the network must have gates, got none; see prune.attach_gates"
            )
        return [
            graph.add(GATE_PENALTY, n.outputs, {"lam": self.lam}, f"penalty.{n.name}")[0]
            for n in gates
        ]
