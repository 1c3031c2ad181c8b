"""A page for a sensitivity analysis: a table, curves, and how much each layer bears."""

from collections.abc import Mapping, Sequence

from . import formats as f
from .page import page
from .schema import clean, entries, number, text
from .svg import Chart, Rule, Series, escape, line_chart, tag
from .tables import section, table_of

__all__ = ["sensitivity_page", "sensitivity_rows", "sensitivity_words"]

_COLOURS = 8
POINT = 0.01  # of accuracy


def _by_layer(data: Mapping[str, object]) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for p in entries(data, "points"):
        layers = p.get("layers")
        if isinstance(layers, list) and layers:
            found.setdefault(" + ".join(map(str, layers)), []).append(p)
    return found


def _figure(p: Mapping[str, object], metric: str) -> float | None:
    return number(p, metric)


def bears(data: Mapping[str, object], points: Sequence[Mapping[str, object]]) -> float | None:
    """The largest share up to which every point is within one accuracy point of the whole network."""
    whole, last = number(data, "whole", "accuracy"), 0.0
    if whole is None:
        return None
    for p in points:
        accuracy, share = number(p, "accuracy"), number(p, "share")
        if accuracy is None or share is None or whole - accuracy > POINT + 1e-9:
            break
        last = share
    return last


def sensitivity_rows(report: Mapping[str, object]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: a layer, its channels, accuracy (or loss) at every share, what it bears."""
    data = clean(report)
    metric = "accuracy" if number(data, "whole", "accuracy") is not None else "loss"
    layers = _by_layer(data)
    shares = sorted({number(p, "share") or 0.0 for ps in layers.values() for p in ps})
    head = ["layer", "channels", *(f"{100 * s:g} %" for s in shares)]
    head += ["bears"] if metric == "accuracy" else []
    rows = []
    for name, points in layers.items():
        at = {number(p, "share"): number(p, metric) for p in points}
        cells = []
        for s in shares:
            value = at.get(s)
            shown = f.MISSING if value is None else f"{value:.4f}"
            cells.append(
                f.percent(value, 1) if metric == "accuracy" and value is not None else shown
            )
        row = [name, text(points[0], "of"), *cells]
        if metric == "accuracy":
            share = bears(data, points)
            row.append(f"{100 * (share or 0):g} %")
        rows.append(row)
    return head, rows


def sensitivity_words(report: Mapping[str, object]) -> str:
    """The most and the least sensitive layer, in a sentence."""
    data = clean(report)
    layers = _by_layer(data)
    metric = "accuracy" if number(data, "whole", "accuracy") is not None else "loss"
    means = {}
    for name, points in layers.items():
        values = [v for p in points if (v := number(p, metric)) is not None]
        if values:
            means[name] = sum(values) / len(values) * (1 if metric == "accuracy" else -1)
    if not means:
        return "No layer can be pruned."
    order = sorted(means, key=lambda n: means[n])
    if len(order) == 1:
        return f"{order[0]} is the only layer that can be pruned."
    return f"Most sensitive: {order[0]}; least: {order[-1]}."


def _chart(data: Mapping[str, object], names: Sequence[str], k: int) -> str:
    layers = _by_layer(data)
    metric = "accuracy" if number(data, "whole", "accuracy") is not None else "loss"
    whole = number(data, "whole", metric)
    series = []
    for i, name in enumerate(names):
        points = [(number(p, "share"), number(p, metric)) for p in layers[name]]
        line = [(x, y) for x, y in points if x is not None and y is not None]
        line = [(0.0, whole), *line] if whole is not None else line
        series.append(Series(name, line, f"k{i % _COLOURS}"))
    percent = metric == "accuracy"
    return line_chart(
        Chart(
            f"sensitivity-{k}",
            f"{metric} over the share of a layer's channels that is removed",
            f"{len(names)} layers, each pruned alone, without retraining.",
            series,
            "removed",
            lambda x: f"{100 * x:.3g}\u00a0%",
            (lambda y: f"{100 * y:.4g}\u00a0%") if percent else f.tick,
            rules=[] if whole is None else [Rule(whole, "nothing removed")],
            height=300,
        )
    )


def sensitivity_page(report: Mapping[str, object]) -> str:
    """Write the page; `report` as `sentei.workflow.sensitivity` makes it."""
    data = clean(report)
    head, rows = sensitivity_rows(data)
    cells = [(h, "n" if i else "") for i, h in enumerate(head)]
    names = list(_by_layer(data))
    charts = "".join(
        tag("figure", _chart(data, names[i : i + _COLOURS], i))
        for i in range(0, len(names), _COLOURS)
    )
    count = text(data, "images")
    caption = (
        f"On {count} held-out training images; channels removed by {text(data, 'criterion')}, least "
        "first, without retraining. bears: the largest share within one accuracy point."
    )
    body = [[escape(c) for c in row] for row in rows]
    return page(
        f"sensitivity: {text(data, 'network')} on {text(data, 'dataset')}",
        sensitivity_words(data),
        section("Layer by layer", "", charts),
        section("Figures", "", table_of("Sensitivity", escape(caption), cells, body)),
    )
