#!/usr/bin/env python3
"""Accuracy of the same training runs in float32 and bfloat16, over seeds.

usage: bfloat16_accuracy.py [--network NAME] [--epochs N] [--seeds N] [--unit amx|avx512|portable]
                            [--record FOLDER]
The images of the package (mnist-mini), SGD with momentum 0.9. A seed fixes initial weights, order of
images and dropout; only products differ within a pair. Every network is then measured in float32 and
in bfloat16.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import sentei
from harness import record
from sentei import _core, optim, train
from sentei.nn import models


def run(network: str, precision: str, seed: int, epochs: int) -> dict[str, float]:
    """Train once; accuracies on the test images, loss of the last epoch, seconds."""
    training, test = sentei.data.load("mnist-mini")
    model = models.build(network, (28, 28, 1), classes=10, seed=seed)
    sgd = optim.SGD(lr=0.02, momentum=0.9)
    trainer = train.Trainer(model, sgd, batch=100, seed=seed, precision=precision)
    loader = sentei.data.Loader(training, 100, shuffle=True, drop_last=True, seed=seed)
    start = time.perf_counter()
    trainer.fit(loader, epochs=epochs, progress="none")
    seconds = time.perf_counter() - start
    images, labels = test.as_float().images, test.labels
    found = {"loss": float(trainer.history[-1]["loss"]), "seconds": seconds}
    for used in ("float32", "bfloat16"):
        outputs = model.predictor(100, precision=used)(images)
        found[f"accuracy_{used}"] = float((outputs.argmax(1) == labels).mean())
    return found


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--network", default="lenet5_prune")
    p.add_argument("--epochs", type=int, default=3)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--unit", choices=_core.bfloat16_info()["supported"])
    p.add_argument(
        "--record", metavar="FOLDER", help="append to bench/results/FOLDER/bfloat16.jsonl"
    )
    args = p.parse_args()
    if args.unit:
        _core.set_bfloat16_unit(args.unit)
    unit = _core.bfloat16_info()["active"]
    runs: dict[str, list[dict[str, float]]] = {"float32": [], "bfloat16": []}
    for seed in range(args.seeds):
        for precision, found in runs.items():
            found.append(run(args.network, precision, seed, args.epochs))
            text = "  ".join(f"{k} {v:.4f}" for k, v in found[-1].items())
            print(f"seed {seed}  {precision:8s}  {text}", flush=True)
    mean = {k: statistics.mean(r["accuracy_float32"] for r in v) for k, v in runs.items()}
    print(f"mean accuracy: float32 {mean['float32']:.4f}, bfloat16 ({unit}) {mean['bfloat16']:.4f}")
    if args.record:
        data = {"network": args.network, "data": "mnist-mini", "epochs": args.epochs}
        record(args.record, "bfloat16", {**data, "bfloat16_unit": unit, "runs": runs, "mean": mean})


if __name__ == "__main__":
    main()
