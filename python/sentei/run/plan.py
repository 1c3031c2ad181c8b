"""A graph for one batch size with every address decided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sentei.graph import Graph, Node, Spec
from sentei.passes.memory import MemoryPlan, plan_memory
from sentei.passes.shapes import infer_specs

__all__ = ["Plan", "Step", "make_plan"]


@dataclass(frozen=True)
class Step:
    """One call: a node and, when it needs one, its workspace (offset, bytes) in the arena."""

    node: Node
    workspace: tuple[int, int] | None


@dataclass(frozen=True)
class Plan:
    """Steps in order, shapes, and where values lie in the arena."""

    graph: Graph
    batch: int
    device: str
    specs: dict[str, Spec]
    memory: MemoryPlan
    steps: tuple[Step, ...]


def make_plan(graph: Graph, batch: int, keep: Iterable[str] = (), device: str = "cpu") -> Plan:
    """Infer shapes for `batch` samples and lay out memory; alias nodes need no step."""
    specs = infer_specs(graph, batch)
    memory = plan_memory(graph, specs, keep, device)
    steps = []
    for i, node in enumerate(graph.nodes):
        if node.op.alias is not None:
            continue
        block = memory.workspaces.get(i)
        steps.append(Step(node, None if block is None else (block.offset, block.size)))
    return Plan(graph, batch, device, specs, memory, tuple(steps))
