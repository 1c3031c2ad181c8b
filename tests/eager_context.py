"""Runs the gradient nodes that an op's `backward` emits at once, to compare them with a reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from helpers import array
from sentei.graph import Graph, Node, Op, Spec
from sentei.ops.eager import eager


class EagerContext:
    """A GradContext over values that are known already."""

    def __init__(self, values: dict[str, Any], wanted: Sequence[str]) -> None:
        self.values = values
        self.wanted = wanted
        self.emitted: list[str] = []

    def emit(self, op: Op, inputs: Sequence[str | None], **attrs: Any) -> Any:
        results = eager(op, [None if v is None else self.values[v] for v in inputs], **attrs)
        names = tuple(f"{op.name}.{len(self.emitted)}.{o}" for o in op.outputs)
        self.emitted.append(op.name)
        self.values.update(zip(names, results, strict=True))
        return names[0] if len(names) == 1 else names

    def needs(self, value: str | None) -> bool:
        return value in self.wanted


def node_of(op: Op, inputs: dict[str, Any], attrs: dict[str, Any]) -> Node:
    """A node of `op` whose values carry the names of its arguments."""
    g = Graph()
    for name, x in inputs.items():
        g.add_input(name, Spec(tuple(x.shape), str(x.dtype)))
    g.add(op, [a.rstrip("?") if a.rstrip("?") in inputs else None for a in op.inputs], attrs)
    return g.nodes[0]


def gradients(
    op: Op,
    inputs: dict[str, np.ndarray],
    douts: Sequence[np.ndarray | None],
    **attrs: Any,
) -> list[np.ndarray | None]:
    """Outputs first, then what `op.backward` emits: the gradient of every input, or None."""
    node = node_of(op, inputs, attrs)
    given = [inputs.get(a.rstrip("?")) for a in op.inputs]
    values: dict[str, Any] = dict(inputs)
    values.update(zip(node.outputs, eager(op, given, **attrs), strict=True))
    names = []
    for i, d in enumerate(douts):
        if d is not None:
            values[f"dout{i}"] = d
        names.append(None if d is None else f"dout{i}")
    ctx = EagerContext(values, [v for v in node.inputs if v is not None])
    assert op.backward is not None
    found = op.backward(ctx, node, names)
    assert len(found) == len(op.inputs)
    return [None if v is None else array(values[v]) for v in found]
