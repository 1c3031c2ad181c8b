"""How the products of a network are computed."""

from __future__ import annotations

from sentei.graph import Graph, Node
from sentei.ops.precision import PRECISIONS, precision_of

__all__ = ["precision"]

_PRODUCTS = ("conv2d", "conv2d_statistics", "linear", "linear_lazy")  # and their gradients


def precision(graph: Graph, name: str, device: str = "cuda") -> Graph:
    """Choose the precision of every convolution and linear layer, forward and gradients.

    float32: exact products. tf32, bfloat16: operands are rounded to 10 or 7 bits of mantissa where
    they are multiplied; sums, activations, parameters and updates stay float32.

    Args:
        graph: of a whole step, or forward. name: float32, tf32 or bfloat16. device: where it will run.
    Returns:
        A copy; the graph itself where nothing changes.
    Raises:
        ValueError: an unknown name, or anything but float32 on cpu.
    """
    if name not in PRECISIONS:
        raise ValueError(f"precision: name must be one of {', '.join(PRECISIONS)}, got {name!r}")
    if name != "float32" and device == "cpu":
        raise ValueError(f"precision: name must be float32 on cpu, got {name}; it is for cuda")
    nodes = [
        Node(n.name, n.op, n.inputs, n.outputs, {**n.attrs, "precision": name})
        if _multiplies(n.op.name) and precision_of(n.attrs) != name
        else n
        for n in graph.nodes
    ]
    if all(a is b for a, b in zip(nodes, graph.nodes, strict=True)):
        return graph
    g = graph.copy()
    g.nodes = nodes
    return g


def _multiplies(op: str) -> bool:
    return any(op == p or op.startswith(f"{p}_backward") for p in _PRODUCTS)
