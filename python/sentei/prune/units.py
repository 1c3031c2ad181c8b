"""What can be pruned: channel units, the layers that make them, and why the rest must stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np

from sentei.errors import GraphError
from sentei.graph import Graph, Node
from sentei.passes import ChannelGroups, channel_groups, infer_specs

__all__ = ["LayerUnits", "PruningMap", "Unit", "pruning_map"]

LAYER_OPS = ("conv2d", "linear")


@dataclass(frozen=True)
class Unit:
    """Channels that go together: label in the channel groups, and (layer, channel) of every member."""

    label: int
    members: tuple[tuple[str, int], ...]

    @property
    def first(self) -> tuple[str, int]:
        return self.members[0]


@dataclass(frozen=True)
class LayerUnits:
    """One conv or linear layer: its width and its number of prunable channels, or why it has none."""

    name: str
    op: str
    width: int
    prunable: int
    reason: str | None
    tied_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class PruningMap:
    """Units in order (lowest layer, then lowest channel) and all layers with reasons."""

    groups: ChannelGroups
    units: tuple[Unit, ...]
    layers: tuple[LayerUnits, ...]
    floor: int = 1
    _widths: dict[str, int] = field(default_factory=dict)
    _weights: dict[str, str] = field(default_factory=dict)  # of every layer
    _grouped: bool = False  # a grouped convolution may become depthwise as it shrinks

    def widths(self) -> dict[str, int]:
        return dict(self._widths)

    def removable(self, unit: Unit, widths: dict[str, int]) -> bool:
        """Whether every layer keeps at least `floor` channels without this unit."""
        lost: dict[str, int] = {}
        for layer, _ in unit.members:
            lost[layer] = lost.get(layer, 0) + 1
        return all(widths[layer] - n >= self.floor for layer, n in lost.items())

    def without(self, units: Iterable[Unit]) -> PruningMap | None:
        """The map of the graph that is left when these units are removed; labels keep their numbers.

        None: it must be read off the graph (pruning_map), since more than indices changed.
        """
        gone = {u.label for u in units}
        left = tuple(u for u in self.units if u.label not in gone)
        single = all(len(u.members) == 1 for u in self.units)
        if self._grouped or not single:
            return None
        stays = ~self.groups.marked(gone)
        place = {}
        for layer, weight in self._weights.items():
            kept = stays[self.groups.labels[(weight, 0)]]
            if not kept.all():
                place[layer] = np.cumsum(kept) - 1
        moved = []
        for u in left:
            layer, i = u.first
            now = place.get(layer)
            moved.append(u if now is None else Unit(u.label, ((layer, int(now[i])),)))
        lost = Counter(u.first[0] for u in self.units if u.label in gone)
        table = tuple(
            replace(x, width=x.width - lost[x.name], prunable=x.prunable - lost[x.name])
            if x.name in lost
            else x
            for x in self.layers
        )
        if any(x.name in lost and x.prunable == 0 for x in table):
            return None  # it needs a reason
        labels = {axis: lab[stays[lab]] for axis, lab in self.groups.labels.items()}
        widths = {k: n - lost[k] for k, n in self._widths.items()}
        groups = replace(self.groups, labels=labels)
        return replace(self, groups=groups, units=tuple(moved), layers=table, _widths=widths)


def weight_of(node: Node) -> str:
    w = node.input("w")
    assert w is not None
    return w


def _is_depthwise(graph: Graph, node: Node, channels: int) -> bool:
    spec = graph.values[weight_of(node)].spec
    return node.op.name == "conv2d" and spec is not None and spec.shape[3] == 1 and channels > 1


def pruning_map(
    graph: Graph,
    *,
    include: Sequence[str] = ("conv2d",),
    ignore: Sequence[str] = (),
    floor: int = 1,
) -> PruningMap:
    """Find all prunable channel units of a forward graph.

    include: ops whose layers are pruned ("conv2d", "linear"). ignore: layer names or patterns left
    alone. floor: channels that every layer keeps.
    Raises:
        ValueError: unknown op, floor below 1. GraphError: a pattern in `ignore` matches no layer.
    """
    if floor < 1:
        raise ValueError(f"pruning: floor must be at least 1, got {floor}")
    for op in include:
        if op not in LAYER_OPS:
            raise ValueError(f"pruning: include must name ops of {LAYER_OPS}, got {op!r}")
    specs = infer_specs(graph, 1)
    groups = channel_groups(graph, specs)
    layers = [n for n in graph.nodes if n.op.name in LAYER_OPS]
    for pattern in ignore:
        if not any(fnmatchcase(n.name, pattern) for n in layers):
            raise GraphError(
                f"pruning: ignore must match a layer, got {pattern!r}; layers are {[n.name for n in layers]}"
            )

    members: dict[int, list[tuple[str, int]]] = {}
    blocked: dict[int, str] = dict(groups.locked)
    reasons: dict[str, str] = {}
    for node in layers:
        labels = groups.labels[(weight_of(node), 0)]
        x = node.input("x")
        assert x is not None
        if _is_depthwise(graph, node, specs[x].shape[-1]):
            reasons[node.name] = "depthwise: its channels follow the layer before it"
            continue
        for i, label in enumerate(labels.tolist()):
            members.setdefault(label, []).append((node.name, i))
        reason = None
        if any(fnmatchcase(node.name, p) for p in ignore):
            reason = "ignored on request"
        elif node.op.name not in include:
            reason = f"{node.op.name} layers are not pruned (include={tuple(include)})"
        if reason is not None:
            reasons[node.name] = reason
            for label in labels.tolist():
                blocked.setdefault(label, f"{node.name}: {reason}")

    widths = {n.name: len(groups.labels[(weight_of(n), 0)]) for n in layers}
    units = tuple(Unit(k, tuple(m)) for k, m in members.items() if k not in blocked)
    count: dict[str, int] = {}
    partners: dict[str, set[str]] = {}
    for u in units:
        names = {layer for layer, _ in u.members}
        for layer in names:
            count[layer] = count.get(layer, 0) + sum(m[0] == layer for m in u.members)
            partners.setdefault(layer, set()).update(names - {layer})
    table = []
    for node in layers:
        n = count.get(node.name, 0)
        reason = reasons.get(node.name)
        if n == 0 and reason is None:
            labels = np.unique(groups.labels[(weight_of(node), 0)]).tolist()
            reason = next(
                (blocked[k] for k in labels if k in blocked), "it has no channel of its own"
            )
        tied = tuple(sorted(partners.get(node.name, ())))
        table.append(
            LayerUnits(
                node.name, node.op.name, widths[node.name], n, reason if n == 0 else None, tied
            )
        )
    weights = {n.name: weight_of(n) for n in layers}
    grouped = any(
        n.op.name == "conv2d"
        and specs[weights[n.name]].shape[3] != specs[str(n.input("x"))].shape[3]
        for n in layers
    )
    return PruningMap(groups, units, tuple(table), floor, widths, weights, grouped)
