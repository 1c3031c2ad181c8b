#!/usr/bin/env python3
"""Training step and inference of sentei with 1 and 2 threads (or more), in turn in one run.

The same memory and the same calls; the number of threads is changed between samples. speedup: median with
one thread over median with n. What a step computes must be the same to the bit, which is checked first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from our_arms import our_arm

from harness import interleaved, record
from sentei import _core
from sentei.nn import models

BATCH = {"vgg16": 8}


def with_threads(call: Callable[[], object], n: int) -> Callable[[], object]:
    """The call, on n threads."""

    def run() -> object:
        _core.set_threads(n)
        return call()

    return run


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--network", nargs="+", default=["vgg13_like", "lenet5_prune", "resnet18_like"])
    p.add_argument("--work", nargs="+", choices=("train", "infer"), default=["train", "infer"])
    p.add_argument("--threads", default="1,2", help="numbers to compare, the first is 1")
    p.add_argument("--precision", default="float32", help="float32, or what this build takes")
    p.add_argument("--batch", type=int, help="default: 100, vgg16: 8")
    p.add_argument("--samples", type=int, default=15, help="of each arm, at most")
    p.add_argument("--seconds", type=float, default=20, help="timing of one network and work")
    p.add_argument(
        "--record", metavar="FOLDER", help="append to bench/results/FOLDER/threads.jsonl"
    )
    args = p.parse_args()
    numbers = [int(n) for n in args.threads.split(",")]
    if numbers[0] != 1 or len(numbers) < 2:
        p.error(f"--threads must begin with 1 and name another, got {args.threads}")
    for name in args.network:
        shape = models.network(name).input_shape
        batch = args.batch or BATCH.get(name, 100)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((batch, *shape), dtype=np.float32)
        labels = rng.integers(0, 10, batch)
        model = models.build(name, shape, classes=10, seed=0)
        losses = []
        for n in numbers:
            _core.set_threads(n)
            step = our_arm(model.copy(), args.precision, "train", x, labels)
            losses.append([step() for _ in range(2)])
        if any(v != losses[0] for v in losses):
            sys.exit(f"{name}: losses must be the same for any number of threads, got {losses}")
        for work in args.work:
            call = our_arm(model, args.precision, work, x, labels)
            arms = {f"sentei_{n}": with_threads(call, n) for n in numbers}
            got = interleaved(arms, args.samples, 2, 20, args.seconds)
            one = got["sentei_1"]["median"]
            speedup = {str(n): round(one / got[f"sentei_{n}"]["median"], 3) for n in numbers[1:]}
            print(
                f"{name:14s} {work:5s} b{batch} 1 thread {one:.2f} ms, faster: {speedup}",
                flush=True,
            )
            if args.record:
                data = {"network": name, "work": work, "batch": batch, "precision": args.precision}
                record(args.record, "threads", {**data, "milliseconds": got, "speedup": speedup})


if __name__ == "__main__":
    main()
