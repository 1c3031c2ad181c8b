"""Batch sums of x . g per channel from parameters and their gradients: which layers, which parameters.

y = f(w, b) linear in (w, b) jointly has sum y dy = sum w dw + sum b db, per channel over samples and
pixels: true of a convolution or linear layer and of gamma, beta of a batch norm. y dy is the same
element by element behind a ReLU, leaky ReLU, PReLU or channel scale.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import GraphError
from sentei.graph import Graph, Node, Spec
from sentei.ops import SCORE_ACCUMULATE, SCORE_FROM_GRADIENTS
from sentei.prune.units import LAYER_OPS

__all__ = [
    "ScoreSums",
    "add_after",
    "add_free_sums",
    "chain",
    "columns",
    "free_parameters",
    "from_norm",
]

ACTIVATIONS = (
    "relu", "leaky_relu", "elu", "logistic", "tanh", "softplus", "step", "prelu", "clip",
)  # fmt: skip
KEEP_THE_PRODUCT = ("relu", "leaky_relu", "prelu", "channel_scale")
NORMS = ("batch_norm", "batch_norm_inference")
FREE = "scores.free"


def chain(graph: Graph, layer: str) -> tuple[Node, ...]:
    """The layer and the nodes behind it up to the scored value, the last one's first output.

    It goes on through batch norm and channel scale and ends with the activation, or before the first
    value that several nodes read, an addition, a pool or any other op.
    """
    consumers = graph.consumers()
    nodes = [graph.node(layer)]
    while True:
        node = nodes[-1]
        value = node.outputs[0]
        ended = node.op.name in ACTIVATIONS or node.attrs.get("relu")
        if ended or len(consumers[value]) != 1 or value in graph.outputs:
            return tuple(nodes)
        after = consumers[value][0]
        if after.op.name not in (*NORMS, "channel_scale", *ACTIVATIONS):
            return tuple(nodes)
        nodes.append(after)


def _source(nodes: Sequence[Node]) -> int:
    """Place of the last batch norm of a chain; without one that of the layer."""
    return max((i for i, n in enumerate(nodes) if n.op.name in NORMS), default=0)


def from_norm(nodes: Sequence[Node]) -> bool:
    """Whether it is a batch norm whose parameters give the sum of this chain."""
    return nodes[_source(nodes)].op.name in NORMS


def free_parameters(graph: Graph, nodes: Sequence[Node]) -> tuple[str, ...]:
    """(gamma, beta) or (w, b) or (w,) whose products with their gradients sum to x . g of the chain.

    graph: all that reads values and parameters, losses and regularizers too. Empty where the sum does
    not hold: another activation in between, a reader of an inner value, a parameter with a second reader.
    """
    at = _source(nodes)
    source, tail = nodes[at], nodes[at + 1 :]
    consumers = graph.consumers()
    if any(n.op.name not in KEEP_THE_PRODUCT for n in tail):
        return ()
    inner = [n.outputs[0] for n in nodes[at:-1]]
    if any(len(consumers[v]) != 1 for v in inner):
        return ()
    if any(b.inputs[0] != a.outputs[0] for a, b in zip(nodes[at:], tail, strict=False)):
        return ()
    names = ("gamma", "beta") if source.op.name in NORMS else ("w", "b")
    found = tuple(v for v in map(source.input, names) if v is not None)
    for v in found:
        own = graph.values[v].role == "param" and len(consumers[v]) == 1
        if not own or source.inputs.count(v) != 1:
            return ()
    return found


def add_free_sums(
    graph: Graph, grads: Mapping[str, str], free: Mapping[str, Sequence[str]], stats: str
) -> None:
    """Append the node that adds the sums of all layers in `free` to the state `stats`."""
    rows = [v for params in free.values() for p in params for v in (p, grads[p])]
    attrs = {"bias": tuple(len(params) == 2 for params in free.values())}
    graph.add(SCORE_FROM_GRADIENTS, (stats, *rows), attrs, f"{stats}.add")


def add_after(graph: Graph, values: Iterable[str | None]) -> None:
    """Move the node appended last to right behind what makes these values: they need not wait."""
    node = graph.nodes.pop()
    wanted = set(values)
    made = [i for i, n in enumerate(graph.nodes) if wanted.intersection(n.outputs)]
    graph.nodes.insert(max(made, default=-1) + 1, node)


def columns(
    free: Iterable[str], widths: Mapping[str, int], stats: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """The (2, C) piece of every layer in (2, sum of the C)."""
    found, at = {}, 0
    for layer in free:
        found[layer] = stats[:, at : at + widths[layer]]
        at += widths[layer]
    return found


@dataclass(frozen=True)
class ScoreSums:
    """Sums of x . g that a training step gathers.

    free: parameters that give them, by layer. points: the scored value of the layers for which none
    do; its map and gradient are read. widths: channels of every layer.
    """

    free: Mapping[str, tuple[str, ...]]
    points: Mapping[str, str]
    widths: Mapping[str, int]

    @staticmethod
    def find(
        forward: Graph, graph: Graph, layers: Iterable[str], partial: Collection[str] = ()
    ) -> ScoreSums:
        """Decide for each layer of a model's graph.

        graph: the same with all that reads its values. partial: layers whose weight gradient is not
        computed whole.
        Raises:
            GraphError: a name that no convolution or linear layer has.
        """
        free, points, widths = {}, {}, {}
        for layer in dict.fromkeys(layers):
            node = forward.node(layer)
            if node.op.name not in LAYER_OPS:
                raise GraphError(
                    f"scores: layers must be {' or '.join(LAYER_OPS)}, got {layer!r} ({node.op.name})"
                )
            spec = forward.values[node.inputs[1] or ""].spec
            assert spec is not None
            widths[layer] = spec.shape[0]
            nodes = chain(forward, layer)
            whole = layer not in partial or from_norm(nodes)
            if whole and (params := free_parameters(graph, nodes)):
                free[layer] = params
            else:
                points[layer] = nodes[-1].outputs[0]
        return ScoreSums(free, points, widths)

    def emit(self, graph: Graph, grads: Mapping[str, str]) -> dict[str, Tensor]:
        """Append the nodes; return the states "scores.*", zeros.

        Raises:
            GraphError: the loss does not depend on a layer.
        """
        states: dict[str, Tensor] = {}

        def state(name: str, shape: tuple[int, ...]) -> str:
            states[name] = Tensor.zeros(shape, "float64")
            return graph.add_state(name, Spec(shape, "float64"))

        needed = {layer: (point,) for layer, point in self.points.items()}
        for layer, values in {**self.free, **needed}.items():
            if any(v not in grads for v in values):
                raise GraphError(f"scores: the loss must depend on the layer {layer!r}")
        if self.free:
            width = sum(self.widths[layer] for layer in self.free)
            add_free_sums(graph, grads, self.free, state(FREE, (2, width)))
        for layer, point in self.points.items():
            name = f"scores.{layer}"
            stats = state(name, (6, self.widths[layer]))
            inputs = (point, grads[point], stats, None, None)
            graph.add(SCORE_ACCUMULATE, inputs, name=f"{name}.add")
            add_after(graph, (point, grads[point]))
        return states

    def read(self, states: Mapping[str, Tensor]) -> dict[str, NDArray[np.float64]]:
        """Per layer (2, C): sums over steps of the batch's sum of x . g, and of its square (NaN where
        maps were read: only the squares of samples are known there)."""
        found = {}
        if self.free:
            found = columns(self.free, self.widths, states[FREE].numpy())
        for layer in self.points:
            total = states[f"scores.{layer}"].numpy()[1]
            found[layer] = np.stack([total, np.full_like(total, np.nan)])
        return {layer: found[layer] for layer in self.widths}
