#!/usr/bin/env python3
"""Auxiliary variables on the digits in the package: accuracy kept at a threshold and at a target.

usage: bench_auxiliary.py [--seeds N] [--epochs N] [--images N] [--flops SHARE] [--record FOLDER]
A small network (conv 16, 32, 32; batch norm) is trained; then each method goes on from it for the same
number of epochs: step (AutoPrune), sigmoid, block, block in the trained network's place without
training before ("fresh"), step and sigmoid with frozen statistics, and IterativePruner by `robust`.
Gated networks are closed twice: by their threshold alone, and to the target; each result is fine-tuned
for one epoch. Every closing proves masked = pruned.
One line a seed and arm: test accuracies, share of FLOPs left, what training closed, seconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import record
from sentei import nn, optim
from sentei.data import Dataset, load
from sentei.model import Model
from sentei.prune import (
    Closing,
    IterativePruner,
    Target,
    attach_blocks,
    attach_gates,
    close_gates,
    fold_blocks,
)
from sentei.regularizers import OpenGates
from sentei.train import Trainer

ARMS = ("step", "sigmoid", "block", "step, frozen", "sigmoid, frozen", "block, fresh", "robust")
WEIGHTS = optim.SGD(0.02, momentum=0.9)
FINE = optim.SGD(0.005, momentum=0.9)
LAM = {"step": 0.05, "sigmoid": 0.8, "block": 0.8}
GATES = {"step": optim.SGD(0.5), "sigmoid": optim.SGD(0.1), "block": optim.SGD(0.1)}
EPOCHS_BEFORE = 4


def network(seed: int) -> Model:
    layers: list[nn.Layer] = []
    for k, pool in ((16, nn.MaxPool2d(2)), (32, nn.MaxPool2d(2)), (32, nn.AvgPool2d(2))):
        layers += [nn.Conv2d(k, 3, padding=1, bias=False), nn.BatchNorm(), nn.ReLU(), pool]
    return nn.build([*layers, nn.Flatten(), nn.Linear(10)], (28, 28, 1), seed=seed)


def digits(images: int) -> tuple[Dataset, Dataset]:
    """Training and test images as float32 in [0, 1]."""
    parts = []
    for part, n in zip(load("mnist-mini"), (images, None), strict=True):
        pixels = np.ascontiguousarray(part.images[:n].astype(np.float32) / 255)
        parts.append(Dataset(pixels, part.labels[:n]))
    return parts[0], parts[1]


def gated(arm: str, base: Model) -> Model:
    kind, freeze = arm.split(",", maxsplit=1)[0], arm.endswith("frozen")
    if kind == "block":
        return attach_blocks(base, freeze=freeze)
    return attach_gates(base, kind, freeze=freeze)  # type: ignore[arg-type]


def fine_tuned(model: Model, train: Dataset, test: Dataset, seed: int) -> tuple[float, Model]:
    t = Trainer(model.copy(), FINE, batch=100, seed=seed)
    t.fit(train, epochs=1, progress="none")
    small = fold_blocks(t.model)
    return accuracy(small, test), small


def accuracy(model: Model, test: Dataset) -> float:
    return Trainer(model, FINE, batch=100).evaluate(test)["accuracy"]


def run(
    arm: str, base: Model, data: tuple[Dataset, Dataset], seed: int, args: Any
) -> dict[str, Any]:
    train, test = data
    start, target = time.perf_counter(), Target(flops=args.flops)
    source = network(seed) if arm.endswith("fresh") else base
    original = source.costs()
    out: dict[str, Any] = {"arm": arm, "seed": seed, "lr": WEIGHTS.lr, "epochs": args.epochs}
    if arm == "robust":
        t = Trainer(source.copy(), optim.SGD(0.005, momentum=0.9), batch=100, seed=seed)
        steps = args.epochs * (len(train) // 100)
        result = IterativePruner(
            t.model, target, trainer=t, train=train, score_images=train.images[:500],
            score_labels=train.labels[:500], retrain_steps=max(1, steps // 50), evaluate_every=10**6,
        ).run()  # fmt: skip
        share = result.final.flops / original.flops
        found, small = fine_tuned(result.model, train, test, seed)
        out |= {"target": {"accuracy": found, "flops": share, "params": small.costs().params}}
        return {**out, "seconds": round(time.perf_counter() - start, 1)}
    kind = arm.split(",", maxsplit=1)[0]
    t = Trainer(
        gated(arm, source),
        optim.InTurns(WEIGHTS, GATES[kind]),
        batch=100,
        seed=seed,
        regularizers=[OpenGates(LAM[kind])],
    )
    extra = EPOCHS_BEFORE if arm.endswith("fresh") else 0
    t.fit(train, epochs=args.epochs + extra, progress="none")
    out |= {"lam": LAM[kind], "gates_lr": GATES[kind].lr, "gated_accuracy": accuracy(t.model, test)}
    for name, closing in (("threshold", Closing()), ("target", Closing(target=target))):
        closed = close_gates(t.model, closing, original)
        found, small = fine_tuned(closed.model, train, test, seed)
        out[name] = {
            "accuracy": found,
            "flops": small.costs().flops / original.flops,
            "params": small.costs().params,
            "shut": closed.shut,
            "forced": closed.forced,
            "opened": closed.opened,
            "max_abs_diff": closed.max_abs_diff,
            "tolerance": closed.tolerance,
        }
    return {**out, "seconds": round(time.perf_counter() - start, 1)}


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Mean and sample deviation over the seeds."""
    for arm in dict.fromkeys(r["arm"] for r in rows):
        mine = [r for r in rows if r["arm"] == arm]
        line = f"{arm:<16}"
        for key in ("threshold", "target"):
            if key in mine[0]:
                for what in ("accuracy", "flops"):
                    v = [100 * r[key][what] for r in mine]
                    spread = statistics.stdev(v) if len(v) > 1 else 0.0
                    line += f"  {key} {what} {statistics.mean(v):6.2f} +- {spread:4.2f} %"
        print(line)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--first-seed", type=int, default=0)
    p.add_argument("--epochs", type=int, default=8)
    p.add_argument("--images", type=int, default=10_000)
    p.add_argument("--flops", default="30%", help="target: what remains")
    p.add_argument("--arms", nargs="*", default=list(ARMS))
    p.add_argument("--record", help="folder under bench/results")
    args = p.parse_args()
    data, rows = digits(args.images), []
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        t = Trainer(network(seed), WEIGHTS, batch=100, seed=seed)
        t.fit(data[0], epochs=EPOCHS_BEFORE, progress="none")
        before = accuracy(t.model, data[1])
        print(f"seed {seed}: {before:.2%} before pruning", flush=True)
        for arm in args.arms:
            row = run(arm, t.model, data, seed, args)
            row |= {"before": before, "images": args.images, "target_flops": args.flops}
            rows.append(row)
            print({k: v for k, v in row.items() if k not in ("before", "images")}, flush=True)
            if args.record:
                record(args.record, "auxiliary", row)
    show(rows)


if __name__ == "__main__":
    main()
