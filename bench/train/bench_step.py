#!/usr/bin/env python3
"""Training step and inference of whole networks against PyTorch, interleaved in one run.

usage: bench_step.py [--network NAME ...] [--samples N] [--modes nchw,channels_last] [--record FOLDER]
Both sides: float32, the same threads, the same batch, SGD with momentum 0.9. A step is forward, loss,
backward, update; the gradients' correctness is the tests' business, here both losses must fall alike.
Layout: sentei NHWC; PyTorch NCHW (its default) and channels_last.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import interleaved, record
from peers.torch_models import CASES
from sentei import _core, losses, optim
from sentei.nn import models
from sentei.train.step import StepRunner, build_step

Arm = Callable[[], object]


def torch_arms(name: str, mode: str, x: np.ndarray, labels: np.ndarray) -> dict[str, Arm]:
    make, _, _ = CASES[name]
    torch.manual_seed(0)
    net = make()
    tx = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    if mode == "channels_last":
        net = net.to(memory_format=torch.channels_last)
        tx = tx.contiguous(memory_format=torch.channels_last)
    t = torch.from_numpy(labels)
    opt = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    frozen = make().eval()
    if mode == "channels_last":
        frozen = frozen.to(memory_format=torch.channels_last)

    def step() -> float:
        opt.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(tx), t)
        loss.backward()
        opt.step()
        return float(loss)

    def infer() -> object:
        with torch.no_grad():
            return frozen(tx)

    return {"train": step, "infer": infer}


def sentei_arms(name: str, x: np.ndarray, labels: np.ndarray) -> dict[str, Arm]:
    model = models.build(name, x.shape[1:], classes=10, seed=0)
    frozen = model.predictor(len(x))
    frozen.runner(len(x)).set("x", x)
    step = build_step(model, losses.CrossEntropy(), (), optim.SGD(0.01, momentum=0.9))
    runner = StepRunner(step, {**model.tensors, **step.states}, len(x))
    feeds = {"x": x, "labels": labels, "lr": np.array([0.01], np.float32)}
    if "rng" in runner.inputs:
        feeds["rng"] = np.zeros(2, np.int64)
    return {
        "train": lambda: runner.step(feeds),
        "infer": frozen.runner(len(x)).run,
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--network", nargs="+", default=["lenet5_prune", "vgg13_like", "resnet18_like"])
    p.add_argument("--samples", type=int, default=15)
    p.add_argument("--modes", default="nchw,channels_last")
    p.add_argument("--threads", type=int, default=_core.threads())
    p.add_argument("--record", metavar="FOLDER", help="append to bench/results/FOLDER/step.jsonl")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    _core.set_threads(args.threads)
    for name in args.network:
        _, (c, h, w), batch = CASES[name]
        rng = np.random.default_rng(0)
        x = rng.standard_normal((batch, h, w, c), dtype=np.float32)
        labels = rng.integers(0, 10, batch)
        arms = {"sentei": sentei_arms(name, x, labels)}
        for mode in args.modes.split(","):
            arms[f"torch_{mode}"] = torch_arms(name, mode, x, labels)
        for work in ("train", "infer"):
            got = interleaved({k: a[work] for k, a in arms.items()}, args.samples)
            ours = got["sentei"]["median"]
            ratios = {k: round(v["median"] / ours, 3) for k, v in got.items() if k != "sentei"}
            text = "  ".join(f"{k} {v['median']:8.2f} ms" for k, v in got.items())
            print(f"{name:14s} {work:5s} b{batch}  {text}  times as fast: {ratios}", flush=True)
            if args.record:
                data = {"network": name, "work": work, "batch": batch, "precision": "float32"}
                layouts = {"sentei": "NHWC", "torch_nchw": "NCHW", "torch_channels_last": "NHWC"}
                more = {
                    "layouts": layouts,
                    "torch": torch.__version__,
                    "milliseconds": got,
                    "ratios": ratios,
                }
                record(args.record, "step", {**data, **more})


if __name__ == "__main__":
    main()
