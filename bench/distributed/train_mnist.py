#!/usr/bin/env python3
"""Train lenet5_prune on MNIST with two replicas that are made to fail, against one process.

Equal samples for all: the same images, the same number of epochs. Synchronous: two mini-batches of half
the size a step, so that a step sees what one process sees. Downpour: AdaGrad on the shards. Faults: a
replica ends, a shard ends, a replica hangs, a message is sent twice.
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


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", required=True, help="folder with the MNIST files")
    p.add_argument("--images", type=int, default=20000, help="of the training set")
    p.add_argument("--epochs", type=int, default=3)
    p.add_argument("--batch", type=int, default=100)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--record", metavar="FOLDER", help="append to bench/results/FOLDER")
    args = p.parse_args()
    train, test = data.load("mnist", args.data)
    chosen = np.random.default_rng(args.seed).permutation(len(train))[: args.images]
    train = train.subset(np.sort(chosen))
    standardize = data.Standardize.fit(train)
    rules: dict[str, Optimizer] = {"sgd": SGD(0.02, momentum=0.9), "adagrad": AdaGrad(0.01)}

    def loader(batch: int) -> data.Loader:
        return data.Loader(
            train, batch, shuffle=True, seed=args.seed, drop_last=True, standardize=standardize
        )

    def judged(model: Any) -> float:
        plain = data.Loader(test, 100, standardize=standardize)
        return evaluate(model, plain)["accuracy"]

    def new() -> Any:
        return models.build("lenet5_prune", (28, 28, 1), 10, seed=args.seed)

    rows: list[dict[str, Any]] = []

    def note(arm: str, rule: str, accuracy: float, seconds: float, **more: Any) -> None:
        row = {"network": "lenet5_prune", "dataset": "mnist", "arm": arm, "rule": rule}
        row |= {"accuracy": round(accuracy, 5), "seconds": round(seconds, 1), **more}
        row |= {"images": args.images, "epochs": args.epochs, "batch": args.batch}
        rows.append(row)
        print(f"{arm:12} {rule:8} {accuracy:.2%}  {seconds:.0f} s  {more}", flush=True)
        if args.record:
            record(args.record, "distributed_training", row)

    for name, rule in rules.items():
        model = new()
        start = time.perf_counter()
        Trainer(model, rule, batch=args.batch, seed=args.seed).fit(
            loader(args.batch), epochs=args.epochs, progress="none"
        )
        note("one process", name, judged(model), time.perf_counter() - start)
    with sd.cluster(cpus=2):
        for strategy, name, batch in (
            ("sync", "sgd", args.batch // 2),
            ("downpour", "adagrad", args.batch),
        ):
            model = new()
            recipe = sd.Network(model, seed=args.seed)
            chunks = sd.Minibatches(loader(batch), batch, epochs=args.epochs, seed=args.seed)
            train_by: Any = sd.synchronous if strategy == "sync" else sd.downpour
            start = time.perf_counter()
            found = train_by(
                recipe, chunks, replicas=2, shards=2, rule=rules[name], shuffle=False, faults=FAULTS
            )
            recipe.into(model, found.weights)
            recalibrate_bn(model, loader(args.batch), 50, args.batch)
            spent = time.perf_counter() - start
            note(strategy, name, judged(model), spent, counters=found.counters.to_json())
    alone = {r["rule"]: r["accuracy"] for r in rows if r["arm"] == "one process"}
    for r in rows:
        gap = 100 * (r["accuracy"] - alone[r["rule"]])
        print(f"{r['arm']:12} {r['rule']:8} {gap:+.2f} points against one process")


if __name__ == "__main__":
    main()
