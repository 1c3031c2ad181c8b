"""The inference form of a training graph: moving averages in batch norm, no random numbers."""

from __future__ import annotations

from sentei.graph import Graph, Node
from sentei.ops import BATCH_NORM_INFERENCE, SCALE

__all__ = ["inference"]


def inference(graph: Graph) -> Graph:
    """Rewrite batch norm to its running statistics and dropout to its expectation.

    The output value names stay; inputs that only training needs (random state) go.
    """
    renamed: dict[str, str] = {}
    nodes: list[Node] = []

    def given(node: Node) -> tuple[str | None, ...]:
        return tuple(None if v is None else renamed.get(v, v) for v in node.inputs)

    for node in graph.nodes:
        ins = given(node)
        if node.op.name == "batch_norm":
            attrs = {k: v for k, v in node.attrs.items() if k != "momentum"}
            nodes.append(Node(node.name, BATCH_NORM_INFERENCE, ins, (node.name,), attrs))
            renamed[node.outputs[0]] = node.name
        elif node.op.name == "dropout":
            x = ins[0]
            assert x is not None
            if node.attrs.get("inverted"):
                renamed[node.outputs[0]] = x
            else:
                factor = {"factor": node.attrs["keep"]}
                nodes.append(Node(node.name, SCALE, (x,), node.outputs, factor))
        else:
            nodes.append(Node(node.name, node.op, ins, node.outputs, node.attrs))
    outputs = [renamed.get(o, o) for o in graph.outputs]
    g = graph.rebuild(nodes, outputs)
    used = {v for n in nodes for v in n.inputs} | set(outputs)
    g.values = {k: v for k, v in g.values.items() if v.role != "input" or k in used}
    return g
