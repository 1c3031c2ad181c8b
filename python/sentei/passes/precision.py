"""How the products of a network are computed."""

from __future__ import annotations

from sentei.graph import Graph, Node
from sentei.ops.precision import check_precision, precision_of

__all__ = ["precision"]

_PRODUCTS = ("conv2d", "conv2d_statistics", "linear", "linear_lazy")  # and their gradients


def precision(graph: Graph, name: str, device: str = "cuda") -> Graph:
    """Choose the precision of every convolution and linear layer, forward and gradients.

    float32: float32 products in whatever way is fastest at no more error than one plain sum.
    precise: that plain sum. fast (cpu): float32 products at a few times its error. tf32, bfloat16:
    operands are rounded to 10 or 7 bits of mantissa where they are multiplied. Sums, activations,
    parameters and updates are float32 always.

    Args:
        graph: of a whole step, or forward. name: one of the above. device: where it will run.
    Returns:
        A copy; the graph itself where nothing changes.
    Raises:
        ValueError: a name that is unknown or cannot be had on `device`.
    """
    check_precision("precision", name, device)
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
