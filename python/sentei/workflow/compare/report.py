"""What a comparison came to: table, results.csv, report.json and a page with a plot."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from sentei.report import formats as f
from sentei.report.files import atomic_path
from sentei.report.schema import clean
from sentei.report.style import CSS
from sentei.report.svg import Chart, Rule, Series, escape, line_chart, tag
from sentei.report.tables import section, table_of
from sentei.workflow.compare.plan import WHOLE

if TYPE_CHECKING:
    from sentei.workflow.compare.study import Cell, CompareResult

__all__ = ["rows_of", "to_json", "write_results"]

_COLOURS = 8
_FRESH = "dashed: from scratch"
_CSV = ("arm", "target", "n", "failed", "mean", "std", "flops", "params", "trust", "seconds")


def _value(result: CompareResult, value: float) -> str:
    return f"{100 * value:.2f}" if result.comparison.metric == "accuracy" else f"{value:.4f}"


def shown(result: CompareResult, cell: Cell) -> str:
    """Mean and deviation in few letters."""
    if cell.mean is None:
        return "failed" if cell.failed else ""
    said = _value(result, cell.mean)
    said += "" if cell.std is None else f" \u00b1 {_value(result, cell.std)}"
    return said + (f" ({cell.failed} failed)" if cell.failed else "")


def rows_of(result: CompareResult) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table: an arm a row, a target a column."""
    c = result.comparison
    unit = " %" if c.metric == "accuracy" else ""
    head = ["", *(f"{c.metric}{unit} at {t}" for t in c.targets), "trust"]
    rows = []
    for arm in result.arms():
        cells = [result.cell(arm, t) for t in c.targets]
        trust = next((x.trust for x in cells if x.trust is not None), None)
        said = "" if trust is None else f"{trust:.2f}"
        rows.append([arm, *(shown(result, x) for x in cells), said])
    if not any(r[-1] for r in rows):
        head, rows = head[:-1], [r[:-1] for r in rows]
    return head, rows


def unpruned(result: CompareResult) -> str:
    """The network that was not pruned, in words; "" when it was left out."""
    if "unpruned" not in result.comparison.baselines:
        return ""
    said = shown(result, result.cell("unpruned", WHOLE))
    unit = " %" if result.comparison.metric == "accuracy" else ""
    return f"not pruned, trained as long: {said}{unit}"


def budget(result: CompareResult) -> str:
    """What every network was given, in words."""
    c = result.comparison
    n = len(c.seeds)
    return (
        f"{n} seed{'s' if n > 1 else ''}, mean \u00b1 sample deviation; every network had "
        f"{c.first + c.after:,} training steps of {c.config.train.batch} images "
        f"({c.first:,} before pruning, {c.after:,} from its start on)"
    )


def to_json(result: CompareResult) -> dict[str, Any]:
    """The result as JSON data."""
    return {
        "command": "compare",
        **result.comparison.to_json(),
        "table": [x.__dict__ for x in result.cells()],
        "results": [o.__dict__ for o in result.outcomes],
        "config": result.comparison.config.model_dump(exclude_none=True),
    }


def write_results(result: CompareResult) -> None:
    """Write results.csv, report.json and report.html into the run folder."""
    folder = result.run_dir
    with (
        atomic_path(folder / "results.csv") as beside,
        beside.open("w", encoding="utf-8", newline="") as file,
    ):
        out = csv.writer(file, lineterminator="\n")
        out.writerow(_CSV)
        for cell in result.cells():
            values = [getattr(cell, k) for k in _CSV]
            out.writerow(["" if v is None else repr(v) if isinstance(v, float) else v
                          for v in values])  # fmt: skip
    with atomic_path(folder / "report.json") as beside:
        text = json.dumps(clean(to_json(result)), indent=2, ensure_ascii=False, allow_nan=False)
        beside.write_text(text + "\n", encoding="utf-8")
    with atomic_path(folder / "report.html") as beside:
        beside.write_text(render(result), encoding="utf-8", newline="\n")


