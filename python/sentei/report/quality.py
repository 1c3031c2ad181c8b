"""How right a network is, in detail: confusion matrix, figures per class, observed against predicted."""

from collections.abc import Mapping, Sequence

from . import formats as f
from .schema import number, table
from .svg import WIDTH, escape, frame, padded, tag, ticks
from .tables import section, table_of

__all__ = ["confusion_chart", "confusion_section", "observed_chart", "observed_section"]

_MOST_CLASSES = 40  # a larger matrix is left out of the page; report.json holds it
_WRITTEN = 15  # up to so many classes the cells hold their counts
_LETTER = 6.1


def _matrix(value: object, size: int) -> list[list[float]] | None:
    """A square matrix of counts; None when it is none."""
    if not isinstance(value, list) or len(value) != size:
        return None
    rows = []
    for row in value:
        if not isinstance(row, list) or len(row) != size:
            return None
        counts = [number({"v": v}, "v") for v in row]
        if any(c is None or c < 0 for c in counts):
            return None
        rows.append([c or 0.0 for c in counts])
    return rows


def _names(quality: Mapping[str, object]) -> list[str]:
    classes = quality.get("classes")
    return [str(c) for c in classes] if isinstance(classes, list) else []


def confusion_chart(ident: str, names: Sequence[str], rows: Sequence[Sequence[float]]) -> str:
    """Draw a confusion matrix: rows actual, columns predicted, darker for a larger share of the row."""
    k = len(names)
    short = [n if len(n) <= 10 else n[:9] + "\u2026" for n in names]
    longest = max(len(n) for n in short)
    left = 12 + longest * 1.2 * _LETTER
    top = 26.0 if longest <= 3 else 20 + longest * 0.8 * _LETTER
    cell = (WIDTH - 8 - left) / k
    out = [tag("text", "predicted", x=WIDTH - 8.0, y=10.0, class_="tick", text_anchor="end")]
    for i, row in enumerate(rows):
        total = sum(row)
        y = top + i * cell
        out.append(
            tag("text", tag("title", escape(names[i])) + escape(short[i]), x=left - 6,
                y=y + cell / 2 + 4, class_="label", text_anchor="end")
        )  # fmt: skip
        x = left + (i + 0.5) * cell
        turn = "" if longest <= 3 else f"rotate(-45 {x:.1f} {top - 6:.1f})"
        anchor = "start" if turn else "middle"
        head = {"transform": turn} if turn else {}
        out.append(
            tag("text", escape(short[i]), x=x, y=top - 6, class_="tick", text_anchor=anchor, **head)
        )
        for j, count in enumerate(row):
            share = count / total if total else 0.0
            said = f"{names[i]} taken for {names[j]}: {count:g} of {total:g}"
            kind = "hit" if i == j else "miss"
            out.append(
                tag("rect", tag("title", escape(said)), x=left + j * cell, y=y, width=cell - 1,
                    height=cell - 1, class_=kind, fill_opacity=round(0.04 + 0.96 * share, 3))
            )  # fmt: skip
            if k <= _WRITTEN and count:
                dark = "over" if share > 0.55 else "count"
                out.append(
                    tag("text", f"{count:g}", x=left + (j + 0.5) * cell - 0.5, y=y + cell / 2 + 4,
                        class_=dark, text_anchor="middle")
                )  # fmt: skip
    right = sum(rows[i][i] for i in range(k))
    total = sum(map(sum, rows))
    desc = f"{right:g} of {total:g} samples lie on the diagonal. Rows: actual, columns: predicted."
    return frame(ident, "Confusion matrix", desc, top + k * cell + 4, *out)


def _ratio(a: float, b: float) -> float:
    return a / b if b else 0.0


def _per_class(rows: Sequence[Sequence[float]]) -> list[tuple[float, float, float]]:
    """(precision, recall, F) of every class; 0/0 counts as 0."""
    found = []
    for i, row in enumerate(rows):
        p = _ratio(row[i], sum(r[i] for r in rows))
        r = _ratio(row[i], sum(row))
        found.append((p, r, _ratio(2 * p * r, p + r)))
    return found


