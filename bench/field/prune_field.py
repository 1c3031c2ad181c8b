#!/usr/bin/env python3
"""Seconds of pruning alone, both tools in one process: scores, surgery and (sentei) the proof.

usage: prune_field.py --network NAME ... --data FOLDER [--record FOLDER]
For a machine that does nothing else; needs the starting networks that bench_field.py has made. Every arm
cuts to the target once per sample, in turn; nothing is retrained.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import arm_sentei
import arm_torch_pruning
import common
import torch
from bench_field import start_file
from scale import SCALES, Scale

from harness import record
from sentei import _core, io

NAME = "field_prune"


def seconds(args: argparse.Namespace, s: Scale) -> dict[str, Any]:
    """Median seconds of each arm."""
    s = replace(s, steps=0, test_images=100)
    start, data = io.load(start_file(args, s, args.seed)), common.images(s, args.data, args.work)
    found: dict[str, list[float]] = {}
    for _ in range(args.samples):
        for tool, criterion in s.arms:
            module = arm_sentei if tool == "sentei" else arm_torch_pruning
            done = module.prune(start, s, data, args.seed, criterion, "once", args.target)
            found.setdefault(f"{tool}:{criterion}", []).append(done.clock.wall["prune"])
    return {"seconds": {k: statistics.median(v) for k, v in found.items()}}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--network", nargs="+", required=True, choices=SCALES["small"])
    p.add_argument("--data", required=True, metavar="FOLDER", help="holds CIFAR-10")
    p.add_argument("--scale", choices=SCALES, default="small")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--target", type=float, default=0.5)
    p.add_argument("--samples", type=int, default=1)
    p.add_argument("--threads", type=int, default=_core.threads())
    p.add_argument("--work", type=Path, default=Path("runs/field"), help="as of bench_field.py")
    p.add_argument(
        "--record", metavar="FOLDER", help=f"append to bench/results/FOLDER/{NAME}.jsonl"
    )
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    _core.set_threads(args.threads)
    for network in args.network:
        found = seconds(args, SCALES[args.scale][network])
        print(network, {k: round(v, 2) for k, v in found["seconds"].items()}, flush=True)
        case = {"scale": args.scale, "network": network, "target": args.target, "schedule": "once"}
        if args.record:
            record(args.record, NAME, {**case, "samples": args.samples, **found})


if __name__ == "__main__":
    main()