def _headline(result: CompareResult) -> str:
    """The best criterion at the smallest target, and how it stands to the baselines."""
    c = result.comparison
    target = min(c.targets, key=lambda t: c.target(t).budget(c.original))
    found = {n: result.cell(n, target) for n in c.criteria}
    known = {n: x.mean for n, x in found.items() if x.mean is not None}
    if not known:
        return "No pruning came to an end."
    best = max(known, key=lambda n: known[n])
    unit = " %" if c.metric == "accuracy" else ""
    said = f"With {target} of the FLOPs, {best} is best: {shown(result, found[best])}{unit}"
    for arm, words in ((f"{best}, from scratch", "the same network from scratch"),
                       ("uniform", "uniform widths")):  # fmt: skip
        if arm in result.arms() and result.cell(arm, target).mean is not None:
            said += f"; {words} {shown(result, result.cell(arm, target))}{unit}"
    return said + "."


def plot(result: CompareResult) -> str:
    """Accuracy against the FLOPs that remain: a dot a trial, a line through the means of an arm."""
    c = result.comparison
    share = 1 / c.original.flops
    series: list[Series] = []
    colours = {n: f"k{i % _COLOURS}" for i, n in enumerate(c.criteria)}
    for arm in result.arms():
        base = arm.removesuffix(", from scratch")
        kind = colours.get(base, "plain") + (" dashed" if base != arm else "")
        mine = [o for o in result.outcomes if o.trial.arm == arm and o.score is not None]
        dots = [(o.flops * share, o.score or 0.0) for o in mine]
        cells = [result.cell(arm, t) for t in c.targets]
        line = sorted(
            (x.flops, x.mean) for x in cells if x.flops is not None and x.mean is not None
        )
        name = arm
        if base != arm:  # dashed, one name for all of them
            name = "" if any(x.name == _FRESH for x in series) else _FRESH
        series += [Series("", dots, kind, dots_only=True), Series(name, line, kind)]
    whole = result.cell("unpruned", WHOLE).mean if "unpruned" in c.baselines else None
    rules = [] if whole is None else [Rule(whole, "not pruned")]
    percent = c.metric == "accuracy"
    return line_chart(
        Chart(
            "compare",
            f"{c.metric} over the FLOPs that remain",
            f"{len(c.criteria)} criteria at {len(c.targets)} targets; dots are single networks.",
            series,
            "FLOPs remaining",
            lambda x: f"{100 * x:.3g}\u00a0%",
            (lambda y: f"{100 * y:.4g}\u00a0%") if percent else f.tick,
            x_reversed=True,
            rules=rules,
            height=300,
        )
    )


def render(result: CompareResult) -> str:
    """The page."""
    c = result.comparison
    words = c.to_json()
    title = f"compare: {words['network']} on {words['dataset']}"
    head, rows = rows_of(result)
    caption = budget(result)
    caption += f"; {unpruned(result)}" if unpruned(result) else ""
    if "trust" in head:
        caption += "; trust: rank correlation of the scores of two halves of the images"
    cells = [(h, "n" if i else "") for i, h in enumerate(head)]
    table = table_of("Criteria", escape(caption + "."), cells,
                     [[escape(x) for x in row] for row in rows])  # fmt: skip
    names = [("Network", ""), ("Target", "n"), ("Seed", "n"), (c.metric, "n"), ("FLOPs", "n"),
             ("Parameters", "n"), ("Rounds", "n"), ("Seconds", "n"), ("Note", "")]  # fmt: skip
    each = []
    for o in result.outcomes:
        score = "" if o.score is None else _value(result, o.score)
        each.append([escape(x) for x in (
            o.trial.arm, o.target, str(o.seed), score, f.count(o.flops), f.count(o.params),
            str(o.rounds or ""), f"{o.seconds:.1f}", o.error)])  # fmt: skip
    top = tag("div", tag("h1", escape(title)), class_="kicker")
    verdict = tag("div", tag("p", escape(_headline(result)), class_="headline"), class_="verdict")
    body = tag("header", top, verdict)
    body += section("Criteria", "", table)
    if drawn := plot(result):
        intro = (
            "Dots are single networks, lines their means; dashed: the same network from scratch."
        )
        body += section("Against cost", intro, tag("figure", drawn))
    body += section("Every network", "", tag("details", tag("summary", f"Table of {len(each)}"),
                    table_of("Networks", "In the order in which they were made.", names, each)))  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n"
        f"<body>{tag('main', body)}</body></html>\n"
    )
