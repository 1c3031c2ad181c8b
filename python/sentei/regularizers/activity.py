"""Sparse activity: the sum of log(1 + u^2) over what goes into (or comes out of) a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sentei.errors import GraphError
from sentei.graph import Graph
from sentei.ops import SPARSE_PENALTY
from sentei.regularizers.base import Regularizer, check_lam, matching

__all__ = ["LogActivity"]

_ACTIVATIONS = ("relu", "leaky_relu", "elu", "prelu")


@dataclass(frozen=True)
class LogActivity(Regularizer):
    """lam / (N D) sum log(1 + u^2) per chosen layer, D the elements of u per sample.

    Args:
        lam: weight of the term.
        layers: names of layers (activations, pools, batch norms, ...), or patterns of them; None: all
            ReLU-like activations.
        form: "neuron": log(1 + u_d^2) of every element (T 2.33); "channel": log(1 + |u^(c)|^2) of
            every channel over its pixels (T 2.43).
        where: take u from the layer's "input" or its "output".
    Raises (emit):
        GraphError: a name that no layer has; a ReLU that is fused into the layer before it.
    """

    lam: float
    layers: str | Sequence[str] | None = None
    form: Literal["neuron", "channel"] = "neuron"
    where: Literal["input", "output"] = "input"

    def __post_init__(self) -> None:
        check_lam("LogActivity", self.lam)
        if self.form not in ("neuron", "channel"):
            raise ValueError(f"LogActivity: form must be 'neuron' or 'channel', got {self.form!r}")
        if self.where not in ("input", "output"):
            raise ValueError(f"LogActivity: where must be 'input' or 'output', got {self.where!r}")
        if self.layers is not None and not isinstance(self.layers, str):
            object.__setattr__(self, "layers", tuple(self.layers))

    def emit(self, graph: Graph, output: str) -> list[str]:
        """Append one sparse_penalty per chosen layer."""
        nodes = [n for n in graph.nodes if n.name != "loss" and not n.name.startswith("penalty.")]
        if self.layers is None:
            chosen = [n for n in nodes if n.op.name in _ACTIVATIONS]
            if not chosen:
                raise GraphError("LogActivity: layers must be given for a network without ReLU")
        else:
            chosen = matching("LogActivity", nodes, self.layers)
        attrs = {"lam": self.lam, "form": self.form}
        terms = []
        for n in chosen:
            u = n.inputs[0] if self.where == "input" else n.outputs[0]
            terms.append(graph.add(SPARSE_PENALTY, (u,), attrs, f"penalty.{n.name}")[0])
        return terms
