"""Sections on what units answer: responses, criterion, logit histograms, projections."""

import itertools
from collections.abc import Mapping, Sequence

from . import formats as f
from .svg import Chart, Series, escape, frame, line_chart, padded, paired_bars, strips, tag, ticks
from .tables import section, table_of

__all__ = ["histogram_chart", "responses_sections", "scatter_chart"]

# told apart on white and on black, and by most eyes that confuse colours
COLOURS = ("#2f81c7", "#d9822b", "#3aa06f", "#b45bc4", "#d1495b", "#8a8f98", "#b8a12a", "#3fb0b5",
           "#8c6d4f", "#e07fb0")  # fmt: skip
_MOST = 12  # classes with a drawing of their own


def scatter_chart(
    ident: str, scatter: Mapping[str, object], classes: Sequence[str], side: float = 300.0
) -> str:
    """Draw points in two dimensions, a colour per class; more than ten classes share colours."""
    points: Sequence[Sequence[float]] = scatter["points"]  # type: ignore[assignment]
    labels: Sequence[int] = scatter["labels"]  # type: ignore[assignment]
    share: Sequence[float] = scatter["share"]  # type: ignore[assignment]
    if not points:
        return ""
    (x_low, x_high), (y_low, y_high) = (padded([p[i] for p in points], 0.04) for i in (0, 1))
    span = max(x_high - x_low, y_high - y_low)  # one scale, so that distances are true
    left, top = 46.0, 10.0

    def at(p: Sequence[float]) -> tuple[float, float]:
        x, y = ((p[0] - x_low) / span, (p[1] - y_low) / span)
        return left + side * x, top + side * (1 - y)

    out = []
    for t in ticks(x_low, x_low + span, 5):
        x = at((t, y_low))[0]
        out.append(tag("path", d=f"M{x:.1f} {top:.1f}v{side:.0f}", class_="grid"))
        out.append(
            tag("text", escape(f.tick(t)), x=x, y=top + side + 16, class_="tick",
                text_anchor="middle")
        )  # fmt: skip
    for t in ticks(y_low, y_low + span, 5):
        y = at((x_low, t))[1]
        out.append(tag("path", d=f"M{left:.1f} {y:.1f}h{side:.0f}", class_="grid"))
        out.append(
            tag("text", escape(f.tick(t)), x=left - 7, y=y + 4, class_="tick", text_anchor="end")
        )
    for p, k in zip(points, labels, strict=True):
        x, y = at(p)
        colour = COLOURS[k % len(COLOURS)]
        out.append(tag("circle", cx=x, cy=y, r=1.9, fill=colour, fill_opacity=0.75))
    for i, name in enumerate(classes[: len(COLOURS)]):
        y = top + 10 + 17 * i
        out.append(tag("circle", cx=left + side + 16, cy=y - 4, r=3.5, fill=COLOURS[i]))
        out.append(tag("text", escape(name[:12]), x=left + side + 24, y=y, class_="label"))
    what = str(scatter["what"])
    said = f"{f.percent(share[0])} and {f.percent(share[1])} of the variance"
    out.append(
        tag(
            "text", escape(said), x=left + side, y=top + side + 33, class_="tick", text_anchor="end"
        )
    )
    desc = f"{len(points)} test samples on the two main axes of the training samples; {said}."
    return frame(ident, f"Projection of {what}", desc, top + side + 40, *out)


def histogram_chart(ident: str, histogram: Mapping[str, object], name: str) -> str:
    """Draw the shares of target and other samples over the value of a class's logit."""
    edges: Sequence[float] = histogram["edges"]  # type: ignore[assignment]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(edges)]
    series = []
    for key, label, kind in (("target", "its own", "after"), ("rest", "all others", "before")):
        shares: Sequence[float] = histogram[key]  # type: ignore[assignment]
        if any(shares):
            series.append(Series(label, list(zip(middles, shares, strict=True)), kind))
    return line_chart(
        Chart(
            ident,
            f"Logit of {name}",
            f"Shares of the samples of {name} and of all others over the logit of {name}.",
            series,
            "logit",
            f.tick,
            f.tick,
            y_bounds=(0.0, 1.0),
            height=200,
        )
    )


def _layers(rows: Sequence[Mapping[str, object]]) -> str:
    if not rows:
        return ""
    cells = [
        [
            escape(str(r["layer"])),
            f.general(float(r["mean"])),  # type: ignore[arg-type]
            f.percent(float(r["zeros"])),  # type: ignore[arg-type]
        ]
        for r in rows
    ]
    drawn = strips(
        "chart-responses",
        "Mean response of the channels of each layer",
        f"{len(rows)} layers; a tick is a channel, the ring the median.",
        [(str(r["layer"]), r["channels"]) for r in rows],  # type: ignore[misc]
        "mean |response|",
        f.tick,
    )
    head = [("layer", ""), ("mean |response|", "n"), ("zeros", "n")]
    return section(
        "Responses",
        "Of every layer's units after the activation, over the test images.",
        tag("figure", drawn),
        table_of("Responses", "", head, cells),
    )


def _criterion(criterion: Mapping[str, Sequence[float]], classes: Sequence[str]) -> str:
    rows = []
    for k, (a, b) in enumerate(zip(criterion["train"], criterion["test"], strict=True)):
        name = classes[k] if k < len(classes) else str(k)
        bars = paired_bars(f"{name}: {a:.3f} in training, {b:.3f} in testing", a, b, 1.0)
        rows.append([escape(name), f"{a:.3f}", f"{b:.3f}", bars])
    head = [("output", ""), ("training", "n"), ("test", "n"), ("", "wide")]
    return section(
        "Criterion per output",
        "1 \u2212 W/T: 1 where the class stands apart from all others, 0 where it does not.",
        table_of("Criterion", "", head, rows),
    )


def responses_sections(found: Mapping[str, object]) -> list[str]:
    """Write all sections of what `sentei.workflow.check.check_responses` gathers, as JSON."""
    classes: Sequence[str] = found["classes"]  # type: ignore[assignment]
    scatters: Sequence[Mapping[str, object]] = found["scatters"]  # type: ignore[assignment]
    histograms: Sequence[Mapping[str, object]] = found["histograms"]  # type: ignore[assignment]
    drawn = [
        tag(
            "figure", tag("h3", escape(str(s["what"]))), scatter_chart(f"chart-pca-{i}", s, classes)
        )
        for i, s in enumerate(scatters)
    ]
    bars = [
        tag("figure", tag("h3", escape(classes[k] if k < len(classes) else str(k))),
            histogram_chart(f"chart-logit-{k}", h, classes[k] if k < len(classes) else str(k)))
        for k, h in enumerate(histograms[:_MOST])
    ]  # fmt: skip
    return [
        _layers(found["layers"]),  # type: ignore[arg-type]
        _criterion(found["criterion"], classes),  # type: ignore[arg-type]
        section(
            "Logits",
            "Shares of the test samples over the logit of each class.",
            tag("div", *bars, class_="columns"),
        ),
        section(
            "Projections",
            "Test samples on the two axes along which the training samples vary most.",
            tag("div", *drawn, class_="columns"),
        ),
    ]
