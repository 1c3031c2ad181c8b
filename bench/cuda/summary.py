#!/usr/bin/env python3
"""What a run on a device reached, beside what was aimed at.

usage: summary.py FOLDER    reads cuda_ops.jsonl and cuda_step.jsonl there; the latest record of a case counts
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Record = dict[str, Any]
L2 = 50_000_000
MEMORY_GOAL = 0.85


def latest(path: Path, *keys: str) -> list[Record]:
    """The last record of each combination of keys."""
    found: dict[tuple[Any, ...], Record] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        r = json.loads(line)
        found[tuple(r[k] for k in keys)] = r
    return list(found.values())


def channels(r: Record) -> int:
    """The smaller of C and K in a case such as "64->128@16" or "1x1 16->32@32 s2"."""
    pair = next(w for w in r["case"].split() if "->" in w).split("@")[0]
    return min(int(c) for c in pair.split("->"))


def row(what: str, goal: str, values: Iterable[float], met: int | None, unit: str = "") -> str:
    v = sorted(values)
    if not v:
        return f"| {what} | {goal} | not measured | |"
    spread = f"{v[0]:.2f} / {statistics.median(v):.2f} / {v[-1]:.2f}{unit}"
    return f"| {what} | {goal} | {spread} | {'' if met is None else f'{met} of {len(v)}'} |"


def tables(ops: list[Record], steps: list[Record]) -> list[str]:
    """One line a goal: lowest, median and highest of the cases it speaks of, and how many reach it."""
    lines = ["| what | goal | lowest / median / highest | reached |", "| --- | --- | --- | --- |"]
    memory = [
        r["share"]
        for r in ops
        if r["share_of"] == "copy" and r["bytes"] >= L2 and not r["op"].startswith("semi_sync")
    ]
    met = sum(s >= MEMORY_GOAL for s in memory)
    lines.append(row("memory-bound ops, share of a copy", f">= {MEMORY_GOAL}", memory, met))
    for precision, width, goal in (
        ("bfloat16", 256, 550),
        ("bfloat16", 128, 400),
        ("tf32", 128, 200),
    ):
        for pass_ in ("forward", "backward_input", "backward_weight"):
            rates = [
                r["flops_per_second"] / 1e12
                for r in ops
                if r["op"] == f"conv2d_{pass_}"
                and r["precision"] == precision
                and channels(r) >= width
            ]
            what = f"conv2d {pass_} {precision}, C and K >= {width}, TFLOP/s"
            lines.append(row(what, f">= {goal}", rates, sum(v >= goal for v in rates)))
    for r in ops:
        if r["op"].startswith("semi_sync"):
            least = min(r["ratios"].values(), default=0)
            what = f"{r['op']} {r['case']} {r['precision']} vs masked PyTorch (its best)"
            lines.append(row(what, ">= 3", [least], int(least >= 3)))
    for r in steps:
        goal = 1.5 if r["network"].startswith("lenet") else 1.0
        ratio = r["ratios"].get("best_vs_best")
        met = None if ratio is None else int(ratio >= goal)
        what = f"step {r['network']} b{r['batch']}, best vs best PyTorch"
        lines.append(row(what, f">= {goal}", [] if ratio is None else [ratio], met))
        if (scored := r["ratios"].get("scored_vs_not")) is not None:
            what = f"step {r['network']} with scores, times one without"
            lines.append(row(what, "<= 1.03", [scored], int(scored <= 1.03)))
        equal = {k: v for k, v in r["ratios"].items() if "_vs_best_" in k or k.endswith("default")}
        lines += [f"|   {k} | | {v:.2f} | |" for k, v in equal.items()]
    return lines


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    ops = latest(folder / "cuda_ops.jsonl", "op", "case", "precision")
    steps = latest(folder / "cuda_step.jsonl", "network")
    print("\n".join(tables(ops, steps)))


if __name__ == "__main__":
    main()
