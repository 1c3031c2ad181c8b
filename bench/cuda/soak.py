#!/usr/bin/env python3
"""Many captured training steps: constant memory, the same bits in a second run and without a capture.

usage: soak.py [--steps N] [--network NAME] [--precision NAME ...] [--dry]
Batches, step size and the numbers of dropout change from step to step. Memory of the device and of the
process is compared between a tenth of the steps and the end. Exit status 1 when anything differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from timing import Machine

import networks
from sentei.train.step import StepRunner

BATCHES = 4
PAGE = 4096
SLACK = 4 << 20  # of the process: Python's own lists grow and shrink


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def feed(runner: StepRunner, name: str, step: int) -> None:
    runner.feed(networks.feeds_of(runner, name, step % BATCHES, step))


def numbers(runner: StepRunner) -> dict[str, np.ndarray]:
    """Every parameter and state."""
    return {k: runner.fetch(k) for k in runner.plan.graph.by_role("param", "state")}


def differing(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> list[str]:
    """Names of what is not the same to the bit."""
    return [k for k in a if a[k].tobytes() != b[k].tobytes()]


def replayed(machine: Machine, name: str, precision: str, steps: int) -> list[str]:
    """Complaints of a long run."""
    _, runner = networks.our_step(name, precision)
    wrong, at, before, host = [], max(2, steps // 10), 0, 0
    for i in range(steps):
        feed(runner, name, i)
        runner.run()
        if i == at and not machine.dry:
            machine.wait()
            before, host = machine.cuda.memory_info()[0], resident()
    machine.wait()
    bad = [
        k for k, v in numbers(runner).items() if v.dtype.kind == "f" and not np.isfinite(v).all()
    ]
    if bad:
        wrong.append(f"{bad[0]} is not finite after {steps} steps")
    if not machine.dry:
        lost, grown = before - machine.cuda.memory_info()[0], resident() - host
        print(f"{name} {precision}: device memory {lost:+d} bytes, process {grown:+d} bytes")
        if lost != 0:
            wrong.append(f"{lost} bytes of device memory were taken between step {at} and {steps}")
        if grown > SLACK:
            wrong.append(f"the process grew by {grown} bytes between step {at} and {steps}")
    return wrong


def compared(name: str, precision: str, steps: int) -> list[str]:
    """Complaints about bits: two replayed runs, and one without a capture."""
    results = []
    for plain in (False, False, True):
        _, runner = networks.our_step(name, precision)
        for i in range(steps):
            feed(runner, name, i)
            if plain:
                runner.check_finite()  # node by node
            else:
                runner.run()
        results.append(numbers(runner))
    first, again, uncaptured = results
    wrong = [f"{k} differs between two runs" for k in differing(first, again)]
    return wrong + [f"{k} differs without a capture" for k in differing(first, uncaptured)]


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--steps", type=int, default=1000)
    p.add_argument("--network", default="lenet5_prune")
    p.add_argument("--precision", nargs="+", default=["float32", "tf32", "bfloat16"])
    p.add_argument("--dry", action="store_true")
    args = p.parse_args()
    machine = Machine(args.dry)
    name = networks.TINY if args.dry else args.network
    steps, few = (6, 4) if args.dry else (args.steps, 30)
    wrong = []
    for precision in args.precision:
        began = time.monotonic()
        found = compared(name, precision, few) + replayed(machine, name, precision, steps)
        print(f"{name} {precision}: {steps} steps, {time.monotonic() - began:.1f} s")
        wrong += [f"{name} {precision}: {w}" for w in found]
    for w in wrong:
        print(f"soak: {w}")
    print(f"soak: {len(wrong)} complaints")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
