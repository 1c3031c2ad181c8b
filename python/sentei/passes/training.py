"""The training form of a forward graph, with what belongs together done in one pass over memory."""

from __future__ import annotations

from sentei.graph import Graph, Node

__all__ = ["training"]


def training(graph: Graph) -> Graph:
    """Fold every ReLU that alone reads a batch norm into that batch norm.

    The numbers stay the same, one map less is written and read in each direction. The output value of
    the ReLU stays; the un-rectified one goes.
    """
    consumers = graph.consumers()
    producers = graph.producers()
    folded: dict[str, Node] = {}  # batch norm node -> its ReLU
    for node in graph.nodes:
        if node.op.name != "relu":
            continue
        value = node.inputs[0]
        before = producers.get(value or "")
        if before is None or before.op.name != "batch_norm" or before.attrs.get("relu"):
            continue
        if value == before.outputs[0] and len(consumers[value]) == 1 and value not in graph.outputs:
            folded[before.name] = node
    nodes = []
    gone = {n.name for n in folded.values()}
    for node in graph.nodes:
        relu = folded.get(node.name)
        if relu is not None:
            outputs = (relu.outputs[0], *node.outputs[1:])
            nodes.append(
                Node(node.name, node.op, node.inputs, outputs, {**node.attrs, "relu": True})
            )
        elif node.name not in gone:
            nodes.append(node)
    return graph.rebuild(nodes)
