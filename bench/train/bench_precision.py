#!/usr/bin/env python3
"""Training step and inference of whole networks in several precisions, interleaved in one run.

usage: bench_precision.py [--network NAME ...] [--precision NAME ...] [--samples N] [--record FOLDER]
One model, batch and optimizer (SGD with momentum 0.9); only how products are computed differs. The
ratios say how many times as fast as the first precision the others are. PyTorch is not asked here:
bench_step.py compares float32 with it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import interleaved, record
from sentei import _core, losses, optim
from sentei.nn import models
from sentei.train.step import StepRunner, build_step

# Input shape and batch, as in peers.torch_models, which needs PyTorch.
CASES = {
    "lenet5_prune": ((28, 28, 1), 100),
    "vgg13_like": ((32, 32, 3), 100),
    "resnet18_like": ((32, 32, 3), 100),
    "vgg16": ((224, 224, 3), 8),
}


def arms(
    name: str, precision: str, batch: int, works: list[str]
) -> dict[str, Callable[[], object]]:
    """The work to be timed, ready to run."""
    shape, _ = CASES[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *shape), dtype=np.float32)
    feeds = {"x": x, "labels": rng.integers(0, 10, batch), "lr": np.array([0.01], np.float32)}
    model = models.build(name, shape, classes=10, seed=0)
    found: dict[str, Callable[[], object]] = {}
    if "infer" in works:
        runner = model.predictor(batch, precision=precision).runner(batch)
        runner.set("x", x)
        found["infer"] = runner.run
    if "train" in works:
        step = build_step(
            model, losses.CrossEntropy(), (), optim.SGD(0.01, momentum=0.9), precision
        )
        steps = StepRunner(step, {**model.tensors, **step.states}, batch)
        if "rng" in steps.inputs:
            feeds["rng"] = np.zeros(2, np.int64)
        found["train"] = lambda: steps.step(feeds)
    return found


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--network", nargs="+", default=["lenet5_prune", "vgg13_like", "resnet18_like"])
    p.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    p.add_argument("--work", nargs="+", default=["train", "infer"])
    p.add_argument("--batch", type=int, help="instead of the network's own")
    p.add_argument("--samples", type=int, default=15)
    p.add_argument("--threads", type=int, default=_core.threads())
    p.add_argument(
        "--record", metavar="FOLDER", help="append to bench/results/FOLDER/precision.jsonl"
    )
    args = p.parse_args()
    _core.set_threads(args.threads)
    for name in args.network:
        batch = args.batch or CASES[name][1]
        all_arms = {k: arms(name, k, batch, args.work) for k in args.precision}
        for work in args.work:
            got = interleaved({k: a[work] for k, a in all_arms.items()}, args.samples)
            first = got[args.precision[0]]["median"]
            ratios = {k: round(first / v["median"], 3) for k, v in got.items()}
            text = "  ".join(f"{k} {v['median']:8.2f} ms" for k, v in got.items())
            print(f"{name:14s} {work:5s} b{batch}  {text}  times as fast: {ratios}", flush=True)
            if args.record:
                data = {"network": name, "work": work, "batch": batch}
                unit = _core.bfloat16_info()["active"]
                more = {"bfloat16_unit": unit, "milliseconds": got, "ratios": ratios}
                record(args.record, "precision", {**data, **more})


if __name__ == "__main__":
    main()
