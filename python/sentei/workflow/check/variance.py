"""Do signals and gradients keep their variance through a network? A probe with its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sentei.init import ProbeRow
from sentei.report.files import atomic_path
from sentei.report.page import page, standalone
from sentei.report.variances import variance_chart, variance_section

__all__ = ["variance_verdict", "write_variance"]

_FAR = 1e4  # one of the two rules keeps signals, the other gradients: no rule keeps both near 1


def variance_verdict(rows: Sequence[ProbeRow]) -> str:
    """One sentence: where signals or gradients leave the range, if they do."""
    for what in ("signal", "gradient"):
        for row in rows if what == "signal" else reversed(rows):
            v = getattr(row, what)
            if v is not None and not 1 / _FAR <= v <= _FAR:
                way = "grows" if v > 1 else "fades"
                return f"the {what} {way}: its variance is {v:.3g} at {row.name}"
    return f"all variances lie within a factor of {_FAR:,.0f} of 1"


def write_variance(rows: Sequence[ProbeRow], out: Path, title: str) -> tuple[Path, Path]:
    """Write a page (out, .html) and its picture alone (.svg beside it)."""
    data = [asdict(row) for row in rows]
    picture = out.with_suffix(".svg")
    with atomic_path(picture) as beside:
        beside.write_text(standalone(variance_chart(data)), encoding="utf-8", newline="\n")
    text = page(title, f"On one mini-batch: {variance_verdict(rows)}.", variance_section(data))
    with atomic_path(out) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
    return out, picture
