"""The tables of the HTML report: layers, pruning steps, layers not pruned."""

from collections.abc import Mapping

from . import formats as f
from .schema import entries, number, text
from .svg import escape, paired_bars, tag
from .verdict import change

__all__ = ["layers_section", "section", "skipped_section", "steps_table"]

_MOST_ROWS = 400


def section(heading: str, intro: str, *body: str) -> str:
    """Write a section with its heading and an optional line under it."""
    lead = tag("p", escape(intro), class_="intro") if intro else ""
    return tag("section", tag("h2", escape(heading)), lead, *body)


def table_of(label: str, caption: str, head: list[tuple[str, str]], rows: list[list[str]]) -> str:
    """Write a table; `head` holds (text, class) and every row the cells' markup, the first a th."""
    top = "".join(tag("th", escape(t), scope="col", class_=c) for t, c in head)
    body = ""
    for row in rows:
        cells = tag("th", row[0], scope="row", class_=head[0][1])
        cells += "".join(tag("td", c, class_=h[1]) for c, h in zip(row[1:], head[1:], strict=True))
        body += tag("tr", cells)
    return tag(
        "div",
        tag("table", tag("caption", caption), tag("thead", tag("tr", top)), tag("tbody", body)),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=label,
    ).replace(' class=""', "")


def layers_section(report: Mapping[str, object]) -> str:
    """Write width and cost of every layer, before and after, as numbers and as paired bars."""
    layers = entries(report, "layers")
    if not layers:
        return ""
    pruned = any(number(layer, "after") is not None for layer in layers)
    widths = [number(layer, side) or 0.0 for layer in layers for side in ("before", "after")]
    costs = [
        number(layer, side) or 0.0 for layer in layers for side in ("macs_before", "macs_after")
    ]
    rows = []
    for layer in layers:
        before, after = number(layer, "before"), number(layer, "after")
        left = after / before if after is not None and before is not None and before > 0 else None
        name, op = text(layer, "name"), text(layer, "op")
        shown = f.exact(before) + (f" \u2192 {f.exact(after)}" if after is not None else "")
        macs_before, macs_after = number(layer, "macs_before"), number(layer, "macs_after")
        macs = f.count(macs_before)
        macs += f" \u2192 {f.count(macs_after)}" if macs_after is not None else ""
        # a head of 10 units beside 1,024 would be a hairline: pruned widths have their own scale
        scale = max(before or 0.0, after or 0.0) if pruned else max(widths)
        cells = [
            escape(name) + (tag("small", escape(op)) if op else ""),
            paired_bars(f"{name}: {shown} channels", before or 0.0, after, scale),
            escape(shown),
        ]
        if pruned:
            cells.append(escape(f.percent(left)))
        drawn = paired_bars(f"{name}: {macs} MACs", macs_before or 0.0, macs_after, max(costs))
        rows.append([*cells, drawn, escape(macs)])
    head = [("Layer", ""), ("Width", "wide"), ("Channels", "n")]
    head += [("Remaining", "n")] if pruned else []
    head += [("Cost", "wide optional"), ("MACs", "n optional")]
    key, said = "", "Width is the number of output channels or units."
    if pruned:
        key = tag("span", tag("i", class_="b"), "before", class_="key")
        key += tag("span", tag("i", class_="a"), "after", class_="key")
        said = "Widths (output channels or units) on each layer's own scale, cost on one scale."
    heading = "Widths per layer"
    return section(heading, "", table_of(heading, key + escape(said), head, rows))


def steps_table(report: Mapping[str, object]) -> str:
    """Write the pruning steps as a table that opens on a click."""
    steps = entries(report, "steps")
    if not steps:
        return ""
    total, _ = change(report, "macs")
    rows = []
    for step in steps[:_MOST_ROWS]:
        macs = number(step, "macs")
        share = macs / total if macs is not None and total is not None and total > 0 else None
        rows.append(
            [
                escape(text(step, "step")),
                escape(text(step, "layer")),
                escape(text(step, "channel")),
                escape(f.general(number(step, "score"))),
                escape(f.percent(share)),
                escape(f.percent(number(step, "accuracy_before_retrain"), 2)),
                escape(f.percent(number(step, "accuracy_after_retrain"), 2)),
            ]
        )
    head = [("Step", ""), ("Layer", ""), ("Channel", "n"), ("Score", "n"), ("FLOPs left", "n")]
    head += [("After the cut", "n optional"), ("Retrained", "n")]
    said = f"The first {len(rows)} of {len(steps)} steps; report.json holds all."
    caption = said if len(steps) > len(rows) else "Every step, with the accuracy around it."
    noun = "step" if len(steps) == 1 else "steps"
    summary = tag("summary", escape(f"Table of the {len(steps)} {noun}"))
    return tag("details", summary, table_of("Pruning steps", escape(caption), head, rows))


def skipped_section(report: Mapping[str, object]) -> str:
    """Write the layers that were not pruned and why; empty when there is none."""
    skipped = entries(report, "skipped")
    if not skipped:
        return ""
    rows = [[escape(text(s, "layer")), escape(text(s, "reason"))] for s in skipped]
    noun = "layer was" if len(rows) == 1 else "layers were"
    caption = escape(f"{len(rows)} {noun} left as built.")
    return section(
        "Not pruned", "", table_of("Layers not pruned", caption, [("Layer", ""), ("Why", "")], rows)
    )
