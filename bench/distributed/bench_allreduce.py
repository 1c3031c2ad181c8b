#!/usr/bin/env python3
"""Sums of arrays over ranks of MPI, through sentei.distributed.comm().

usage: mpiexec -n N bench_allreduce.py [--megabytes M ...] [--samples N] [--record FOLDER]
GB/s: bytes of the array over the time of the slowest rank. goal: 5 GB/s for 10 MB on one machine.
copies: what one rank alone does to its memory in the same run, np.copyto of the same array.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import record, summary
from sentei.distributed import comm

GOAL = 5.0


def measure(megabytes: float, samples: int) -> dict:
    """Milliseconds of a sum and of a copy of so many bytes, one after the other."""
    world = comm()
    a = np.ones(max(1, round(megabytes * 1e6 / 4)), np.float32)
    b = np.empty_like(a)
    times: dict[str, list[float]] = {"sum": [], "started_and_awaited": [], "copy": []}
    arms = {
        "sum": lambda: world.sum(a),
        "started_and_awaited": lambda: world.wait(world.start_sum(a)),
        "copy": lambda: np.copyto(b, a),
    }
    for i in range(samples + 3):
        for name, f in arms.items():
            a[:] = 1
            world.gather(0)
            start = time.perf_counter()
            f()
            spent = max(world.gather(time.perf_counter() - start))
            if name != "copy" and not (a == world.size).all():
                sys.exit("bench_allreduce: the sum is wrong")
            if i >= 3:
                times[name].append(spent * 1e3)
    found = {name: summary(t) for name, t in times.items()}
    rates = {name: round(a.nbytes / 1e6 / t["median"], 3) for name, t in found.items()}
    return {"bytes": a.nbytes, "milliseconds": found, "gigabytes_per_second": rates}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--megabytes", type=float, nargs="+", default=[0.001, 0.1, 1.0, 10.0, 100.0]
    )
    parser.add_argument("--samples", type=int, default=31)
    parser.add_argument("--record", metavar="FOLDER")
    given = parser.parse_args()
    world = comm()
    for m in given.megabytes:
        found = measure(m, given.samples)
        if world.rank:
            continue
        rates = found["gigabytes_per_second"]
        shown = "  ".join(
            f"{k} {t['median']:.3f} ms {rates[k]:.2f} GB/s"
            for k, t in found["milliseconds"].items()
        )
        print(f"{m:g} MB, {world.size} ranks: {shown}")
        if given.record:
            about = {"ranks": world.size, "library": world.library, "goal": GOAL}
            record(given.record, "allreduce", {**about, **found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
