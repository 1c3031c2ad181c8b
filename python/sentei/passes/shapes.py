"""Shapes of every value for a given batch size."""

from __future__ import annotations

from sentei.errors import GraphError, ShapeError
from sentei.graph import BATCH, Graph, Node, Spec

__all__ = ["infer_node", "infer_specs"]


def infer_node(node: Node, specs: dict[str, Spec]) -> tuple[Spec, ...]:
    """Output specs of one node; errors are prefixed with its name."""
    try:
        return node.op.infer([None if v is None else specs[v] for v in node.inputs], node.attrs)
    except ShapeError as e:
        raise ShapeError(f"{node.name}: {e}") from None


def infer_specs(graph: Graph, batch: int = 1) -> dict[str, Spec]:
    """Spec of every value when graph inputs carry `batch` samples.

    Raises:
        ShapeError: shapes do not fit together; the message names the node.
    """
    specs: dict[str, Spec] = {}
    for v in graph.values.values():
        if v.spec is not None:
            shape = tuple(batch if d == BATCH else d for d in v.spec.shape)
            specs[v.name] = Spec(shape, v.spec.dtype)
    for node in graph.nodes:
        for name in node.inputs:
            if name is not None and name not in specs:
                raise GraphError(f"{node.name}: its input {name!r} must be computed before it")
        outs = infer_node(node, specs)
        specs.update(zip(node.outputs, outs, strict=True))
    return specs
