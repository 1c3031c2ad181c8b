"""What a search came to: results.csv, report.json and a page with a table and drawings."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sentei.report import formats as f
from sentei.report.files import atomic_path
from sentei.report.schema import clean
from sentei.report.style import CSS
from sentei.report.svg import Chart, Rule, Series, escape, line_chart, tag
from sentei.report.tables import section, table_of
from sentei.workflow.search.space import Choice, Parameter

if TYPE_CHECKING:
    from sentei.workflow.search.study import SearchResult, Trial

__all__ = ["rows_of", "shown", "write_results"]


def shown(value: Any) -> str:
    """A value of a setting in few letters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def rows_of(result: SearchResult) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the results table, best first."""
    names = list(result.search.space)
    head = ["trial", *names, result.search.metric, "seconds", "note"]
    rows = []
    for t in result.ranked():
        score = "" if t.score is None else f"{t.score:.4f}"
        note = t.error if t.state == "failed" else "" if t.state == "done" else t.state
        values = [shown(t.values[k]) for k in names]
        rows.append([str(t.number), *values, score, f"{t.seconds:.1f}", note])
    return head, rows


def write_results(result: SearchResult) -> None:
    """Write results.csv, report.json and report.html into the run folder."""
    folder = result.run_dir
    names = list(result.search.space)
    with (
        atomic_path(folder / "results.csv") as beside,
        beside.open("w", encoding="utf-8", newline="") as file,
    ):
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["trial", *names, "state", result.search.metric, "seconds", "error"])
        for t in result.trials:
            values = [t.values[k] for k in names]
            score = "" if t.score is None else repr(t.score)
            out.writerow([t.number, *values, t.state, score, round(t.seconds, 3), t.error])
    with atomic_path(folder / "report.json") as beside:
        text = json.dumps(clean(to_json(result)), indent=2, ensure_ascii=False, allow_nan=False)
        beside.write_text(text + "\n", encoding="utf-8")
    with atomic_path(folder / "report.html") as beside:
        beside.write_text(render(result), encoding="utf-8", newline="\n")


def to_json(result: SearchResult) -> dict[str, Any]:
    """The result as JSON data."""
    best = result.best
    return {
        "command": "search",
        **result.search.to_json(),
        "seed": result.search.config.run.seed,
        "best": None if best is None else {"trial": best.number, "values": best.values,
                                           "score": best.score},
        "results": [t.__dict__ for t in result.trials],
        "config": result.search.config.model_dump(exclude_none=True),
    }  # fmt: skip


def render(result: SearchResult) -> str:
    """The page."""
    search, best = result.search, result.best
    done = [t for t in result.trials if t.score is not None]
    title = f"search: {search.config.model.network} on {search.config.data.name}"
    if best is None:
        headline = "No trial came to an end."
    else:
        values = ", ".join(f"{k} = {shown(v)}" for k, v in best.values.items())
        headline = f"Best {search.metric} {best.score:.4f}: {values}."
    failed = sum(t.state == "failed" for t in result.trials)
    said = f"{len(done)} of {len(result.trials)} trials, {search.method} search"
    said += f", {failed} failed" if failed else ""
    head, rows = rows_of(result)
    table = table_of(
        "Trials",
        escape("Best first. The score is that of the epoch whose weights a trial keeps."),
        [
            (h, "" if i == 0 else "n" if i <= len(search.space) + 2 else "")
            for i, h in enumerate(head)
        ],
        [[escape(cell) for cell in row] for row in rows],
    )
    drawings = "".join(
        tag("figure", tag("h3", escape(key)), svg)
        for key, p in search.space.items()
        if (svg := _against(key, p, done, search.metric))
    )
    body = tag("header", tag("div", tag("h1", escape(title)), tag("span", escape(said)), class_="kicker"),
               tag("div", tag("p", escape(headline), class_="headline"), class_="verdict"))  # fmt: skip
    history = _history(done, search.metric, search.maximise)
    if history:
        body += section(
            "History", "Every trial in order, and the best so far.", tag("figure", history)
        )
    if drawings:
        intro = "One dot per trial; the line is the best score."
        body += section("Score over each setting", intro, tag("div", drawings, class_="columns"))
    body += section("Trials", "", table)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n"
        f"<body>{tag('main', body)}</body></html>\n"
    )


def _against(key: str, p: Parameter, done: Sequence[Trial], metric: str) -> str:
    """Score over one setting; "" when there is nothing to show."""
    if not done:
        return ""
    names = list(map(shown, p.values)) if isinstance(p, Choice) else []

    def place(value: Any) -> float:
        if isinstance(p, Choice):
            return float(p.values.index(value))
        return math.log10(value) if p.log else float(value)

    def text(x: float) -> str:
        if isinstance(p, Choice):
            i = round(x)
            return names[i][:12] if 0 <= i < len(names) and abs(x - i) < 1e-9 else ""
        return f.general(10**x) if p.log else f.tick(x)

    points = [(place(t.values[key]), float(t.score or 0.0)) for t in done]
    scores = [y for _, y in points]
    best = max(scores) if "accuracy" in metric else min(scores)
    return line_chart(
        Chart(
            f"search-{''.join(c if c.isalnum() else '-' for c in key)}",
            f"{metric} over {key}",
            f"{len(points)} trials; the best {metric} is {best:.4g}.",
            [Series("trial", points, "after", dots_only=True)],
            key + (" (logarithmic)" if not isinstance(p, Choice) and p.log else ""),
            text,
            f.tick,
            x_whole=isinstance(p, Choice),
            rules=[Rule(best, f"best {best:.4g}")],
        )
    )


def _history(done: Sequence[Trial], metric: str, maximise: bool) -> str:
    points = [(float(t.number), float(t.score or 0.0)) for t in done]
    better = max if maximise else min
    best, line = None, []
    for x, y in points:
        best = y if best is None else better(best, y)
        line.append((x, best))
    return line_chart(
        Chart(
            "search-history",
            f"{metric} of every trial",
            f"{len(points)} trials.",
            [
                Series("trial", points, "before", dots_only=True),
                Series("best so far", line, "after"),
            ],
            "trial",
            f.tick,
            f.tick,
            x_whole=True,
        )
    )
