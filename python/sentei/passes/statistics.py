"""Batch norm whose statistics stand still in training, and the way back."""

from __future__ import annotations

from sentei.graph import Graph, Node
from sentei.ops import BATCH_NORM, BATCH_NORM_INFERENCE

__all__ = ["freeze_statistics", "thaw_statistics"]


def freeze_statistics(graph: Graph) -> Graph:
    """Let every batch norm use its running mean and variance in training too, as constants.

    gamma and beta go on learning. Source: the thesis on feature maps, section 4.9.
    """
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        ins = tuple(None if v is None else renamed.get(v, v) for v in node.inputs)
        if node.op.name == "batch_norm":
            nodes.append(Node(node.name, BATCH_NORM_INFERENCE, ins, (node.name,), node.attrs))
            renamed[node.outputs[0]] = node.name
        else:
            nodes.append(Node(node.name, node.op, ins, node.outputs, node.attrs))
    return graph.rebuild(nodes, [renamed.get(o, o) for o in graph.outputs])


def thaw_statistics(graph: Graph) -> Graph:
    """Undo freeze_statistics: training moves the statistics again."""
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        ins = tuple(None if v is None else renamed.get(v, v) for v in node.inputs)
        if node.op.name == "batch_norm_inference" and "momentum" in node.attrs:
            outs = tuple(f"{node.name}.{o}" for o in BATCH_NORM.outputs)
            nodes.append(Node(node.name, BATCH_NORM, ins, outs, node.attrs))
            renamed[node.outputs[0]] = outs[0]
        else:
            nodes.append(Node(node.name, node.op, ins, node.outputs, node.attrs))
    return graph.rebuild(nodes, [renamed.get(o, o) for o in graph.outputs])
