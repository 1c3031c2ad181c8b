"""The training form of a forward graph, with what belongs together done in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from sentei.graph import Graph, Node, Spec
from sentei.ops import BATCH_NORM_ADD, BATCH_NORM_JOIN, BATCH_NORM_POOL
from sentei.ops.batch_norm import EPS, MOMENTUM
from sentei.ops.pool2d import window_of
from sentei.passes.shapes import infer_specs

__all__ = ["fold_relu", "training"]


def fold_relu(graph: Graph) -> Graph:
    """Fold ReLU into the batch norm, convolution or linear layer before it: the second of `training`."""
    return _rewrite(graph, "relu", _relu, ())


def training(graph: Graph, keep: Collection[str] = (), join: bool = False) -> Graph:
    """Fold chains of nodes whose inner values nothing else reads.

    - batch norm, addition of another branch, ReLU
    - batch norm, convolution or linear layer, and ReLU
    - batch norm (with its ReLU) and 2 x 2 max pooling (ceil_mode: where H and W are even)

    The numbers stay the same, one map less is written and read in each direction. The last value of a
    chain keeps its name; the inner ones go. keep: values that must stay. join: also fold two batch norms
    that are added (a residual block with a normalised shortcut) and ReLU; the CPU has kernels for it.
    """
    sizes = infer_specs(graph)

    def pool(node: Node, own: Producers) -> tuple[Node, tuple[str, ...]] | None:
        return _pool(node, own, sizes)

    for ends, fold in (("relu", _add_relu), ("relu", _relu), ("max_pool2d", pool)):
        graph = _rewrite(graph, ends, fold, keep)
    return _rewrite(graph, "batch_norm_add", _join, keep) if join else graph


# Given the node that ends a chain and the producers of values that only one node reads: the merged
# node and the names of those that it replaces, or None.
Producers = Mapping[str | None, Node]
Fold = Callable[[Node, Producers], tuple[Node, tuple[str, ...]] | None]


def _rewrite(graph: Graph, ends: str, fold: Fold, keep: Collection[str]) -> Graph:
    consumers = graph.consumers()
    own: dict[str | None, Node] = {
        out: n
        for n in graph.nodes
        for out in n.outputs[:1]
        if len(consumers[out]) == 1 and out not in (*graph.outputs, *keep)
    }
    merged: dict[str, Node] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        if node.op.name != ends or (found := fold(node, own)) is None:
            continue
        if gone.isdisjoint(found[1]):
            merged[node.name] = found[0]
            gone.update(found[1])
    # The merged node stands where the chain ended: all its inputs are there.
    return graph.rebuild(merged.get(n.name, n) for n in graph.nodes if n.name not in gone)


def _add_relu(relu: Node, own: Producers) -> tuple[Node, tuple[str, ...]] | None:
    join = own.get(relu.inputs[0])
    if join is None or join.op.name != "add":
        return None
    for branch, other in (join.inputs, join.inputs[::-1]):
        norm = own.get(branch)
        if norm is not None and norm.op.name == "batch_norm" and not norm.attrs.get("relu"):
            inputs = (norm.inputs[0], other, *norm.inputs[1:])
            outputs = (relu.outputs[0], *norm.outputs[1:])
            attrs = {k: v for k, v in norm.attrs.items() if k != "relu"}
            return Node(norm.name, BATCH_NORM_ADD, inputs, outputs, attrs), (norm.name, join.name)
    return None


def _join(add: Node, own: Producers) -> tuple[Node, tuple[str, ...]] | None:
    norm = own.get(add.inputs[1])
    if norm is None or norm.op.name != "batch_norm" or norm.attrs.get("relu"):
        return None
    same = (("eps", EPS), ("momentum", MOMENTUM))
    if any(norm.attrs.get(k, v) != add.attrs.get(k, v) for k, v in same):
        return None
    inputs = (add.inputs[0], *add.inputs[2:], *norm.inputs)
    outputs = (*add.outputs, *norm.outputs[1:])
    return Node(add.name, BATCH_NORM_JOIN, inputs, outputs, add.attrs), (norm.name,)


def _relu(relu: Node, own: Producers) -> tuple[Node, tuple[str, ...]] | None:
    before = own.get(relu.inputs[0])
    if before is None or before.op.name not in ("batch_norm", "conv2d", "linear"):
        return None
    if before.attrs.get("relu"):
        return None
    outputs = (relu.outputs[0], *before.outputs[1:])
    attrs = {**before.attrs, "relu": True}
    return Node(before.name, before.op, before.inputs, outputs, attrs), (before.name,)


def _pool(
    pool: Node, own: Producers, sizes: Mapping[str, Spec]
) -> tuple[Node, tuple[str, ...]] | None:
    norm = own.get(pool.inputs[0])
    if norm is None or norm.op.name != "batch_norm":
        return None
    window = window_of("max_pool2d", pool.attrs)
    if window[:3] != ((2, 2), (2, 2), (0, 0)):
        return None
    rows, columns = sizes[norm.outputs[0]].shape[1:3]
    if window.ceil_mode and (rows % 2 or columns % 2):  # a window hangs over the edge
        return None
    if min(rows, columns) < 2:
        return None
    outputs = (*pool.outputs, *norm.outputs[1:])
    return Node(norm.name, BATCH_NORM_POOL, norm.inputs, outputs, norm.attrs), (norm.name,)
