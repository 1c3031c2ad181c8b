"""What every regularizer is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from sentei.errors import GraphError
from sentei.graph import Graph, Node

__all__ = ["Regularizer", "check_lam", "matching"]


@dataclass(frozen=True)
class Regularizer:
    """Base: `emit` appends nodes and returns scalar values (1,) to be added to the loss.

    reads_activations: whether it may read values between layers, which must then not be folded away.
    """

    reads_activations: ClassVar[bool] = True

    def emit(self, graph: Graph, output: str) -> list[str]:
        """Append the terms. graph: forward graph with its loss; output: the network's output."""
        raise NotImplementedError


def check_lam(kind: str, lam: float) -> None:
    if not 0 <= lam < float("inf"):
        raise ValueError(f"{kind}: lam must be at least 0, got {lam!r}")


def matching(kind: str, nodes: Sequence[Node], patterns: str | Sequence[str]) -> list[Node]:
    """Nodes whose name fits one of the patterns; GraphError when a pattern fits none."""
    every = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    for p in every:
        if not any(fnmatchcase(n.name, p) for n in nodes):
            names = [n.name for n in nodes]
            raise GraphError(f"{kind}: layers must name some of {names}, got {p!r}")
    return [n for n in nodes if any(fnmatchcase(n.name, p) for p in every)]
