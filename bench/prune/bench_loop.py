#!/usr/bin/env python3
"""What a removed channel costs in the pruning loop, with retraining, and what its time goes into.

Random images stand in for data (the time does not depend on them): 500 to score on, batch 100, one
channel a round, momentum SGD. parts: medians over the rounds of scoring; surgery (finding what can go,
cutting, planning anew); verification (masked against pruned network); retraining. overhead: the share of
surgery and verification in a round. The first round is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import record
from sentei import _core, optim
from sentei.nn import models
from sentei.prune import IterativePruner, Target
from sentei.train import Trainer

RETRAIN = {"lenet5_prune": 8}  # as the demonstration; others 20, as the default


class Enough(Exception):
    """As many rounds as were asked for."""


def rounds(name: str, args: argparse.Namespace) -> list[dict[str, float]]:
    """Seconds of every round by part."""
    model = models.build(name, classes=10, seed=0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, *model.input_shape), dtype=np.float32)
    labels = rng.integers(0, 10, len(x))
    sgd = optim.SGD(0.01, momentum=0.9)
    trainer = Trainer(model, sgd, batch=100, precision=args.precision)
    found: list[dict[str, float]] = []

    def on_step(step, model, trainer) -> None:
        found.append(dict(step.parts))
        if len(found) > args.rounds:
            raise Enough

    pruner = IterativePruner(
        model, Target(flops="10%"), args.criterion, trainer=trainer, train=(x, labels),
        score_images=x, score_labels=labels, on_step=on_step,
        retrain_steps=args.retrain_steps or RETRAIN.get(name, 20),
    )  # fmt: skip
    try:
        pruner.run()
    except Enough:
        return found[1:]
    sys.exit(f"{name}: fewer than {args.rounds + 1} channels could be removed")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--network", nargs="+", default=["lenet5_prune", "vgg13_like"], metavar="NAME")
    p.add_argument("--rounds", type=int, default=7, help="that are counted")
    p.add_argument("--retrain-steps", type=int, help="a round; default: lenet5_prune 8, others 20")
    p.add_argument("--criterion", default="robust")
    p.add_argument("--precision", default="float32")
    p.add_argument("--threads", type=int, default=_core.threads())
    p.add_argument("--record", metavar="FOLDER", help="append to bench/results/FOLDER/loop.jsonl")
    args = p.parse_args()
    _core.set_threads(args.threads)
    for name in args.network:
        found = rounds(name, args)
        parts = {k: statistics.median(r[k] for r in found) for k in found[0]}
        whole = statistics.median(sum(r.values()) for r in found)
        overhead = (parts["surgery"] + parts["verification"]) / whole
        text = "  ".join(f"{k} {v * 1e3:.1f} ms" for k, v in parts.items() if v)
        print(f"{name:14s} {whole:.3f} s a channel: {text}; overhead {overhead:.2%}", flush=True)
        if args.record:
            data = {
                "network": name,
                "work": "prune",
                "batch": 100,
                "precision": args.precision,
                "criterion": args.criterion,
                "retrain_steps": args.retrain_steps or RETRAIN.get(name, 20),
                "rounds": len(found),
                "seconds_per_channel": whole,
                "parts": parts,
                "overhead": round(overhead, 5),
            }
            record(args.record, "loop", data)


if __name__ == "__main__":
    main()
