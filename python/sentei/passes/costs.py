"""Multiply-adds, FLOPs, parameters and bytes of a network, per node and in all.

FLOPs = 2 x multiply-adds (MACs) of convolution and linear layers for one sample; biases, batch norm,
activations and pools are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from sentei.graph import Graph
from sentei.passes.shapes import infer_specs

__all__ = ["Costs", "NodeCost", "costs"]


@dataclass(frozen=True)
class NodeCost:
    """Cost of one node for one sample: output shape without the batch axis, bytes of its output."""

    name: str
    op: str
    shape: tuple[int, ...]
    params: int
    macs: int
    out_bytes: int


@dataclass(frozen=True)
class Costs:
    """Totals for one sample. `params` counts trainable parameters, not running statistics."""

    nodes: tuple[NodeCost, ...]
    macs: int
    params: int

    @property
    def flops(self) -> int:
        return 2 * self.macs


def costs(graph: Graph) -> Costs:
    """Count a forward graph."""
    specs = infer_specs(graph, 1)
    seen: set[str] = set()
    rows = []
    for node in graph.nodes:
        outs = [specs[o] for o in node.outputs]
        flops = 0
        if node.op.flops is not None:
            flops = node.op.flops(
                [None if v is None else specs[v] for v in node.inputs], outs, node.attrs
            )
        params = 0
        for v in node.inputs:
            if v is not None and v not in seen and graph.values[v].role == "param":
                seen.add(v)
                params += specs[v].size
        shape = outs[0].shape[1:] if outs[0].shape else ()
        rows.append(NodeCost(node.name, node.op.name, shape, params, flops // 2, outs[0].nbytes))
    return Costs(tuple(rows), sum(r.macs for r in rows), sum(r.params for r in rows))
