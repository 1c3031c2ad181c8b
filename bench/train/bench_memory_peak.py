#!/usr/bin/env python3
"""Peak memory of training, sentei against PyTorch: each arm in a process of its own.

usage: bench_memory_peak.py [--network NAME ...] [--batch N] [--steps N] [--record FOLDER]
peak: the process's high-water mark (VmHWM) after some steps, less the mark before the network was made, when
the libraries were imported. Both sides: float32, the same batch, SGD with momentum; parameters, momenta,
images, maps, gradients and scratch are all in it. goal: at most 70 % of PyTorch's eager peak. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import high_water, record

ARMS = ("sentei", "torch_nchw", "torch_channels_last")
BATCH = {"vgg16": 8}


def measure(arm: str, network: str, batch: int, steps: int) -> int:
    """Bytes that the steps of one arm add to this process."""
    from sentei.nn import models

    shape = models.network(network).input_shape
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, batch)
    if arm == "sentei":
        from our_arms import our_arm

        before = high_water()
        x = rng.standard_normal((batch, *shape), dtype=np.float32)
        step = our_arm(
            models.build(network, shape, classes=10, seed=0), "float32", "train", x, labels
        )
    else:
        from peers.torch_arms import torch_arm
        from peers.torch_models import CASES

        before = high_water()
        x = rng.standard_normal((batch, *shape), dtype=np.float32)
        step = torch_arm(CASES[network][0], arm.removeprefix("torch_"), "train", x, labels)
    for _ in range(steps):
        step()
    return high_water() - before


def in_process(arm: str, network: str, batch: int, steps: int) -> int:
    """The same in a fresh process."""
    command = [sys.executable, __file__, "--arm", arm, "--network", network]
    command += ["--batch", str(batch), "--steps", str(steps)]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    if out.returncode:
        sys.exit(f"{network} {arm}: {out.stderr.strip().splitlines()[-1:]}")
    return int(json.loads(out.stdout.splitlines()[-1])["bytes"])


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--network", nargs="+", default=["vgg13_like", "lenet5_prune", "resnet18_like"])
    p.add_argument("--batch", type=int, help="default: 100, vgg16: 8")
    p.add_argument("--steps", type=int, default=3)
    p.add_argument("--arm", choices=ARMS, help="measure this one, in this process")
    p.add_argument(
        "--record", metavar="FOLDER", help="append to bench/results/FOLDER/memory_peak.jsonl"
    )
    args = p.parse_args()
    for name in args.network:
        batch = args.batch or BATCH.get(name, 100)
        if args.arm:
            print(json.dumps({"bytes": measure(args.arm, name, batch, args.steps)}))
            continue
        got = {arm: in_process(arm, name, batch, args.steps) for arm in ARMS}
        shares = {k: round(got["sentei"] / v, 3) for k, v in got.items() if k != "sentei"}
        text = "  ".join(f"{k} {v / 1e6:.0f} MB" for k, v in got.items())
        print(f"{name:14s} training b{batch}  {text}  of PyTorch's: {shares}", flush=True)
        if args.record:
            data = {"network": name, "work": "train", "batch": batch, "precision": "float32"}
            record(args.record, "memory_peak", {**data, "bytes": got, "ratios": shares})


if __name__ == "__main__":
    main()
