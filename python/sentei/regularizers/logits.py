"""The discriminant criterion on the logits."""

from __future__ import annotations

from dataclasses import dataclass

from sentei.errors import GraphError
from sentei.graph import Graph
from sentei.ops import DISCRIMINANT_PENALTY
from sentei.regularizers.base import Regularizer, check_lam

__all__ = ["Discriminant"]


@dataclass(frozen=True)
class Discriminant(Regularizer):
    """lam sum_k W_k / T_k of the logits: within-class over total variance per class (T 3.14).

    Needs a loss with class labels.
    """

    lam: float = 1.0

    def __post_init__(self) -> None:
        check_lam("Discriminant", self.lam)

    def emit(self, graph: Graph, output: str) -> list[str]:
        """Append discriminant_penalty on the output and the input "labels"."""
        if "labels" not in graph.values:
            raise GraphError("Discriminant: the loss must take class labels (CrossEntropy, ...)")
        inputs, attrs = (output, "labels"), {"lam": self.lam}
        return [graph.add(DISCRIMINANT_PENALTY, inputs, attrs, f"penalty.{output}")[0]]
