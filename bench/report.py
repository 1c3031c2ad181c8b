#!/usr/bin/env python3
"""Write the tables of docs/performance.md from the records in bench/results.

usage: report.py            print the tables
       report.py --write    put them into docs/performance.md, between its markers
Only the latest record of each (folder, network, work) is shown.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- begin: bench/report.py -->", "<!-- end -->"
PEERS = {"torch_nchw": "PyTorch NCHW", "torch_channels_last": "PyTorch channels_last"}


def records(name: str) -> list[tuple[str, dict[str, Any]]]:
    """(folder, record) of every line of bench/results/*/<name>.jsonl, oldest first."""
    found = []
    for path in sorted((ROOT / "bench" / "results").glob(f"*/{name}.jsonl")):
        found += [(path.parent.name, json.loads(line)) for line in path.read_text().splitlines()]
    return found


def tables() -> str:
    """Markdown of all step records, one table a machine."""
    latest: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for folder, r in records("step"):
        latest.setdefault(folder, {})[r["network"], r["work"]] = r
    parts = []
    for folder, rows in sorted(latest.items()):
        some = next(iter(rows.values()))
        m = some["machine"]
        parts.append(
            f"`{folder}`: {m['cpu']}, tier {m['isa']}, {m['threads']} threads, float32 on both sides, "
            f"PyTorch {some['torch']}, medians in milliseconds, in brackets how many times as long.\n"
        )
        parts.append(
            "| network | work | batch | sentei (NHWC) | " + " | ".join(PEERS.values()) + " |"
        )
        parts.append("| --- | --- | ---: | ---: | " + " | ".join("---:" for _ in PEERS) + " |")
        for (network, work), r in rows.items():
            ms = r["milliseconds"]
            cells = [
                f"{ms[p]['median']:.1f} ({r['ratios'][p]:.2f}x)" if p in ms else "-" for p in PEERS
            ]
            kind = {"train": "training step", "infer": "inference"}[work]
            ours = f"{ms['sentei']['median']:.1f}"
            parts.append(
                f"| `{network}` | {kind} | {r['batch']} | {ours} | " + " | ".join(cells) + " |"
            )
        parts.append("")
    return "\n".join(parts)


def page(text: str) -> str:
    """The page with the tables between its markers."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{tail}"


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(PAGE.read_text()))
    elif not sys.argv[1:]:
        print(tables())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
