"""The drawings of a report: which of its numbers go into which chart."""

import math
from collections.abc import Mapping

from . import formats as f
from .schema import entries, number, table, text
from .svg import Chart, Rule, Series, line_chart, strips
from .verdict import change

__all__ = ["accuracy_chart", "learning_charts", "score_chart"]


def _percent_tick(value: float) -> str:
    return f"{100 * value:.6g}\u00a0%" if abs(value) < 1e4 else f.percent(value)


def _share_left(report: Mapping[str, object]) -> list[tuple[float, dict[str, object]]]:
    before, _ = change(report, "macs")
    found: list[tuple[float, dict[str, object]]] = []
    for step in entries(report, "steps"):
        macs = number(step, "macs")
        if macs is not None and before is not None and before > 0:
            share = macs / before
            if 0 <= share <= 10:
                found.append((share, step))
    return found


def accuracy_chart(report: Mapping[str, object]) -> str:
    """Draw accuracy over the share of FLOPs that remains, from all of them to the last step."""
    shares = _share_left(report)
    lines: dict[str, list[tuple[float, float]]] = {}
    for key in ("accuracy_before_retrain", "accuracy_after_retrain"):
        line = [(share, number(step, key)) for share, step in shares]
        lines[key] = [(x, y) for x, y in line if y is not None and abs(y) <= 10]
    cut, retrained = lines.values()
    if not cut and not retrained:
        return ""
    rules = []
    before = number(report, "accuracy", "before")
    if before is not None and abs(before) <= 10:
        rules.append(Rule(before, f"before pruning {f.percent(before, 2)}"))
        if retrained:
            retrained = [(1.0, before), *retrained]
    target = table(report, "target")
    asked = number(target, "remaining")
    by_flops = text(target, "kind").lower() in ("flops", "macs")
    if by_flops and asked is not None and 0 <= asked <= 1:
        rules.append(Rule(asked, f"target {_percent_tick(asked)}", vertical=True))
    last = (retrained or cut)[-1]
    return line_chart(
        Chart(
            "chart-accuracy",
            "Accuracy over the FLOPs that remain",
            f"{len(shares)} pruning steps; the last one is at {f.percent(last[0])} of the FLOPs "
            f"with an accuracy of {f.percent(last[1], 2)}.",
            [
                Series("right after a cut", cut, "before", dots_only=True),
                Series("after retraining", retrained, "after"),
            ],
            "FLOPs remaining",
            _percent_tick,
            _percent_tick,
            x_reversed=True,
            y_bounds=(0.0, 1.0),
            rules=rules,
            height=280,
        )
    )


def learning_charts(report: Mapping[str, object]) -> list[tuple[str, str]]:
    """Draw loss and accuracy over the epochs: (heading, svg) of each that has data."""
    epochs = entries(report, "training")
    found = []
    for heading, keys, bounds in (
        ("Loss", ("loss", "val_loss"), (-math.inf, math.inf)),
        ("Accuracy", ("accuracy", "val_accuracy"), (0.0, 1.0)),
    ):
        series, words = [], []
        for key, name, kind in zip(
            keys, ("training", "validation"), ("before", "after"), strict=True
        ):
            line = [(number(e, "epoch"), number(e, key)) for e in epochs]
            points = [(x, y) for x, y in line if x is not None and y is not None]
            series.append(Series(name, points, kind))
            if points:
                end = points[-1][1]
                shown = f.general(end) if heading == "Loss" else f.percent(end, 2)
                words.append(f"{name} ends at {shown}")
        drawn = line_chart(
            Chart(
                f"learning-{heading.lower()}",
                f"{heading} over the epochs",
                f"{len(epochs)} epochs; {', '.join(words)}.",
                series,
                "epoch",
                f.tick,
                f.tick if heading == "Loss" else _percent_tick,
                x_whole=True,
                y_bounds=bounds,
            )
        )
        if drawn:
            found.append((heading, drawn))
    return found


def score_chart(report: Mapping[str, object]) -> str:
    """Draw the scores of every layer's channels as strips on one axis."""
    rows = []
    for row in entries(report, "scores"):
        values = row.get("values")
        kept = [number({"v": v}, "v") for v in values] if isinstance(values, list) else []
        rows.append((text(row, "layer"), [v for v in kept if v is not None]))
    rows = [(name, values) for name, values in rows if values]
    total = sum(len(values) for _, values in rows)
    criterion = table(report, "criterion")
    name = text(criterion, "name") or "score"
    return strips(
        "chart-scores",
        "Scores of the channels of each layer",
        f"{total} channels in {len(rows)} layers; the leftmost are the next to be removed.",
        rows,
        f"{name[:30]}: least goes first",
        f.tick,
    )
