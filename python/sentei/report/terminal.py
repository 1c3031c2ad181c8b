"""The report for a terminal: the same verdict and figures as the page, as a rich table or text."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from . import formats as f
from .family import family_rows
from .html import title_of
from .schema import clean, entries, table, text
from .verdict import Figure, figures, judge

__all__ = ["summary_table", "summary_text"]

_STYLES = {"good": "green", "plain": "", "warn": "yellow", "bad": "bold red"}
_MARKS = {"good": "ok", "plain": "ok", "warn": "warning", "bad": "FAILED"}
_ASCII = str.maketrans({"\u00a0": " ", "\u2192": "->", "\u00d7": "x", "\u2212": "-",
                        "\u2013": "-", "\u00b1": "+/-", "\u00b5": "u", "\u00b7": "-"})  # fmt: skip


def _line(value: str) -> str:
    return " ".join(value.split()) if any(c in value for c in "\n\t\r") else value


def _header(pruned: bool) -> list[str]:
    return ["", "before", "after", "change", "remaining", "removed"] if pruned else ["", ""]


def _row(figure: Figure, pruned: bool) -> list[str]:
    if not pruned:
        return [figure.label, figure.before]
    left = figure.remaining
    shares = ["", ""] if left is None else [f.percent(left), f.percent(1 - left)]
    return [figure.label, figure.before, figure.after or f.MISSING, figure.gain, *shares]


def _content(report: Mapping[str, object]) -> tuple[dict[str, Any], list[Figure], bool, str]:
    data: dict[str, Any] = clean(report)
    shown = figures(data)
    pruned = any(figure.after is not None for figure in shown)
    skipped = [text(s, "layer") for s in entries(data, "skipped")]
    notes = [f"not pruned: {', '.join(skipped)}"] if skipped else []
    if cost := f.loop(data):
        notes.append(cost)
    if said := text(table(data, "trust"), "sentence"):
        notes.append(said)
    if said := text(table(data, "cluster"), "sentence"):
        notes.append(said)
    total = table(data, "seconds").get("total")
    if isinstance(total, int | float):
        notes.append(f"{f.duration(total)} in all")
    if text(data, "seed"):
        notes.append(f"seed {text(data, 'seed')}")
    return data, shown, pruned, _line("; ".join(notes))


def summary_table(report: Mapping[str, object]) -> RenderableType:
    """Lay a report out for a rich console.

    Args:
        report: the report, as in `schema.Report`.

    Returns:
        Verdict, table of figures and a closing note. Names are shown as they are: markup and
        control characters in them have no effect.
    """
    data, shown, pruned, note = _content(report)
    verdict = judge(data)
    head = Text(_line(title_of(data)), style="bold")
    words = Text(verdict.words, style=f"bold {_STYLES[verdict.tone]}".replace("bold bold", "bold"))
    sentence = Text.assemble(*((_line(c.text), _STYLES[c.tone]) for c in verdict.clauses))
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for i, name in enumerate(_header(pruned)):
        grid.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    for figure in shown:
        style = _STYLES[figure.tone]
        grid.add_row(*(Text(cell, style=style) for cell in _row(figure, pruned)))
    parts: list[RenderableType] = [head, words, sentence]
    parts += [Text(""), grid] if shown else []
    head_, rows_ = family_rows(data)
    if rows_:
        family = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for i, name in enumerate(head_):
            last = i in (0, len(head_) - 1)
            family.add_column(name, justify="left" if last else "right", no_wrap=True)
        for row in rows_:
            family.add_row(*(Text(_line(cell)) for cell in row))
        parts += [Text(""), family]
    parts += [Text(""), Text(note, style="dim")] if note else []
    return Group(*parts)


def _aligned(rows: list[list[str]]) -> list[str]:
    rows = [[_line(cell).translate(_ASCII) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def summary_text(report: Mapping[str, object]) -> str:
    """Write the same as plain ASCII lines, for pipes and logs.

    Args:
        report: the report, as in `schema.Report`.

    Returns:
        Lines that end in a newline; every figure in one line, columns aligned.
    """
    data, shown, pruned, note = _content(report)
    verdict = judge(data)
    lines = [_line(title_of(data)), f"{_MARKS[verdict.tone]}: {verdict.words}"]
    lines += [_line(verdict.sentence)]
    rows = [_header(pruned)] if pruned else []
    rows += [_row(figure, pruned) for figure in shown]
    lines += _aligned(rows)
    head, family = family_rows(data)
    lines += _aligned([head, *family]) if family else []
    lines += [note] if note else []
    joined = "\n".join(line.translate(_ASCII) for line in lines) + "\n"
    return joined.encode("ascii", "backslashreplace").decode("ascii")