def confusion_section(report: Mapping[str, object]) -> str:
    """Write the confusion matrix before and after, and precision, recall and F per class."""
    quality = table(report, "confusion")
    names = _names(quality)
    before = _matrix(quality.get("before"), len(names))
    if not names or before is None or len(names) > _MOST_CLASSES:
        return ""
    after = _matrix(quality.get("after"), len(names))
    drawn = []
    for word, rows in (("before pruning" if after else "", before), ("after pruning", after)):
        if rows is not None:
            ident = "chart-confusion" + ("-after" if rows is after else "")
            head = tag("h3", word.capitalize()) if word else ""
            drawn.append(tag("figure", head, confusion_chart(ident, names, rows)))
    last = after or before
    figures = _per_class(last)
    cells = [
        [escape(n), f"{sum(last[i]):,.0f}", *(f.percent(v, 1) for v in figures[i])]
        for i, n in enumerate(names)
    ]
    means = [sum(v[i] for v in figures) / len(figures) for i in range(3)]
    cells.append(["mean", f"{sum(map(sum, last)):,.0f}", *(f.percent(v, 1) for v in means)])
    head_row = [("Class", ""), ("Samples", "n"), ("Precision", "n"), ("Recall", "n"), ("F", "n")]
    said = "Precision: right among those called so. Recall: found among those that are. F: between both."
    return section(
        "Right and wrong, class by class",
        "Rows are what the images show, columns what the network says.",
        tag("div", *drawn, class_="columns"),
        table_of("Classes", escape(said), head_row, cells),
    )


def observed_chart(ident: str, points: Sequence[tuple[float, float]]) -> str:
    """Draw predicted over observed values on one scale; on the diagonal they are equal."""
    values = [v for p in points for v in p]
    low, high = padded(values, 0.04)
    side, left, top = 300.0, 70.0, 10.0

    def at(v: float) -> float:
        return (v - low) / (high - low) * side

    out = []
    for t in ticks(low, high, 5):
        x, y = left + at(t), top + side - at(t)
        out.append(tag("path", d=f"M{left:.1f} {y:.1f}H{left + side:.1f}", class_="grid"))
        out.append(
            tag("text", escape(f.tick(t)), x=left - 7, y=y + 4, class_="tick", text_anchor="end")
        )
        out.append(
            tag("text", escape(f.tick(t)), x=x, y=top + side + 17, class_="tick",
                text_anchor="middle")
        )  # fmt: skip
    out.append(
        tag("path", d=f"M{left:.1f} {top + side:.1f}L{left + side:.1f} {top:.1f}", class_="rule")
    )
    for t, y in points:
        out.append(tag("circle", cx=left + at(t), cy=top + side - at(y), r=1.8, class_="dot after"))
    out.append(
        tag("text", "observed", x=left + side, y=top + side + 34, class_="tick", text_anchor="end")
    )
    out.append(tag("text", "predicted", x=left + 4, y=top + 12, class_="note"))
    desc = f"{len(points)} values; on the dashed line prediction and observation are equal."
    return frame(ident, "Predicted over observed", desc, top + side + 40, *out)


def observed_section(report: Mapping[str, object]) -> str:
    """Write predicted over observed values, before and after, and the figures of a regression."""
    quality = table(report, "regression")
    drawn, rows = [], []
    pruned = bool(table(quality, "after"))
    for side in ("before", "after"):
        one = table(quality, side)
        raw = one.get("points")
        pairs = (
            [p for p in raw if isinstance(p, list) and len(p) == 2] if isinstance(raw, list) else []
        )
        points = [(number({"v": a}, "v"), number({"v": b}, "v")) for a, b in pairs]
        kept = [(a, b) for a, b in points if a is not None and b is not None]
        if not kept:
            continue
        word = ("Before pruning" if side == "before" else "After pruning") if pruned else ""
        head = tag("h3", word) if word else ""
        drawn.append(tag("figure", head, observed_chart(f"chart-observed-{side}", kept)))
        names = ("rmse", "mae", "r2")
        rows.append([word or "test data", *(f.general(number(one, n)) for n in names)])
    if not drawn:
        return ""
    cells = [[escape(c) for c in row] for row in rows]
    head_row = [("", ""), ("RMSE", "n"), ("MAE", "n"), ("R\u00b2", "n")]
    return section(
        "Observed and predicted",
        "One dot per target of a test sample.",
        tag("div", *drawn, class_="columns"),
        table_of("Errors", "", head_row, cells),
    )
