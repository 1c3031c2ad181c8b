#!/usr/bin/env python3
"""Every hot op on a CUDA device beside PyTorch, correct first, then timed with a cold cache.

usage: bench_ops.py [--only WORD,...] [--samples N] [--seconds S] [--record FOLDER] [--dry]
A line per case: microseconds, share of the ceiling measured in the same run (a copy of 1 GiB, or
torch.mm at the same precision), and how many times as long PyTorch takes, arm by arm. --seconds: start no
case after that many. --dry: tiny shapes on the emulator, one sample, to exercise this code; no record.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import matrix_cases
import memory_cases
from cases import LIMITS, Case, Pool, arms, error, only
from timing import Machine, interleaved, torch

from harness import record


def measure(
    machine: Machine, case: Case, ceilings: dict[str, float], samples: int
) -> dict[str, Any]:
    """The record of a case; ValueError when sentei's result is wrong."""
    found, ours = arms(machine, case)
    off = None
    if machine.peer and case.check:
        off = error(machine, case, ours)
        if not off < LIMITS[case.precision]:
            raise ValueError(f"the result must be right, got a relative error of {off:.2e}")
    got, notes = interleaved(machine, found, samples)
    us = got["sentei"]["median"]
    moved = case.moved or ours.moved
    rate, peak = moved / us * 1e6, ours.flops / us * 1e6
    ceiling = ceilings.get(case.precision) if case.matrix else ceilings.get("copy")
    return {
        "op": case.op,
        "case": case.name,
        "network": case.network,
        "precision": case.precision,
        "bytes": moved,
        "flops": ours.flops,
        "bytes_per_second": rate,
        "flops_per_second": peak,
        "share": (peak if case.matrix else rate) / ceiling if ceiling else None,
        "share_of": "torch.mm" if case.matrix else "copy",
        "error": off,
        "sets_of_buffers": len(found["sentei"].calls),
        "microseconds": got,
        "ratios": {k: round(v["median"] / us, 3) for k, v in got.items() if k != "sentei"},
        "arms": {
            k: {**a.notes, **({"note": notes[k]} if k in notes else {})} for k, a in found.items()
        },
    }


def text(r: dict[str, Any]) -> str:
    """One line of the table."""
    share = f"{r['share']:4.0%}" if r["share"] is not None else "   -"
    speed = (
        f"{r['flops_per_second'] / 1e12:7.1f} TFLOP/s"
        if r["share_of"] == "torch.mm"
        else f"{r['bytes_per_second'] / 1e9:7.0f} GB/s   "
    )
    ratios = "  ".join(f"{k.removeprefix('torch_')} {v:.2f}x" for k, v in r["ratios"].items())
    us = r["microseconds"]["sentei"]
    return (
        f"{r['op']:24s} {r['case']:17s} {r['precision']:8s} {us['median']:9.1f} us "
        f"({us['p10']:.1f}-{us['p90']:.1f}) {speed} {share}  {ratios}"
    )


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--only", default="")
    p.add_argument("--samples", type=int, default=11)
    p.add_argument("--seconds", type=float, default=1e9)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument(
        "--record", metavar="FOLDER", help="append to bench/results/FOLDER/cuda_ops.jsonl"
    )
    p.add_argument("--dry", action="store_true")
    args = p.parse_args()
    began = time.monotonic()
    machine = Machine(args.dry)
    ceilings = machine.ceilings()
    about = machine.describe()
    print("device:", about)
    units = {"copy": (1e9, "GB/s")}
    for name, value in ceilings.items():
        scale, unit = units.get(name, (1e12, "TFLOP/s"))
        print(f"ceiling {name}: {value / scale:.1f} {unit}")
    pool = Pool(args.seed, 1 << (10 if args.dry else 24))
    every = itertools.chain(  # what matters most first, should the time run out
        memory_cases.cases(pool, args.dry, slice(0, 1)),
        matrix_cases.cases(pool, args.dry, ("bfloat16", "tf32")),
        memory_cases.cases(pool, args.dry, slice(1, None)),
        matrix_cases.cases(pool, args.dry, ("float32",)),
    )
    failed = left = 0
    for case in only(every, args.only):
        if time.monotonic() - began > args.seconds:
            left += 1
            continue
        try:
            r = measure(machine, case, ceilings, 1 if args.dry else args.samples)
        except Exception as e:  # one case must not hide the others
            failed += 1
            line = f"{type(e).__name__}: {e}".splitlines()[0][:150]
            print(f"{case.op:24s} {case.name:17s} {case.precision:8s} FAILED: {line}", flush=True)
            continue
        print(text(r), flush=True)
        if machine.peer and not args.dry:
            torch.cuda.empty_cache()
        if args.record and not args.dry:
            record(args.record, "cuda_ops", {"device": about, "ceilings": ceilings, **r})
    print(f"{failed} failed, {left} left out for time, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
