"""What the whole graph says about each weight layer: connections, and what stands around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sentei.errors import GraphError
from sentei.graph import Graph, Node, Spec
from sentei.init.constants import gamma_average, gamma_max, tau_average, tau_max, tau_max_plain
from sentei.passes import infer_specs

__all__ = ["LayerVariance", "Stage", "connections", "taps", "variances", "weight_nodes"]

_WEIGHTED = ("conv2d", "linear")
_ACTIVATIONS = (
    "relu",
    "leaky_relu",
    "elu",
    "prelu",
    "logistic",
    "tanh",
    "softplus",
    "step",
    "clip",
    "maxout",
)
_TRANSPARENT = (
    "batch_norm",
    "batch_norm_inference",
    "channel_scale",
    "dropout",
    "flatten",
    "scale",
)
_POOLS: dict[str, Literal["max", "average"]] = {
    "max_pool2d": "max",
    "avg_pool2d": "average",
    "global_avg_pool": "average",
}


@dataclass(frozen=True)
class Stage:
    """Activation and pooling between two weight layers. window: elements T of the pooling window."""

    activation: bool = False
    pool: Literal["none", "max", "average"] = "none"
    window: int = 1

    @property
    def tau(self) -> float:
        """Variance factor forward. Every activation counts as a ReLU, as the source has it."""
        if self.pool == "none":
            return 0.5 if self.activation else 1.0
        if self.pool == "max":
            return tau_max(self.window) if self.activation else tau_max_plain(self.window)
        return tau_average(self.window) if self.activation else 1 / self.window

    @property
    def gamma(self) -> float:
        """Variance factor backward."""
        if self.pool == "none":
            return 0.5 if self.activation else 1.0
        if self.pool == "max":
            return gamma_max(self.window) if self.activation else 1 / self.window
        return gamma_average(self.window) if self.activation else 1 / self.window**2


@dataclass(frozen=True)
class LayerVariance:
    """One weight layer as the initialisation of [I] sees it; forward (6), backward (7)."""

    name: str
    connections: int
    m_in: int
    m_out: int
    before: Stage
    after: Stage

    @property
    def forward(self) -> float:
        """var = M_out / (tau_prev eps)"""
        return self.m_out / (self.before.tau * max(self.connections, 1))

    @property
    def backward(self) -> float:
        """var = M_in / (gamma eps)"""
        return self.m_in / (self.after.gamma * max(self.connections, 1))


def taps(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Along one axis: taps that fall on real elements, summed over all output positions."""
    out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    starts = range(-padding, -padding + out * stride, stride)
    return sum(0 <= p + k * dilation < size for p in starts for k in range(kernel))


def weight_nodes(graph: Graph) -> list[Node]:
    """Convolution and linear nodes in order."""
    return [n for n in graph.nodes if n.op.name in _WEIGHTED]


def connections(graph: Graph, node: Node | str, specs: Mapping[str, Spec] | None = None) -> int:
    """Count the connections of a layer: over all outputs, the taps that fall on real inputs.

    eps = K (C / groups) (sum of rows found by each output row) (the same for columns)

    Args:
        graph: forward graph. node: a convolution or linear node, or its name. specs: of one sample.
    Returns:
        int, for one sample.
    Raises:
        GraphError: the node has no weights.
    """
    node = graph.node(node) if isinstance(node, str) else node
    specs = infer_specs(graph, 1) if specs is None else specs
    if node.op.name not in _WEIGHTED:
        raise GraphError(
            f"connections: node must be a convolution or linear layer, got {node.name!r} ({node.op.name})"
        )
    x, w = _spec(node, "x", specs).shape, _spec(node, "w", specs).shape
    if node.op.name == "linear":
        return w[0] * w[1]
    s, p, d = node.attrs["stride"], node.attrs["padding"], node.attrs["dilation"]
    rows = taps(x[1], w[1], s[0], p[0], d[0])
    cols = taps(x[2], w[2], s[1], p[1], d[1])
    return w[0] * w[3] * rows * cols


def variances(graph: Graph) -> list[LayerVariance]:
    """The table of [I] for every convolution and linear layer of a forward graph, in order."""
    specs = infer_specs(graph, 1)
    rows = []
    for node in weight_nodes(graph):
        rows.append(
            LayerVariance(
                node.name,
                connections(graph, node, specs),
                _spec(node, "x", specs).size,
                specs[node.outputs[0]].size,
                _before(graph, node, specs),
                _after(graph, node, specs),
            )
        )
    return rows


def _spec(node: Node, argument: str, specs: Mapping[str, Spec]) -> Spec:
    value = node.input(argument)
    assert value is not None
    return specs[value]


def _window(node: Node, specs: Mapping[str, Spec]) -> int:
    if node.op.name == "global_avg_pool":
        x = _spec(node, "x", specs).shape
        return x[1] * x[2]
    kernel = node.attrs["kernel"]
    return int(kernel[0]) * int(kernel[1])


def _read(nodes: list[Node], specs: Mapping[str, Spec]) -> Stage:
    """Sum up what stands between two weight layers; of several pools the largest window counts."""
    active = any(n.op.name in _ACTIVATIONS or n.attrs.get("relu") for n in nodes)
    pools = [(_window(n, specs), _POOLS[n.op.name]) for n in nodes if n.op.name in _POOLS]
    if not pools:
        return Stage(active)
    window, kind = max(pools)
    return Stage(active, kind, window)


def _before(graph: Graph, node: Node, specs: Mapping[str, Spec]) -> Stage:
    """Back from the layer's input to the layer before it. An addition ends the way; a concatenation
    is followed along its first part, the others being of the same kind."""
    producers = graph.producers()
    between: list[Node] = []
    value = node.inputs[0]
    while value is not None and (n := producers.get(value)) is not None:
        if n.op.name in _WEIGHTED:
            between += [n] if n.attrs.get("relu") else []
            break
        if n.op.name not in (*_ACTIVATIONS, *_TRANSPARENT, *_POOLS, "concat"):
            break
        between.append(n)
        value = n.inputs[0]
    return _read(between, specs)


def _after(graph: Graph, node: Node, specs: Mapping[str, Spec]) -> Stage:
    """On from the layer's output to the next layer, through additions and concatenations too; a value
    that several nodes read ends the way."""
    consumers = graph.consumers()
    between = [node] if node.attrs.get("relu") else []
    value = node.outputs[0]
    while len(consumers[value]) == 1:
        n = consumers[value][0]
        if n.op.name not in (*_ACTIVATIONS, *_TRANSPARENT, *_POOLS, "add", "concat"):
            break
        between.append(n)
        value = n.outputs[0]
    return _read(between, specs)
