"""Reverse-mode differentiation: append the gradient nodes of a scalar to a graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sentei.errors import GraphError
from sentei.graph import Graph, Op
from sentei.ops import ADD, FILL

__all__ = ["grad"]


class _Context:
    def __init__(self, graph: Graph, wanted: set[str]) -> None:
        self.graph = graph
        self.wanted = wanted
        self.stem = ""

    def emit(self, op: Op, inputs: Sequence[str | None], **attrs: Any) -> Any:
        out = self.graph.add(op, inputs, attrs, f"grad.{self.stem}.{op.name}")
        return out[0] if len(out) == 1 else out

    def needs(self, value: str | None) -> bool:
        return value is not None and value in self.wanted


def grad(graph: Graph, loss: str, wrt: Iterable[str] | None = None) -> tuple[Graph, dict[str, str]]:
    """Append nodes that compute d loss / d value for every value in `wrt` (all parameters if None).

    Returns:
        The longer graph, and the gradient's value name for each value that the loss depends on.
    Raises:
        GraphError: the loss or a wanted value is not in the graph.
    """
    g = graph.copy()
    targets = list(g.by_role("param") if wrt is None else wrt)
    for name in [loss, *targets]:
        if name not in g.values:
            raise GraphError(f"grad: every value must be in the graph, got {name!r}")

    wanted = set(targets)  # values through which some target reaches the loss
    for node in g.nodes:
        if node.op.backward is not None and any(v in wanted for v in node.inputs):
            wanted.update(node.outputs)
    ctx = _Context(g, wanted)
    ctx.stem = loss
    grads: dict[str, str] = {loss: ctx.emit(FILL, (), shape=(1,), value=1.0)}
    for node in reversed(list(graph.nodes)):
        douts = [grads.get(o) for o in node.outputs]
        if node.op.backward is None or all(d is None for d in douts):
            continue
        if not any(ctx.needs(v) for v in node.inputs):
            continue
        ctx.stem = node.name
        for v, dv in zip(node.inputs, node.op.backward(ctx, node, douts), strict=True):
            if v is None or dv is None or v not in wanted:
                continue
            grads[v] = ctx.emit(ADD, (grads[v], dv)) if v in grads else dv
    return g, {t: grads[t] for t in targets if t in grads}
