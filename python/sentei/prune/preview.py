"""Before any work: what is prunable, why the rest is not, and whether the target can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sentei._core import Tensor
from sentei.graph import Graph
from sentei.model import Model
from sentei.passes import Costs, costs
from sentei.prune.choice import smallest
from sentei.prune.gauge import Gauge, gauge_of
from sentei.prune.surgery import shrunk_graph
from sentei.prune.target import Target
from sentei.prune.units import LayerUnits, pruning_map

__all__ = ["Preview", "preview"]


@dataclass(frozen=True)
class Preview:
    """original: cost now. smallest: cost with every prunable layer at its floor. gauge: of the target
    that was given; its value is that of the smallest network, reaches: whether that is enough."""

    original: Costs
    smallest: Costs
    layers: tuple[LayerUnits, ...]
    target: Target | None
    gauge: Gauge | None = field(default=None, repr=False, compare=False)
    reaches: bool | None = None
    graph: Graph | None = field(default=None, repr=False, compare=False)  # of the smallest

    @property
    def reachable(self) -> bool:
        """Whether the smallest network meets the target; max_drop alone asks for no size."""
        if self.target is None or not self.target.sized:
            return True
        if self.reaches is not None:
            return self.reaches
        return self.target.reached(self.smallest, self.original)

    @property
    def least(self) -> str:
        """What the smallest network has of what the target is about, in words."""
        assert self.target is not None
        if self.gauge is None:
            measure = self.target.measure
            return f"{measure(self.smallest):,} of {measure(self.original):,} {self.target.kind}"
        g = self.gauge
        return f"{g.shown(g.value).split()[0]} of {g.shown(g.whole)}"

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
            if self.gauge is not None and self.target.kind in ("memory", "latency_ms"):
                lines[-1] += f", {self.least}"
            word = "can" if self.reachable else "can NOT"
            whole = None if self.gauge is None else self.gauge.whole
            end = f": {word} be reached" if self.target.sized else ""
            lines.append(f"target: {self.target.describe(hi, whole)}{end}")
        return "\n".join(lines)


def preview(
    model: Model,
    target: Target | None = None,
    *,
    include: Sequence[str] = ("conv2d",),
    ignore: Sequence[str] = (),
    floor: int = 1,
    round_to: int = 1,
) -> Preview:
    """Look at a model without changing it. Arguments as IterativePruner.

    With a target in latency the smallest network is timed against the model, some seconds.
    """
    pruning = pruning_map(model.graph, include=include, ignore=ignore, floor=floor)
    original = costs(model.graph)
    graph, left = model.graph, pruning
    while gone := smallest(
        left, round_to
    ):  # a grouped layer may become depthwise, and shrink further
        graph, _ = shrunk_graph(graph, left.groups, [u.label for u in gone])
        left = pruning_map(graph, include=include, ignore=ignore, floor=floor)
    least = costs(graph)
    if target is None or not target.sized:
        return Preview(original, least, pruning.layers, target, graph=graph)
    gauge = gauge_of(target, original, model)
    reaches = gauge.check(_blank(graph, model.device), least)
    return Preview(original, least, pruning.layers, target, gauge, reaches, graph)


def _blank(graph: Graph, device: str) -> Model:
    """A model of this graph, all zeros: it takes the time of any other."""
    tensors = {}
    for name in graph.by_role("param", "state"):
        spec = graph.values[name].spec
        assert spec is not None
        tensors[name] = Tensor.zeros(spec.shape, spec.dtype, device=device)
    return Model(graph, tensors)
