"""Small multiples as SVG: one row a name, a step curve in each, one shared axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .svg import WIDTH, escape, frame, tag, thin, ticks

__all__ = ["StepRow", "step_rows"]

_LETTER = 6.1
_LONGEST = 16


@dataclass(frozen=True)
class StepRow:
    """A row: points (x, y) in the order drawn, y rising from 0 and at most `full`; `end`: said behind."""

    name: str
    points: Sequence[tuple[float, float]]
    full: float
    end: str


def step_rows(
    ident: str,
    title: str,
    desc: str,
    rows: Sequence[StepRow],
    x_label: str,
    x_text: Callable[[float], str],
    ends: tuple[float, float],
) -> str:
    """Draw rising steps, a row each, filled.

    ends: x at the left and at the right end of all rows.
    """
    if not rows or ends[0] == ends[1]:
        return ""
    first, last = ends
    left = 10 + min(_LONGEST, max(len(r.name) for r in rows)) * _LETTER
    right = WIDTH - 14 - max(len(r.end) for r in rows) * _LETTER
    high, gap, top = 26.0, 6.0, 8.0
    bottom = top + len(rows) * (high + gap)

    def at(x: float) -> float:
        return left + (x - first) / (last - first) * (right - left)

    out = []
    low, most = min(ends), max(ends)
    for t in ticks(low, most, 4):
        out.append(tag("path", d=f"M{at(t):.1f} {top:.1f}V{bottom:.1f}", class_="grid"))
        out.append(
            tag("text", escape(x_text(t)), x=at(t), y=bottom + 15, class_="tick",
                text_anchor="middle")
        )  # fmt: skip
    for i, row in enumerate(rows):
        floor = top + i * (high + gap) + high
        shown = row.name if len(row.name) <= _LONGEST else "\u2026" + row.name[1 - _LONGEST :]
        label = tag("title", escape(row.name)) + escape(shown)
        out.append(tag("text", label, x=0, y=floor - 8, class_="label"))
        out.append(tag("text", escape(row.end), x=right + 8, y=floor - 8, class_="tick"))
        path = f"M{at(first):.1f} {floor:.1f}"
        for x, y in thin(row.points):
            share = min(1.0, max(0.0, y / row.full)) if row.full > 0 else 0.0
            path += f"H{at(x):.1f}V{floor - share * high:.1f}"
        out.append(tag("path", d=f"{path}H{right:.1f}V{floor:.1f}", class_="area"))
        out.append(tag("path", d=f"M{left:.1f} {floor:.1f}H{right:.1f}", class_="axis"))
    out.append(
        tag("text", escape(x_label), x=right, y=bottom + 31, class_="tick", text_anchor="end")
    )
    return frame(ident, title, desc, bottom + 38, *out)
