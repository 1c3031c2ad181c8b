"""Gates in a graph: find them, and multiply them into the weights that they gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.graph import Attrs, Graph, Node

__all__ = ["fold_gates", "gate_values"]

Arrays = dict[str, NDArray[Any]]


def gate_values(m: NDArray[Any], attrs: Attrs) -> NDArray[np.float64]:
    """h(m) in float64, as the op "gate" with these attributes has it."""
    m = m.astype(np.float64)
    if attrs["kind"] == "step":
        return (m > 0).astype(np.float64)
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * attrs["alpha"] * m)))


def fold_gates(graph: Graph, arrays: Mapping[str, NDArray[Any]]) -> tuple[Graph, Arrays]:
    """The graph without gates: h(m) is multiplied into the parameters, which keep their names.

    Args:
        graph: any forward graph. arrays: its parameters and states.
    Returns:
        The graph, and the arrays without the auxiliary variables; both as given without gates.
    """
    out: Arrays = dict(arrays)
    h = {
        n.outputs[0]: gate_values(arrays[str(n.inputs[0])], n.attrs)
        for n in graph.nodes
        if n.op.name == "gate"
    }
    if not h:
        return graph, out
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op.name == "gate":
            out.pop(str(node.inputs[0]), None)
        elif node.op.name == "gate_weights":
            w, gate = str(node.inputs[0]), h[str(node.inputs[1])]
            wide = gate.reshape(*gate.shape, *[1] * (out[w].ndim - gate.ndim))
            out[w] = (out[w].astype(np.float64) * wide).astype(np.float32)
            renamed[node.outputs[0]] = w
        else:
            ins = tuple(None if v is None else renamed.get(v, v) for v in node.inputs)
            nodes.append(Node(node.name, node.op, ins, node.outputs, node.attrs))
    return graph.rebuild(nodes), out
