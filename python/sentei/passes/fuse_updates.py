"""Merge the SGD updates of a step graph into one node, which CUDA runs as one kernel."""

from __future__ import annotations

from collections.abc import Iterable

from sentei.graph import Graph, Node
from sentei.ops import SGD_UPDATE_MANY

__all__ = ["fuse_updates"]


def fuse_updates(graph: Graph) -> Graph:
    """Merge all sgd_update nodes that share a step size into one sgd_update_many; same bits.

    The merged node stands where the last of them stood. An update stays as it is when a node between
    touches its parameter or its momentum, or changes its gradient or the step size. Updates with and
    without momentum become two nodes; semi-synchronous updates and counters are left alone.
    """
    root = _roots(graph)
    groups: dict[tuple[str | None, bool], list[int]] = {}
    for i, node in enumerate(graph.nodes):
        if node.op.name == "sgd_update":
            key = (node.input("lr"), node.input("v") is not None)
            groups.setdefault(key, []).append(i)
    merged: dict[int, Node] = {}  # by the place of the last
    gone: set[int] = set()
    for members in groups.values():
        last = members[-1]
        movable = [i for i in members if _may_move(graph, root, i, last)]
        if len(movable) < 2:
            continue
        gone.update(movable)
        name = graph.unique("update.many") if not merged else graph.unique("update.many.plain")
        merged[last] = _merge(name, [graph.nodes[i] for i in movable])
    nodes = []
    for i, node in enumerate(graph.nodes):
        if i not in gone:
            nodes.append(node)
        if i in merged:
            nodes.append(merged[i])
    return graph.rebuild(nodes)


def _roots(graph: Graph) -> dict[str, str]:
    """The value whose bytes each value shares."""
    root = {v: v for v in graph.values}
    for node in graph.nodes:
        if node.op.alias is not None:
            source = node.input(node.op.alias)
            assert source is not None
            root[node.outputs[0]] = root[source]
    return root


def _may_move(graph: Graph, root: dict[str, str], index: int, last: int) -> bool:
    node = graph.nodes[index]
    own = {root[v] for v in node.changed()}
    taken = {root[v] for v in node.inputs if v is not None}
    between: Iterable[Node] = graph.nodes[index + 1 : last + 1]
    return not any(
        own & {root[v] for v in other.inputs if v is not None}
        or taken & {root[v] for v in other.changed()}
        for other in between
    )


def _merge(name: str, nodes: list[Node]) -> Node:
    with_v = nodes[0].input("v") is not None
    inputs = [nodes[0].input("lr")]
    for n in nodes:
        inputs += [n.input(a) for a in ("w", "g", "v") if with_v or a != "v"]
    attrs: dict[str, object] = {"with_v": with_v}
    for key in ("momentum", "weight_decay", "l2"):
        attrs[key] = tuple(float(n.attrs.get(key, 0.0)) for n in nodes)
    return Node(name, SGD_UPDATE_MANY, tuple(inputs), (), attrs)
