#!/usr/bin/env python3
"""Write the tables and plots of docs/performance.md from the records in bench/results.

usage: report.py            print the tables
       report.py --write    put them into docs/performance.md, between its markers, and draw docs/plots/*.svg
Only the latest record of each (folder, network, work, batch), (folder, op, case, precision), ... is shown;
peers that were timed in several pieces at one commit are joined.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import cpu_page

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "plots"
BEGIN, END = "<!-- begin: bench/report.py -->", "<!-- end -->"
RESULTS = ROOT / "bench" / "results"
PRECISIONS = ("float32", "tf32", "bfloat16")


def records(name: str) -> list[tuple[str, dict[str, Any]]]:
    """(folder, record) of every line of bench/results/*/<name>.jsonl, oldest first."""
    found = []
    for path in sorted(RESULTS.glob(f"*/{name}.jsonl")):
        found += [(path.parent.name, json.loads(line)) for line in path.read_text().splitlines()]
    return found


def tables() -> str:
    """Markdown of all CPU records."""
    return cpu_page.tables(records)


def plots() -> dict[str, str]:
    """SVG of every plot by file name."""
    return cpu_page.plots(records)


def cuda_tables() -> str:
    """Markdown of all records of CUDA devices: steps, then ops."""
    steps: dict[str, dict[Any, dict[str, Any]]] = {}
    ops: dict[str, dict[Any, dict[str, Any]]] = {}
    for folder, r in records("cuda_step"):
        steps.setdefault(folder, {})[r["network"]] = r
    for folder, r in records("cuda_ops"):
        ops.setdefault(folder, {})[r["op"], r["case"], r["precision"]] = r
    parts = []
    for folder in sorted({*steps, *ops}):
        rows = {**steps.get(folder, {}), **ops.get(folder, {})}
        some = next(iter(rows.values()))
        rates = some["ceilings"]
        device = some["device"]
        peaks = [f"{p} {rates[p] / 1e12:.0f} TFLOP/s" for p in PRECISIONS if p in rates]
        ceilings = ", ".join([f"copy {rates['copy'] / 1e12:.2f} TB/s", *peaks])
        parts.append(
            f"`{folder}`: {device['gpu']}, driver for CUDA {device['driver']}, PyTorch "
            f"{device.get('torch', 'not there')}; ceilings measured in the same run: {ceilings}.\n"
        )
        if folder in steps:
            parts += [*step_rows(steps[folder]), ""]
        if folder in ops:
            parts += [*op_rows(ops[folder]), ""]
    return "\n".join(parts)


def step_rows(rows: dict[Any, dict[str, Any]]) -> list[str]:
    """Microseconds of a training step; in brackets how many times as long PyTorch's best arm of that
    precision takes."""
    lines = [
        "| training step | batch | "
        + " | ".join(f"sentei {p}" for p in PRECISIONS)
        + " | PyTorch out of the box | best PyTorch | best to best |",
        "| --- | ---: | " + "---: | " * 6,
    ]
    for network, r in rows.items():
        us = {k: v["median"] for k, v in r["microseconds"].items()}
        peers = {k: v for k, v in us.items() if k.startswith("torch")}
        best = min(peers, key=lambda k: peers[k], default="")
        cells = []
        for p in PRECISIONS:
            ratio = r["ratios"].get(f"{p}_vs_best_{p}")
            cells.append(f"{us[f'sentei_{p}']:.0f}" + (f" ({ratio:.2f}x)" if ratio else ""))
        cells.append(f"{us['torch_default']:.0f}" if "torch_default" in us else "-")
        cells.append(f"{peers[best]:.0f} ({best.removeprefix('torch_')})" if best else "-")
        ratio = r["ratios"].get("best_vs_best")
        cells.append(f"{ratio:.2f}x" if ratio else "-")
        lines.append(f"| `{network}` | {r['batch']} | " + " | ".join(cells) + " |")
    return lines


def op_rows(rows: dict[Any, dict[str, Any]]) -> list[str]:
    """Every op: time, share of the ceiling, PyTorch's arms as multiples of our time."""
    lines = [
        "| op | case | precision | microseconds | share of | PyTorch, times as long |",
        "| --- | --- | --- | ---: | ---: | --- |",
    ]
    for (op, case, precision), r in rows.items():
        share = "-" if r["share"] is None else f"{r['share']:.0%} of {r['share_of']}"
        others = ", ".join(f"{k.removeprefix('torch_')} {v:.2f}x" for k, v in r["ratios"].items())
        us = r["microseconds"]["sentei"]["median"]
        lines.append(f"| `{op}` | {case} | {precision} | {us:.1f} | {share} | {others or '-'} |")
    return lines


def page(text: str) -> str:
    """The page with the tables between its markers."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{tables()}\n{cuda_tables()}{END}{tail}"


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(PAGE.read_text()))
        drawn = plots()
        PLOTS.mkdir(exist_ok=True)
        for old in PLOTS.glob("*.svg"):
            if old.name not in drawn:
                old.unlink()
        for name, svg in drawn.items():
            (PLOTS / name).write_text(svg)
    elif not sys.argv[1:]:
        print(tables())
        print(cuda_tables())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
