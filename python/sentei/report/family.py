"""Several operating points of one run: a table and a curve; and rounds that were undone."""

from collections.abc import Mapping

from . import formats as f
from .schema import entries, number, table, text
from .svg import Chart, Rule, Series, escape, line_chart, tag
from .tables import section, table_of
from .verdict import change

__all__ = ["family_rows", "family_section", "undone_section"]


def _batches(point: Mapping[str, object]) -> list[str]:
    return sorted(table(point, "latency_ms"), key=lambda b: (len(b), b))


def family_rows(report: Mapping[str, object]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of operating points, the largest first; none: empty.

    Shares of FLOPs and parameters are what REMAINS.
    """
    points = entries(report, "points")
    if not points:
        return [], []
    batches = _batches(points[0])
    head = ["target", "accuracy", "FLOPs", "parameters", "memory"]
    head += [f"ms, batch {b}" for b in batches] + ["file"]
    whole = {k: change(report, k)[0] for k in ("flops", "params", "memory")}
    rows = []
    for p in points:
        accuracy = number(p, "accuracy")
        row = [text(p, "target"), f.MISSING if accuracy is None else f.percent(accuracy, 2)]
        for key, before in whole.items():
            now = number(p, key)
            known = now is not None and before
            row.append(
                f.percent(now / before) if known and now is not None and before else f.MISSING
            )
        row += [f.milliseconds(number(p, "latency_ms", b, "median")) for b in batches]
        rows.append([*row, text(p, "file")])
    return head, rows


def _curve(report: Mapping[str, object]) -> str:
    whole = change(report, "flops")[0]
    line = []
    for p in entries(report, "points"):
        flops, accuracy = number(p, "flops"), number(p, "accuracy")
        if flops is not None and accuracy is not None and whole:
            line.append((flops / whole, accuracy))
    if not line:
        return ""
    before = number(report, "accuracy", "before")
    rules = [] if before is None else [Rule(before, f"before pruning {f.percent(before, 2)}")]
    return line_chart(
        Chart(
            "chart-family",
            "Accuracy of the operating points over the FLOPs that remain",
            f"{len(line)} networks of one run, on the test images.",
            [Series("", line, "after", dots_only=True), Series("operating points", line, "after")],
            "FLOPs remaining",
            lambda x: f"{100 * x:.3g}\u00a0%",
            lambda y: f"{100 * y:.4g}\u00a0%",
            x_reversed=True,
            rules=rules,
            height=260,
        )
    )


def family_section(report: Mapping[str, object]) -> str:
    """The operating points as a section of the page."""
    head, rows = family_rows(report)
    if not rows:
        return ""
    cells = [(h, "" if i in (0, len(head) - 1) else "n") for i, h in enumerate(head)]
    caption = escape("Networks of one run, on the test images; shares are what remains.")
    drawn = _curve(report)
    figure = tag("figure", drawn) if drawn else ""
    body = [[escape(c) for c in row] for row in rows]
    return section(
        "Operating points", "", figure, table_of("Operating points", caption, cells, body)
    )


def undone_section(report: Mapping[str, object]) -> str:
    """Rounds that cost too much and were undone."""
    rows = []
    for e in entries(report, "rollbacks"):
        before, after, drop = (number(e, k) for k in ("before", "after", "drop"))
        layers = e.get("members")
        count = len(layers) if isinstance(layers, list) else 1
        cells = [f"{text(e, 'layer')}[{text(e, 'channel')}]", str(count)]
        cells += [f.MISSING if v is None else f.percent(v, 2) for v in (before, after)]
        rows.append([escape(c) for c in [*cells, f.MISSING if drop is None else f"{drop:.2f}"]])
    if not rows:
        return ""
    names = ("first channel", "channels", "accuracy before", "after the round", "points lost")
    head = [(h, "n" if i else "") for i, h in enumerate(names)]
    caption = escape("On held-out training images. These channels were protected from then on.")
    return section("Rounds undone", "", table_of("Rounds undone", caption, head, rows))
