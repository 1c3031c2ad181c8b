"""Auxiliary variables on the filters of a network: put them there, and read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import GraphError
from sentei.graph import Attrs, Graph, Node, Spec
from sentei.model import Model
from sentei.ops import GATE, GATE_WEIGHTS
from sentei.passes import freeze_statistics, gate_values
from sentei.prune.units import pruning_map

__all__ = ["BOUND", "START", "Gate", "Kind", "attach_gates", "gates_of"]

Kind = Literal["step", "sigmoid"]
Layers = str | Sequence[str] | None
BOUND = 1.0  # m is clipped to +-1
START = 0.1  # where it begins: the sigmoid of steepness 50 is dead beyond +-0.3
ALPHA = 50.0
NORMS = ("batch_norm", "batch_norm_inference")


@dataclass(frozen=True)
class Gate:
    """The gates of one layer: its name, its auxiliary variables, and how h follows from them."""

    layer: str
    m: str
    attrs: Attrs

    def values(self, m: NDArray[np.float32]) -> NDArray[np.float64]:
        """h(m)."""
        return gate_values(m, self.attrs)


def gates_of(graph: Graph) -> tuple[Gate, ...]:
    """The gates of a graph, in its order."""
    return tuple(
        Gate(n.name.removesuffix(".gate"), str(n.inputs[0]), n.attrs)
        for n in graph.nodes
        if n.op.name == "gate"
    )


def matched(
    graph: Graph, layers: Layers, default: Sequence[str], refused: Mapping[str, str]
) -> list[str]:
    """Names of layers that patterns choose, in the order of the graph.

    default: those for None. refused: layers that cannot be taken, and why.
    """
    names = [n.name for n in graph.nodes if n.op.name in ("conv2d", "linear")]
    if layers is None:
        chosen = [n for n in names if n in default]
        if not chosen:
            raise GraphError("gates: the network must have a layer that can be pruned, got none")
        return chosen
    patterns = (layers,) if isinstance(layers, str) else tuple(layers)
    found: set[str] = set()
    for p in patterns:
        hits = [n for n in names if fnmatchcase(n, p)]
        if not hits:
            raise GraphError(f"gates: layers must name some of {names}, got {p!r}")
        able = [n for n in hits if n not in refused]
        if not able:
            raise GraphError(
                f"gates: layers must name layers that can be pruned, got {p!r}: "
                f"{hits[0]}: {refused[hits[0]]}"
            )
        found.update(able)
    return [n for n in names if n in found]


def check_settings(
    graph: Graph, kind: str, alpha: float, start: float, bound: float = BOUND
) -> None:
    """Raise unless gates can be put on this graph with these settings."""
    if kind not in ("step", "sigmoid"):
        raise ValueError(f"gates: kind must be 'step' or 'sigmoid', got {kind!r}")
    if not 0 < alpha < float("inf"):
        raise ValueError(f"gates: alpha must be a finite number above 0, got {alpha!r}")
    if not -bound <= start <= bound:
        raise ValueError(f"gates: start must be within +-{bound:g}, got {start!r}")
    if gates_of(graph):
        raise GraphError("gates: the network must have none yet, got one that has")


def norm_after(graph: Graph, node: Node) -> Node | None:
    """The batch norm that alone reads a layer's output."""
    readers = graph.consumers()[node.outputs[0]]
    if len(readers) == 1 and readers[0].op.name in NORMS and node.outputs[0] not in graph.outputs:
        return readers[0]
    return None


def attach_gates(
    model: Model,
    kind: Kind = "sigmoid",
    *,
    layers: Layers = None,
    place: Literal["output", "norm_input"] = "output",
    alpha: float = ALPHA,
    start: float = START,
    freeze: bool = False,
) -> Model:
    """A copy of the model with h(m) on the output of every filter of the chosen layers.

    h multiplies gamma and beta of the batch norm that follows the layer, or where none does the
    filter and its bias: the same as the layer's output, before the activation, at the cost of some
    numbers per channel.

    Args:
        kind: "step" (AutoPrune) or "sigmoid". alpha: its steepness.
        layers: names or patterns; None: all convolutions that can be pruned. place: "norm_input"
        puts h ahead of a batch norm, which then cancels it (T 4.23). start: first m.
        freeze: the statistics of batch norms stand still while the gates learn (T 4.9).
    Raises:
        GraphError: a pattern matches no layer, or none that can be pruned. ValueError: settings.
    Source:
        T eq. 4.17 to 4.21; methods section 6.
    """
    graph = model.graph
    check_settings(graph, kind, alpha, start)
    if place not in ("output", "norm_input"):
        raise ValueError(f"gates: place must be 'output' or 'norm_input', got {place!r}")
    table = pruning_map(graph, include=("conv2d", "linear")).layers
    chosen = matched(
        graph,
        layers,
        [x.name for x in table if x.op == "conv2d" and x.prunable],
        {x.name: x.reason or "" for x in table if not x.prunable},
    )
    targets: dict[str, tuple[str, Node]] = {}  # the node that gates change, and its layer
    for name in chosen:
        node = graph.node(name)
        norm = norm_after(graph, node) if place == "output" else None
        targets[(norm or node).name] = (name, node)
    builder = Builder(model)
    for node in graph.nodes:
        if node.name not in targets:
            builder.nodes.append(node)
            continue
        layer, conv = targets[node.name]
        width = model.tensors[str(conv.input("w"))].shape[0]
        h = builder.gate(layer, width, kind, alpha, start)
        names = ("gamma", "beta") if node.op.name in NORMS else ("w", "b")
        swap = {p: builder.gated(p, h) for p in map(node.input, names) if p is not None}
        ins = tuple(None if v is None else swap.get(v, v) for v in node.inputs)
        builder.nodes.append(Node(node.name, node.op, ins, node.outputs, node.attrs))
    return builder.model(freeze)


class Builder:
    """Collects the nodes and parameters of a model with gates."""

    def __init__(self, model: Model) -> None:
        self.source = model.copy()
        self.graph = self.source.graph
        self.tensors = self.source.tensors
        self.nodes: list[Node] = []
        self.outputs: Iterable[str] = self.graph.outputs

    def param(self, name: str, array: NDArray[np.float32], *, decay: bool = False) -> str:
        """A new parameter."""
        self.graph.add_param(name, Spec(array.shape), decay=decay)
        self.tensors[name] = Tensor.from_numpy(array).to(self.source.device)
        return name

    def gate(self, layer: str, width: int, kind: str, alpha: float, start: float) -> str:
        """Auxiliary variables of a layer; the value h."""
        m = self.param(f"{layer}.m", np.full(width, start, np.float32))
        attrs, name = {"kind": kind, "alpha": float(alpha)}, f"{layer}.gate"
        self.nodes.append(Node(name, GATE, (m,), (name,), attrs))
        return name

    def gated(self, param: str, h: str) -> str:
        """A parameter times h."""
        out = f"{param}.gated"
        self.nodes.append(Node(out, GATE_WEIGHTS, (param, h), (out,), {"estimator": "value"}))
        return out

    def model(self, freeze: bool) -> Model:
        graph = self.graph.rebuild(self.nodes, tuple(self.outputs))
        if freeze:
            graph = freeze_statistics(graph)
        return Model(graph, self.tensors, self.source.meta)
