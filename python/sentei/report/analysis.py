"""What pruning did: filters removed per layer over its course, and what they were like."""

from __future__ import annotations

from collections.abc import Mapping

from . import formats as f
from .rows import StepRow, step_rows
from .schema import entries, number, text
from .svg import Chart, Rule, Series, line_chart, tag
from .tables import section
from .verdict import change

__all__ = ["analysis_section", "ratio_chart", "removed_chart"]

_MOST_LAYERS = 60
_LARGEST = 8.0  # a ratio above is drawn there


def _percent(value: float) -> str:
    return f"{100 * value:.6g}\u00a0%"


def _gone(step: Mapping[str, object]) -> list[str]:
    """Layer of every channel that went in a step."""
    members = step.get("members")
    if isinstance(members, list) and members:
        return [str(m[0]) for m in members if isinstance(m, list | tuple) and len(m) == 2]
    return [text(step, "layer")]


def removed_chart(report: Mapping[str, object], key: str) -> str:
    """Draw the filters removed from each layer over what remains of macs or params; "" without steps."""
    whole, _ = change(report, key)
    if whole is None or whole <= 0:
        return ""
    widths = {text(x, "name"): number(x, "before") or 0.0 for x in entries(report, "layers")}
    lines: dict[str, list[tuple[float, float]]] = {}
    counts: dict[str, int] = {}
    shares = []
    for step in entries(report, "steps"):
        left = number(step, key)
        if left is None or not 0 <= left <= whole:
            continue
        shares.append(left / whole)
        for layer in _gone(step):
            counts[layer] = counts.get(layer, 0) + 1
            lines.setdefault(layer, []).append((left / whole, float(counts[layer])))
    names = [n for n in widths if n in lines][:_MOST_LAYERS]
    if not names:
        return ""
    end = min(shares)
    rows = [
        StepRow(n, lines[n], max(widths[n], counts[n]), f"{counts[n]} of {f.exact(widths[n])}")
        for n in names
    ]
    word = {"macs": "FLOPs", "params": "parameters"}[key]
    most = max(names, key=lambda n: counts[n] / max(widths[n], 1.0))
    return step_rows(
        f"removed-{key}",
        f"Filters removed from each layer over the {word} that remain",
        f"{sum(counts.values())} filters of {len(counts)} layers; the largest share went from {most}.",
        rows,
        f"{word} remaining",
        _percent,
        (1.0, end),
    )


def ratio_chart(report: Mapping[str, object], key: str) -> str:
    """Draw `feature` or `gradient` of every removed filter, over that of the filters that stayed."""
    whole, _ = change(report, "macs")
    points, above = [], 0
    for step in entries(report, "steps"):
        gone, left = number(step, key), number(step, f"{key}_left")
        macs = number(step, "macs")
        if None in (gone, left, macs, whole) or not (left and whole):
            continue
        assert gone is not None and macs is not None
        ratio = gone / left
        above += ratio < 1
        points.append((macs / whole, max(-_LARGEST, min(_LARGEST, ratio))))
    if not points:
        return ""
    name = {"feature": "mean feature", "gradient": "mean gradient"}[key]
    return line_chart(
        Chart(
            f"ratio-{key}",
            f"The {name} of what was removed, over that of what stayed in its layer",
            f"{len(points)} removals, {above} of them below what stayed.",
            [Series("removed filter", points, "after", dots_only=True)],
            "FLOPs remaining",
            _percent,
            f.tick,
            x_reversed=True,
            rules=[Rule(1.0, "as what stayed")],
        )
    )


def analysis_section(report: Mapping[str, object]) -> str:
    """Filters removed per layer, and their features and gradients against what stayed."""
    drawn = ""
    for key, heading in (("macs", "Over the FLOPs"), ("params", "Over the parameters")):
        if svg := removed_chart(report, key):
            drawn += tag("figure", tag("h3", heading), svg)
    out = ""
    if drawn:
        intro = "One row a layer; its full height is all of the layer's filters."
        out += section("Filters removed per layer", intro, tag("div", drawn, class_="columns"))
    drawn = ""
    for key, heading in (("feature", "Mean feature"), ("gradient", "Mean gradient")):
        if svg := ratio_chart(report, key):
            drawn += tag("figure", tag("h3", heading), svg)
    if drawn:
        intro = (
            "One dot a removed filter: its map's mean over images and pixels, and the size of its mean "
            "gradient, as a multiple of those of the filters of its layer that stayed."
        )
        out += section("What was removed", intro, tag("div", drawn, class_="columns"))
    return out
