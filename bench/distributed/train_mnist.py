#!/usr/bin/env python3
"""Train lenet5_prune on MNIST with two replicas that are made to fail, against one process.

Equal samples for all: the same images, the same number of epochs. Synchronous: two mini-batches of half
the size a step, so that a step sees what one process sees. Downpour: AdaGrad on the shards, the first
`--warm` updates by one replica alone. With --steps each arm first picks its own step size: one epoch
each, without faults, judged on images that nobody trains on; the test images judge the end only. Faults:
a replica ends, a shard ends, a replica hangs, a message is sent twice.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sentei.distributed as sd
from harness import record
from sentei import data
from sentei.nn import models
from sentei.optim import SGD, AdaGrad, Optimizer
from sentei.train import Trainer, evaluate, recalibrate_bn

FAULTS = (
    sd.Fault("replica 0", "before_push", 7, "duplicate"),
    sd.Fault("replica 0", "after_gradient", 60, "exit"),
    sd.Fault("replica 1", "after_fetch", 90, "stop"),
    sd.Fault("shard 0", "before_apply", 140, "exit"),
)


ARMS = {  # name: strategy, rule, mini-batches a step
    "one process sgd": ("one process", "sgd", 1),
    "one process adagrad": ("one process", "adagrad", 1),
    "sync sgd": ("sync", "sgd", 2),
    "downpour adagrad": ("downpour", "adagrad", 1),
}
STEPS = {"sgd": 0.02, "adagrad": 0.01}  # without --steps
HELD = 5000  # images that judge step sizes


class Bench:
    """The data, and one training by any arm."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        train, self.test = data.load("mnist", args.data)
        order = np.random.default_rng(args.seed).permutation(len(train))
        self.held = train.subset(np.sort(order[-HELD:]))
        self.train = train.subset(np.sort(order[: min(args.images, len(train) - HELD)]))
        self.standardize = data.Standardize.fit(self.train)

    def loader(self, batch: int) -> data.Loader:
        seed, standardize = self.args.seed, self.standardize
        return data.Loader(
            self.train, batch, shuffle=True, seed=seed, drop_last=True, standardize=standardize
        )

    def accuracy(self, model: Any, images: Any) -> float:
        return evaluate(model, data.Loader(images, 100, standardize=self.standardize))["accuracy"]

    def fit(self, arm: str, step: float, epochs: int, faults: Any) -> tuple[Any, float, Any]:
        """(model, seconds, counters) of one training."""
        args, (strategy, name, parts) = self.args, ARMS[arm]
        rule: Optimizer = SGD(step, momentum=0.9) if name == "sgd" else AdaGrad(step)
        model = models.build("lenet5_prune", (28, 28, 1), 10, seed=args.seed)
        start = time.perf_counter()
        if strategy == "one process":
            Trainer(model, rule, batch=args.batch, seed=args.seed).fit(
                self.loader(args.batch), epochs=epochs, progress="none"
            )
            return model, time.perf_counter() - start, None
        batch = args.batch // parts
        recipe = sd.Network(model, seed=args.seed)
        chunks = sd.Minibatches(self.loader(batch), batch, epochs=epochs, seed=args.seed)
        train_by: Any = sd.synchronous if strategy == "sync" else sd.downpour
        more = {"warm_start": args.warm} if strategy == "downpour" else {}
        found = train_by(
            recipe, chunks, replicas=2, shards=2, rule=rule, shuffle=False, faults=faults, **more
        )
        recipe.into(model, found.weights)
        recalibrate_bn(model, self.loader(args.batch), 50, args.batch)
        return model, time.perf_counter() - start, found.counters.to_json()

    def best_step(self, arm: str) -> tuple[float, dict[str, float]]:
        """The step size of the highest accuracy on the held-out images, and what all have given."""
        found = {}
        for step in self.args.steps:
            model, _, _ = self.fit(arm, step, 1, ())
            found[f"{step:g}"] = round(self.accuracy(model, self.held), 5)
        print(f"{arm:20} after one epoch, held-out images: {found}", flush=True)
        return float(max(found, key=found.__getitem__)), found


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", required=True, help="folder with the MNIST files")
    p.add_argument("--images", type=int, default=20000, help="of the training set")
    p.add_argument("--epochs", type=int, default=3)
    p.add_argument("--batch", type=int, default=100)
    p.add_argument("--warm", type=int, default=0, help="updates of Downpour by one replica alone")
    p.add_argument("--steps", type=float, nargs="*", default=(), help="step sizes to pick from")
    p.add_argument("--arms", nargs="*", choices=list(ARMS), default=list(ARMS))
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--record", metavar="FOLDER", help="append to bench/results/FOLDER")
    args = p.parse_args()
    bench, alone = Bench(args), {}
    with sd.cluster(cpus=2):
        for arm in args.arms:
            strategy, rule, _ = ARMS[arm]
            step, tried = bench.best_step(arm) if args.steps else (STEPS[rule], {})
            model, seconds, counters = bench.fit(arm, step, args.epochs, FAULTS)
            accuracy = bench.accuracy(model, bench.test)
            row: dict[str, Any] = {"network": "lenet5_prune", "dataset": "mnist", "arm": strategy}
            row |= {"rule": rule, "step": step, "accuracy": round(accuracy, 5)}
            row |= {"seconds": round(seconds, 1), "images": len(bench.train)}
            row |= {"epochs": args.epochs, "batch": args.batch, "seed": args.seed}
            if tried:
                row["held_out_after_one_epoch"] = tried
            if strategy == "downpour":
                row["warm"] = args.warm
            if counters:
                row["counters"] = counters
            gap = 100 * (accuracy - alone.setdefault(rule, accuracy))
            row["points"] = round(gap, 3)  # against one process
            print(f"{arm:20} step {step:g}: {accuracy:.2%}, {gap:+.2f} points, {seconds:.0f} s")
            if args.record:
                record(args.record, "distributed_training", row)


if __name__ == "__main__":
    main()
