#!/usr/bin/env python3
"""`sentei compare` on the digits in the package: criteria, the same nets from scratch, uniform widths.

usage: bench_compare.py [--seeds N] [--run-dir FOLDER] [--record FOLDER] [--plot FILE]
       bench_compare.py --table FILE
lenet5_prune on 3,000 images of mnist-mini: 3 epochs, then pruning by 4 channels a round with 4 steps of
training after each; at 30 % and 10 % of the FLOPs. Every network has the same number of training steps.
One line a network: test accuracy, FLOPs and parameters left, widths. --table: those lines as a table.
--plot: accuracy against FLOPs as SVG. An interrupted run is gone on with when --run-dir names its folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import record
from sentei.cli.ticker import Ticker
from sentei.report.style import CSS
from sentei.workflow.compare import CompareResult, plan_compare, resume_compare, run_compare
from sentei.workflow.compare.report import plot
from sentei.workflow.settings import load_config

CRITERIA = ("robust", "trace", "oracle", "fisher", "norm", "l1_std")
TARGETS = ("30%", "10%")
SETTINGS = {
    "model.network": "lenet5_prune",
    "data.name": "mnist-mini",
    "data.limit": 3000,
    "train.epochs": 3,
    "prune.per_round": 4,
    "prune.retrain_steps": 4,
    "prune.finetune_epochs": 1,
}


def row_words(arms: dict[tuple[str, str], list[dict[str, Any]]], arm: str) -> str:
    cells = [arm]
    for target in TARGETS:
        mine = arms.get((arm, target), [])
        scores = [100 * r["score"] for r in mine if r["score"] is not None]
        spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
        cells.append(f"{statistics.mean(scores):.2f}{spread}" if scores else "")
    trust = [r["trust"] for t in TARGETS for r in arms.get((arm, t), []) if r["trust"] is not None]
    return f"| {' | '.join([*cells, f'{statistics.mean(trust):.2f}' if trust else ''])} |"


def table(path: Path) -> None:
    """The lines of a record as a Markdown table."""
    arms: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in path.read_text().splitlines():
        r = json.loads(line)
        arms.setdefault((r["arm"], r["target"]), []).append(r)
    print("| arm | " + " | ".join(f"{t} of FLOPs" for t in TARGETS) + " | trust |")
    print("| --- " * (len(TARGETS) + 2) + "|")
    for name in (*CRITERIA, "uniform"):
        print(row_words(arms, name))
    for name in CRITERIA:
        print(row_words(arms, f"{name}, from scratch"))
    whole = [100 * r["score"] for r in arms.get(("unpruned", "100%"), [])]
    if len(whole) > 1:
        print(f"\nnot pruned: {statistics.mean(whole):.2f} ± {statistics.stdev(whole):.2f}")


def drawing(result: CompareResult) -> str:
    """The plot of the report as a file of its own."""
    style = CSS + "svg{font-family:system-ui,sans-serif;background:var(--paper)}"
    head, tail = plot(result).split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{style}</style>{tail}\n'


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--run-dir", type=Path)
    p.add_argument("--record", help="folder under bench/results")
    p.add_argument("--plot", type=Path, help="SVG file to write")
    p.add_argument("--table", type=Path, help="print this record as a table, do nothing else")
    args = p.parse_args()
    if args.table:
        table(args.table)
        return
    with Ticker("compare") as ticker:
        if args.run_dir is not None and (args.run_dir / "run.json").is_file():
            result = resume_compare(args.run_dir, ticker, args.seeds)
        else:
            folder = None if args.run_dir is None else str(args.run_dir)
            config = load_config(flags={**SETTINGS, "run.run_dir": folder})
            result = run_compare(plan_compare(config, CRITERIA, TARGETS, args.seeds), ticker)
    made = result.comparison
    about = {k: v for k, v in made.to_json().items() if k.startswith(("steps", "rounds"))}
    for o in result.outcomes:
        row = {"arm": o.trial.arm, **asdict(o), **about, "settings": SETTINGS}
        row["seconds"] = round(o.seconds, 2)
        if args.record:
            record(args.record, "compare", row)
    if args.plot:
        args.plot.write_text(drawing(result), encoding="utf-8")
    for cell in result.cells():
        print(cell)


if __name__ == "__main__":
    main()
