"""Lifetimes of all values, and one arena in which no two living values overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sentei.graph import Graph, Spec

__all__ = ["MemoryPlan", "plan_memory"]

_ALIGN = 64
_SLACK = 128  # vector loads may touch, but never use, a little past the end


@dataclass(frozen=True)
class Block:
    """A stretch of the arena: bytes [offset, offset + size) during steps [first, last]."""

    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class MemoryPlan:
    """Where everything lies. `root` maps a value to the value whose bytes it shares (itself if none)."""

    arena_bytes: int
    blocks: Mapping[str, Block]
    workspaces: Mapping[int, Block]  # by node index
    root: Mapping[str, str]

    def offset(self, value: str) -> int:
        return self.blocks[self.root[value]].offset


def _roots(graph: Graph) -> dict[str, str]:
    root = {v: v for v in graph.values}
    for node in graph.nodes:
        if node.op.alias is not None:
            source = node.input(node.op.alias)
            assert source is not None
            root[node.outputs[0]] = root[source]
    return root


def plan_memory(
    graph: Graph, specs: Mapping[str, Spec], keep: Iterable[str] = (), device: str = "cpu"
) -> MemoryPlan:
    """Place every temporary value and workspace in one arena, largest first, first fit.

    keep: values to be read after a run, besides the graph's outputs; they live to the end.
    """
    root = _roots(graph)
    end = len(graph.nodes)
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for i, node in enumerate(graph.nodes):
        for o in node.outputs:
            first.setdefault(root[o], i)
            last[root[o]] = max(last.get(root[o], i), i)
        for k, v in enumerate(node.inputs):
            if v is None or (k < len(node.op.inputs) and node.op.argument(k) in node.op.shape_only):
                continue
            last[root[v]] = i
    for v in [*graph.outputs, *keep]:
        last[root[v]] = end

    wanted: list[tuple[int, int, int, str | int]] = []  # size, first, last, key
    rooms: dict[str, int] = {}  # an alias may be no larger than its root, but need not be as large
    for v, r in root.items():
        if graph.values[r].role == "temp":
            rooms[r] = max(rooms.get(r, 0), _room(specs[v].nbytes))
    for v, start in first.items():
        if graph.values[v].role == "temp":
            wanted.append((rooms[v], start, last[v], v))
    for i, node in enumerate(graph.nodes):
        if node.op.workspace is None:
            continue
        ins = [None if v is None else specs[v] for v in node.inputs]
        size = node.op.workspace(ins, [specs[o] for o in node.outputs], node.attrs, device)
        if size:
            wanted.append((_room(size), i, i, i))

    placed: list[Block] = []
    blocks: dict[str, Block] = {}
    workspaces: dict[int, Block] = {}
    for size, a, b, key in sorted(wanted, key=lambda w: (-w[0], w[1], str(w[3]))):
        offset = 0
        for other in placed:  # kept sorted by offset
            if other.last < a or other.first > b:
                continue
            if other.offset - offset >= size:
                break
            offset = max(offset, other.offset + other.size)
        block = Block(offset, size, a, b)
        placed.append(block)
        placed.sort(key=lambda p: p.offset)
        if isinstance(key, str):
            blocks[key] = block
        else:
            workspaces[key] = block
    arena = max((p.offset + p.size for p in placed), default=0)
    return MemoryPlan(arena, blocks, workspaces, root)


def _room(nbytes: int) -> int:
    return (max(nbytes, 1) + _SLACK + _ALIGN - 1) // _ALIGN * _ALIGN
