"""Let convolutions compute the statistics of the batch norms behind them, as CUDA does in their store."""

from __future__ import annotations

from sentei.graph import Graph, Node
from sentei.ops import (
    BATCH_NORM_ADD_GIVEN,
    BATCH_NORM_GIVEN,
    BATCH_NORM_POOL_GIVEN,
    CONV2D_STATISTICS,
)

__all__ = ["fuse_statistics"]

_GIVEN = {
    "batch_norm": BATCH_NORM_GIVEN,
    "batch_norm_add": BATCH_NORM_ADD_GIVEN,
    "batch_norm_pool": BATCH_NORM_POOL_GIVEN,
}


def fuse_statistics(graph: Graph) -> Graph:
    """Rewrite conv2d -> batch_norm (or _add, _pool) to conv2d_statistics -> batch_norm_given.

    All values keep their names and, but for rounding, their numbers; the output of the convolution
    stays, whoever else reads it. So the graph may have its gradients already. A convolution with
    ReLU in its store is left alone. The graph itself comes back where nothing changes.
    """
    producers = graph.producers()
    taken: dict[str, tuple[str, str]] = {}  # by the output of a convolution: names of mean and var
    norms: dict[str, Node] = {}
    names = graph.copy()
    for node in graph.nodes:
        x = node.inputs[0] if node.inputs else None
        before = producers.get(x) if x is not None and node.op.name in _GIVEN else None
        if before is None or before.op.name != "conv2d" or before.attrs.get("relu"):
            continue
        y = before.outputs[0]
        if y not in taken:
            mean, var = (
                names.add_value(names.unique(f"{before.name}.{k}"), "temp") for k in ("mean", "var")
            )
            taken[y] = (mean, var)
        given = (*node.inputs, *taken[y])
        norms[node.name] = Node(
            node.name, _GIVEN[node.op.name], given, node.outputs, dict(node.attrs)
        )
    if not norms:
        return graph

    def rewritten(node: Node) -> Node:
        if node.name in norms:
            return norms[node.name]
        if node.op.name != "conv2d" or node.outputs[0] not in taken:
            return node
        attrs = {k: v for k, v in node.attrs.items() if k != "relu"}
        outputs = (*node.outputs, *taken[node.outputs[0]])
        return Node(node.name, CONV2D_STATISTICS, node.inputs, outputs, attrs)

    return graph.rebuild(rewritten(n) for n in graph.nodes)
