"""What a reproduction came to: results.csv, report.json, report.html, and a record for the bench."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sentei import _core
from sentei.errors import DataError
from sentei.report import formats as f
from sentei.report.files import atomic_path
from sentei.report.schema import clean
from sentei.report.style import CSS
from sentei.report.svg import Chart, Series, escape, line_chart, tag
from sentei.report.tables import section, table_of
from sentei.workflow.doctor import cpu_model, versions
from sentei.workflow.reproduce.engine import Result
from sentei.workflow.reproduce.spec import Table
from sentei.workflow.reproduce.summary import Cell, Row, orders, rows
from sentei.workflow.reproduce.trial import Trial

__all__ = ["check_record", "judged", "lines_of", "to_json", "write_record", "write_results"]

_HEAD = ["arm", "figure", "published", "ours", "difference", "runs"]


def lines_of(result: Result) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table, in words."""
    made = []
    for row in rows(result.what.table, result.trials):
        for k, cell in enumerate(row.cells):
            made.append(_line(row, cell, k == 0))
    return _HEAD, made


def _line(row: Row, cell: Cell, first: bool) -> list[str]:
    difference = "" if cell.difference is None else f"{cell.difference:+.2f}"
    runs = str(cell.runs) + (f" ({row.diverged} diverged)" if row.diverged else "")
    return [
        row.arm if first else "",
        cell.column,
        _with(cell.published, cell.published_deviation),
        _with(cell.mean, cell.deviation),
        difference,
        runs,
    ]


def _with(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return "-"
    return f"{mean:.2f}" + ("" if deviation is None else f" +- {deviation:.2f}")


def to_json(result: Result) -> dict[str, Any]:
    """The result as JSON data."""
    what, table = result.what, result.what.table
    return {
        "command": "reproduce",
        "table": table.name,
        "source": table.source,
        "title": table.title,
        "data": table.data.name,
        "scale": what.scale.factor,
        "images": what.scale.images,
        "test_images": result.test_images,
        "seeds": what.seeds,
        "scaled": list(result.scaled),
        "settled": list(table.settled),
        "machine": {
            "cpu": cpu_model(),
            "isa": str(_core.isa_info()["active"]),
            "threads": _core.threads(),
            "device": what.device,
        },
        "versions": versions(),
        **judged(table, result.trials, result.test_images),
        "trials": [t.to_json() for t in result.trials],
    }


def judged(table: Table, trials: Sequence[Trial], test_images: int) -> dict[str, Any]:
    """Figures of the arms and whether the ordering holds, as JSON data: all from the trials."""
    found = rows(table, trials)
    return {
        "rows": [
            {
                "arm": r.arm,
                "group": r.group,
                "diverged": r.diverged,
                "figures": [{**c.__dict__, "difference": c.difference} for c in r.cells],
            }
            for r in found
        ],
        "orders": [o.to_json() for o in orders(table, found, test_images)],
    }


def write_results(result: Result) -> None:
    """Write results.csv, report.json and report.html into the folder of the run."""
    out = result.what.out
    with atomic_path(out / "results.csv") as beside:
        beside.write_text(_csv(result), encoding="utf-8", newline="")
    with atomic_path(out / "report.json") as beside:
        text = json.dumps(clean(to_json(result)), indent=2, allow_nan=False)
        beside.write_text(text + "\n", encoding="utf-8")
    with atomic_path(out / "report.html") as beside:
        beside.write_text(render(result), encoding="utf-8", newline="\n")


def _csv(result: Result) -> str:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(
        ["arm", "figure", "published", "published_deviation", "mean", "deviation", "difference",
         "runs", "diverged"]
    )  # fmt: skip
    for r in rows(result.what.table, result.trials):
        for c in r.cells:
            numbers = (c.published, c.published_deviation, c.mean, c.deviation, c.difference)
            shown = ["" if v is None else f"{v:.4f}" for v in numbers]
            out.writerow([r.arm, c.column, *shown, c.runs, r.diverged])
    return text.getvalue()


def check_record(path: Path) -> None:
    """DataError when no record can be written there."""
    above = next(p for p in path.absolute().parents if p.exists())
    if path.is_dir():
        raise DataError(f"reproduce: record must be a file to write, got the folder {path}")
    if not above.is_dir():
        raise DataError(
            f"reproduce: record must lie in a folder, got {path} below the file {above}"
        )
    if not os.access(above, os.W_OK):
        raise DataError(f"reproduce: record must lie in a folder that can be written, got {path}")


def write_record(result: Result, path: Path) -> None:
    """Write one JSON line about the run and one per trial, for bench/results."""
    about = {k: v for k, v in to_json(result).items() if k != "trials"}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    lines = [{"date": date, **about}, *(t.to_json() for t in result.trials)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as beside:
        text = "".join(json.dumps(clean(x), allow_nan=False) + "\n" for x in lines)
        beside.write_text(text, encoding="utf-8")


def render(result: Result) -> str:
    """The page."""
    table = result.what.table
    found = rows(table, result.trials)
    title = f"{table.title}: {table.source}"
    said = orders(table, found, result.test_images)
    headline = "; ".join(dict.fromkeys(o.words for o in said)) + "."
    head, lines = lines_of(result)
    body = tag(
        "header",
        tag("div", tag("h1", escape(title)), class_="kicker"),
        tag("div", tag("p", escape(headline), class_="headline"), class_="verdict long"),
    )
    notes = [f"Scaled: {s}." for s in result.scaled] + [f"Settled: {s}." for s in table.settled]
    scaled = "".join(tag("li", escape(n)) for n in notes)
    if scaled:
        body += section("What differs from the source", "", tag("ul", scaled))
    body += section(
        "Published and ours",
        "Percent; mean and standard deviation of the sample over the runs.",
        table_of(
            "Figures",
            "",
            [(h, "" if i < 2 else "n") for i, h in enumerate(head)],
            [[escape(cell) for cell in line] for line in lines],
        ),
    )
    charts = "".join(tag("figure", tag("h3", escape(c)), _chart(table.name, c, found))
                     for c in table.columns)  # fmt: skip
    body += section("Drawn", "", tag("div", charts, class_="columns"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n"
        f"<body>{tag('main', body)}</body></html>\n"
    )


def _chart(name: str, column: str, found: tuple[Row, ...]) -> str:
    """Published and own figure of every arm."""
    cells = [(float(i), r.cell(column)) for i, r in enumerate(found)]
    published = [(x, c.published) for x, c in cells if c.published is not None]
    ours = [(x, c.mean) for x, c in cells if c.mean is not None]
    names = [r.arm for r in found]

    def text(x: float) -> str:
        i = round(x)
        return names[i][:14] if abs(x - i) < 1e-9 and 0 <= i < len(names) else ""

    return line_chart(
        Chart(
            "".join(c if c.isalnum() else "-" for c in f"reproduce-{name}-{column}"),
            f"{column} of every arm",
            f"{len(names)} arms, published and ours.",
            [
                Series("published", published, "before", dots_only=True),
                Series("ours", ours, "after", dots_only=True),
            ],
            "arm",
            text,
            f.tick,
            x_whole=True,
        )
    )
