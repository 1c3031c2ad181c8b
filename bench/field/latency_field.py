#!/usr/bin/env python3
"""Latency in ONNX Runtime of what bench_field.py has made.

usage: latency_field.py --network NAME [--target SHARE] [--seeds N] [--record FOLDER]
For a machine that does nothing else. Starting networks and results of all arms and seeds are interleaved
in one run. All are exported by sentei (what Torch-Pruning has made is brought back first), so that the
networks differ and not the files.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
import onnxruntime as ort
from bench_field import start_file
from common import work_file
from scale import SCALES, SCHEDULES, Scale

from harness import interleaved, record
from sentei import io
from sentei.model import Model

NAME = "field_latency"


def networks(args: argparse.Namespace, s: Scale, seed: int) -> dict[str, Model]:
    """The starting network of a seed and what the arms have made of it."""
    begin = start_file(args, s, seed)
    found = {"start": io.load(begin)} if begin.is_file() else {}
    for tool, criterion in s.arms:
        case = [args.scale, s.network, seed, tool, criterion, args.schedule, args.target]
        path = work_file(args.work, *case)
        if path.is_file():
            found[f"{tool}:{criterion}"] = io.load(path)
    return found


def latency(args: argparse.Namespace, s: Scale) -> dict[str, Any]:
    """Milliseconds of one call, by batch, then by arm and seed."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    sessions = {}
    for seed in range(args.seeds):
        for name, model in networks(args, s, seed).items():
            path = args.work / f"{args.scale}-{s.network}-{seed}-{name}-{args.target}.onnx"
            if not path.is_file():
                io.export_onnx(model, path)
            if not args.prepare:
                sessions[f"{name}:{seed}"] = ort.InferenceSession(
                    str(path), options, ["CPUExecutionProvider"]
                )
    found: dict[str, Any] = {}
    for batch in args.batch if sessions else ():
        x = np.random.default_rng(0).standard_normal((batch, 3, 32, 32), np.float32)
        arms = {
            k: (lambda r=r, x=x: r.run(None, {r.get_inputs()[0].name: x}))
            for k, r in sessions.items()
        }
        found[str(batch)] = interleaved(
            arms, args.samples, at_least_ms=5, seconds=args.seconds / len(args.batch)
        )
    return found


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--scale", choices=SCALES, default="small")
    p.add_argument("--network", required=True, choices=SCALES["small"])
    p.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1")
    p.add_argument("--target", type=float, default=0.5)
    p.add_argument("--schedule", choices=SCHEDULES, default="once")
    p.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    p.add_argument("--samples", type=int, default=15, help="of each network, at most")
    p.add_argument("--seconds", type=float, default=20, help="no further round after these")
    p.add_argument("--threads", type=int, default=1,
                   help="of ONNX Runtime; more would spin beside the session that is timed")  # fmt: skip
    p.add_argument("--work", type=Path, default=Path("runs/field"), help="as of bench_field.py")
    p.add_argument("--prepare", action="store_true", help="only export, time nothing")
    p.add_argument(
        "--record", metavar="FOLDER", help=f"append to bench/results/FOLDER/{NAME}.jsonl"
    )
    args = p.parse_args()
    found = latency(args, SCALES[args.scale][args.network])
    case = {k: getattr(args, k) for k in ("scale", "network", "schedule", "target")}
    versions = {"onnxruntime": ort.__version__}
    for batch, times in found.items():
        for name, t in times.items():
            print(f"{args.network} batch {batch} {name}: {t['median']:.3f} ms")
    if args.record and not args.prepare:
        record(
            args.record, NAME, {**case, "threads": args.threads, "milliseconds": found, **versions}
        )


if __name__ == "__main__":
    main()
