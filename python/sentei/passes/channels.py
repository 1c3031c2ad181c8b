"""Which channels live and die together, read off the ties of the ops.

Every element of every tied axis gets a label; a tie makes two elements share the smaller one. A label
is then one *channel unit*: all the rows, columns, scales, shifts and statistics that must go together.
Residual additions, concatenation, flatten-to-linear, depthwise and grouped convolution need no case
of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sentei.graph import Graph, Node, Spec

__all__ = ["ChannelGroups", "channel_groups"]

Axis = tuple[str, int]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ChannelGroups:
    """labels: per (value, axis), the unit of each element. producing: parameter axes that make
    channels, with the node that uses them. locked: units that must stay, with the reason."""

    labels: Mapping[Axis, Labels]
    producing: Mapping[Axis, str]
    locked: Mapping[int, str] = field(default_factory=dict)

    def removal(self, units: Iterable[int]) -> dict[Axis, NDArray[np.int64]]:
        """For every axis that shrinks: the indices that stay."""
        stays = ~self.marked(units)
        kept = ((axis, stays[lab]) for axis, lab in self.labels.items())
        return {axis: np.flatnonzero(s) for axis, s in kept if not s.all()}

    def elements(self, units: Iterable[int], axes: Iterable[Axis]) -> dict[Axis, NDArray[np.int64]]:
        """Indices, on the given axes, that belong to the units."""
        wanted = self.marked(units)
        found = {a: np.flatnonzero(wanted[self.labels[a]]) for a in axes if a in self.labels}
        return {a: i for a, i in found.items() if i.size}

    def marked(self, units: Iterable[int]) -> NDArray[np.bool_]:
        """True at the labels of these units, for all labels there are."""
        last = max((int(lab.max()) for lab in self.labels.values() if lab.size), default=-1)
        table = np.zeros(last + 1, np.bool_)
        chosen = [u for u in set(units) if u <= last]
        table[chosen] = True
        return table


def _node_ties(
    node: Node, specs: Mapping[str, Spec]
) -> list[tuple[Axis, Axis, NDArray[np.int64] | None, NDArray[np.int64] | None, bool]]:
    if node.op.ties is None:
        return []
    value = dict(node.arguments())
    outs = set(node.op.outputs)
    ins = {a: specs[v] for a, v in value.items() if a not in outs}
    found = []
    for t in node.op.ties(ins, {a: specs[value[a]] for a in outs}, node.attrs):
        if t.a[0] in value and t.b[0] in value:
            produces = (t.a[0] in outs) != (t.b[0] in outs)
            found.append(((value[t.a[0]], t.a[1]), (value[t.b[0]], t.b[1]), t.ia, t.ib, produces))
    return found


def channel_groups(graph: Graph, specs: Mapping[str, Spec]) -> ChannelGroups:
    """Label the elements of all tied axes; lock what touches the network's inputs or outputs."""
    labels: dict[Axis, Labels] = {}
    ties = []
    producing: dict[Axis, str] = {}
    start = 0
    for node in graph.nodes:
        for a, b, ia, ib, produces in _node_ties(node, specs):
            for axis in (a, b):
                if axis not in labels:
                    n = specs[axis[0]].shape[axis[1]]
                    labels[axis] = np.arange(start, start + n, dtype=np.int64)
                    start += n
            ties.append((a, b, ia, ib))
            for axis in (a, b) if produces else ():
                if graph.values[axis[0]].role == "param":
                    producing.setdefault(axis, node.name)

    changed = True
    while changed:
        changed = False
        for sweep in (ties, reversed(ties)):
            for a, b, ia, ib in sweep:
                la, lb = labels[a], labels[b]
                xa, xb = (la if ia is None else la[ia]), (lb if ib is None else lb[ib])
                low = np.minimum(xa, xb)
                if np.array_equal(xa, xb):
                    continue
                changed = True
                for lab, index in ((la, ia), (lb, ib)):
                    np.minimum.at(lab, np.arange(lab.size) if index is None else index, low)

    locked: dict[int, str] = {}
    ends = [(v, f"it is the network's input {v!r}") for v in graph.by_role("input")]
    ends += [(v, f"it is the network's output {v!r}") for v in graph.outputs]
    for v, reason in ends:
        for axis, lab in labels.items():
            if axis[0] == v:
                for unit in np.unique(lab):
                    locked.setdefault(int(unit), reason)
    return ChannelGroups(labels, producing, locked)
