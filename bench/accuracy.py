#!/usr/bin/env python3
"""Write the tables of docs/accuracy.md from the records in bench/results.

usage: accuracy.py            print the tables
       accuracy.py --write    put them into docs/accuracy.md, between its markers
Every published table that was run again is there, the latest run of each; then the comparisons of this
package's own methods.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "accuracy.md"
BEGIN, END = "<!-- begin: bench/accuracy.py -->", "<!-- end -->"
ARMS = {
    "step": "AutoPrune",
    "block": "Pruning Block",
    "robust": "by score (`robust`)",
    "frozen": "frozen statistics",
    "fresh": "not trained before",
}


def records(pattern: str) -> list[dict[str, Any]]:
    """Lines of the files of that pattern, in order."""
    found = sorted(RESULTS.glob(pattern))
    return [json.loads(line) for path in found for line in path.read_text().splitlines()]


def spread(values: Iterable[float], scale: float = 100.0) -> str:
    """Mean and sample deviation."""
    v = [scale * x for x in values]
    if not v:
        return "-"
    return f"{statistics.mean(v):.2f}" + (f" ± {statistics.stdev(v):.2f}" if len(v) > 1 else "")


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Markdown; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def published() -> list[str]:
    """Tables of the sources with our figures beside theirs."""
    latest = {r["table"]: r for r in records("methods/*.jsonl") if r.get("command") == "reproduce"}
    out = []
    for name, r in sorted(latest.items()):
        columns = list(dict.fromkeys(f["column"] for row in r["rows"] for f in row["figures"]))
        out += [f"## {r['title']} (`{name}`)", ""]
        small = "; ".join(r["scaled"]) or "at full size"
        out += [f"Source: {r['source']}. {small}. `sentei reproduce {name}` runs it again.", ""]
        rows = []
        for row in r["rows"]:
            cells = [f"{row['group']} {row['arm']}".strip()]
            figures = {f["column"]: f for f in row["figures"]}
            for column in columns:
                f = figures.get(column)
                cells += ["-", "-"] if f is None else [theirs(f), ours(f)]
            rows.append(cells)
        head = ["arm", *(x for c in columns for x in (f"{c}, published", "ours"))]
        out += table(head, rows)
    return out


def theirs(f: dict[str, Any]) -> str:
    deviation = f.get("published_deviation")
    return "-" if f["published"] is None else f"{f['published']:g}" + (
        f" ± {deviation:g}" if deviation is not None else ""
    )  # fmt: skip


def ours(f: dict[str, Any]) -> str:
    if f["mean"] is None:
        return "diverged"
    deviation = f.get("deviation")
    return f"{f['mean']:.2f}" + (f" ± {deviation:.2f}" if deviation is not None else "")


def compared() -> list[str]:
    """Criteria at one budget."""
    runs = [r for r in records("methods/compare.jsonl") if r["state"] == "done"]
    if not runs:
        return []
    s = runs[0]["settings"]
    targets = [t for t in dict.fromkeys(r["target"] for r in runs) if t != "100%"]
    arms = list(dict.fromkeys(r["arm"] for r in runs if r["target"] != "100%"))
    whole = spread(r["score"] for r in runs if r["target"] == "100%")
    rows = [
        [
            arm,
            *(
                spread(r["score"] for r in runs if r["arm"] == arm and r["target"] == t)
                for t in targets
            ),
        ]
        for arm in arms
    ]
    return [
        "## Scores against each other",
        "",
        f"`{s['model.network']}` on {s['data.limit']:,} images of `{s['data.name']}`, the same number of "
        "training steps for every network; test accuracy in %, mean and deviation over seeds. "
        f"Not pruned: {whole}. "
        "[What it shows](methods/scores.md#measured).",
        "",
        *table(["arm", *(f"{t} of FLOPs" for t in targets)], rows),
    ]  # fmt: skip


def gates() -> list[str]:
    """Gates that learn."""
    runs = records("methods/auxiliary.jsonl")
    if not runs:
        return []
    seen: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for r in runs:
        seen.setdefault((r["arm"], r.get("lam"), r.get("gates_lr")), []).append(r)
    before = spread({r["seed"]: r["before"] for r in runs}.values())
    rows = []
    for (arm, lam, step), group in seen.items():
        words = [ARMS.get(x, x) for x in arm.split(", ")]
        words += [f"lambda {lam:g}", f"step size {step:g}"] if lam is not None else []
        rows.append([", ".join(words)])
        for key in ("threshold", "target"):
            ends = [r[key] for r in group if r.get(key)]
            rows[-1] += [spread(r["accuracy"] for r in ends), spread(r["flops"] for r in ends)]
    head = ["method", "accuracy, threshold", "FLOPs left", "accuracy, with a target", "FLOPs left"]
    return [
        "## Gates that learn",
        "",
        f"{runs[0]['images']:,} digits, three convolutions; {before} % before pruning. "
        "[What it shows](methods/auxiliary.md#a-small-experiment).",
        "",
        *table(head, rows),
    ]


def precisions() -> list[str]:
    """Training in bfloat16 beside float32, judged both ways."""
    found = records("*/bfloat16.jsonl")
    rows = []
    for r in found:
        for name, runs in r["runs"].items():
            rows.append([
                f"`{r['network']}`, {name}", str(len(runs)),
                spread(x["accuracy_float32"] for x in runs), spread(x["accuracy_bfloat16"] for x in runs),
            ])  # fmt: skip
    if not rows:
        return []
    head = ["network, trained in", "runs", "judged in float32", "judged in bfloat16"]
    words = "Test accuracy in % on the digits in the package. [How to use it](how-to/bfloat16.md)."
    return ["## bfloat16 on the CPU", "", words, "", *table(head, rows)]


def tables() -> str:
    """All of them as Markdown."""
    return "\n".join([*published(), *compared(), *gates(), *precisions()])


def page(text: str) -> str:
    """The page with the tables between its markers."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{tail}"


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    elif not sys.argv[1:]:
        print(tables())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
