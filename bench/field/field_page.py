#!/usr/bin/env python3
"""Write the tables and the plot of docs/field.md from bench/results/*/field*.jsonl.

usage: field_page.py            print the tables
       field_page.py --write    put them into docs/field.md, between its markers, and draw docs/field.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import field_tables

ROOT = Path(__file__).resolve().parents[2]
PAGE, PLOT = ROOT / "docs" / "field.md", ROOT / "docs" / "field.svg"
RESULTS = ROOT / "bench" / "results"
BEGIN, END = "<!-- begin: bench/field/field_page.py -->", "<!-- end -->"
SCALE = "small"


def read(name: str) -> list[dict[str, Any]]:
    """All lines of bench/results/*/<name>.jsonl."""
    paths = sorted(RESULTS.glob(f"*/{name}.jsonl"))
    return [json.loads(x) for p in paths for x in p.read_text().splitlines()]


def made() -> tuple[str, str]:
    """Markdown and SVG."""
    rows = field_tables.current(read("field"), SCALE)
    times = [r for r in read("field_latency") if r["scale"] == SCALE]
    cuts = [r for r in read("field_prune") if r["scale"] == SCALE]
    return field_tables.tables(rows, times, cuts), field_tables.plot(rows)


def page(text: str) -> str:
    """The page with the tables between its markers."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{made()[0]}\n{END}{tail}"


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(PAGE.read_text()))
        if svg := made()[1]:
            PLOT.write_text(svg)
    elif not sys.argv[1:]:
        print(made()[0])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
