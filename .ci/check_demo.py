"""Check the report of `sentei demo`. Exit code 1: a promise is broken; 3: only the speed is short.

usage: check_demo.py RUNS_FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

POINTS = 0.010  # accuracy that pruning may cost
REMAIN = 0.30  # share of the FLOPs that may remain
SPEEDUP = 1.8  # at batch 100

FILES = (
    "config.resolved.toml",
    "events.jsonl",
    "report.json",
    "report.html",
    "model.safetensors",
    "pruned.safetensors",
)


def main(runs: Path) -> int:
    reports = sorted(runs.glob("*/report.json"), key=lambda p: p.stat().st_mtime)
    if not reports:
        print(f"demo: there must be a report.json in a folder of {runs}")
        return 1
    folder = reports[-1].parent
    report = json.loads(reports[-1].read_text())
    accuracy, flops = report["accuracy"], report["flops"]
    before, after = (report["latency_ms"][k]["100"]["median"] for k in ("before", "after"))
    ratio = before / after
    share = flops["after"] / flops["before"]
    print(f"demo: {folder.name}, seconds {report['seconds']}")
    print(f"demo: accuracy {accuracy['before']:.4f} -> {accuracy['after']:.4f}")
    print(f"demo: {share:.1%} of the FLOPs remain")
    print(f"demo: batch 100 takes {before:.2f} -> {after:.2f} ms, {ratio:.2f} times faster")
    broken = [f"the run folder lacks {name}" for name in FILES if not (folder / name).is_file()]
    if report["verified"] is not True:
        broken.append(f"verified must be true, got {report['verified']}")
    if accuracy["before"] - accuracy["after"] > POINTS:
        broken.append("accuracy must drop by at most 1.0 point")
    if share > REMAIN:
        broken.append(f"at most {REMAIN:.0%} of the FLOPs may remain, got {share:.1%}")
    for line in broken:
        print(f"demo: {line}")
    if broken:
        return 1
    if ratio < SPEEDUP:
        print(f"demo: must be at least {SPEEDUP} times faster at batch 100, got {ratio:.2f}")
        return 3
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
