"""Before any work: what is prunable, why the rest is not, and whether the target can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sentei.model import Model
from sentei.passes import Costs, costs
from sentei.prune.surgery import keep_first, shrunk_graph
from sentei.prune.target import Target
from sentei.prune.units import LayerUnits, pruning_map

__all__ = ["Preview", "preview"]


@dataclass(frozen=True)
class Preview:
    """original: cost now. smallest: cost with every prunable layer at its floor."""

    original: Costs
    smallest: Costs
    layers: tuple[LayerUnits, ...]
    target: Target | None

    @property
    def reachable(self) -> bool:
        return self.target is None or self.target.reached(self.smallest, self.original)

    def __str__(self) -> str:
        lines = []
        for layer in self.layers:
            what = (
                f"{layer.prunable} of {layer.width} channels prunable"
                if layer.prunable
                else f"left alone: {layer.reason}"
            )
            tied = f" (together with {', '.join(layer.tied_with)})" if layer.tied_with else ""
            lines.append(f"{layer.name:<24} {what}{tied}")
        lo, hi = self.smallest, self.original
        lines.append(
            f"smallest reachable: {lo.flops:,} of {hi.flops:,} FLOPs "
            f"({lo.flops / max(hi.flops, 1):.1%} remain, {1 - lo.flops / max(hi.flops, 1):.1%} removed), "
            f"{lo.params:,} of {hi.params:,} parameters"
        )
        if self.target is not None:
            word = "can" if self.reachable else "can NOT"
            lines.append(f"target: {self.target.describe(hi)}: {word} be reached")
        return "\n".join(lines)


def preview(
    model: Model,
    target: Target | None = None,
    *,
    include: Sequence[str] = ("conv2d",),
    ignore: Sequence[str] = (),
    floor: int = 1,
) -> Preview:
    """Look at a model without changing it. Arguments as IterativePruner."""
    pruning = pruning_map(model.graph, include=include, ignore=ignore, floor=floor)
    original = costs(model.graph)
    graph, left = model.graph, pruning
    while gone := keep_first(left):  # a grouped layer may become depthwise, and then shrink further
        graph, _ = shrunk_graph(graph, left.groups, [u.label for u in gone])
        left = pruning_map(graph, include=include, ignore=ignore, floor=floor)
    return Preview(original, costs(graph), pruning.layers, target)
