#!/usr/bin/env python3
"""Training loss over passes through the data, for every optimizer; no times are measured.

usage: bench_optimizers.py [--passes N] [--record FOLDER] [--figure FILE]
One network (64 tanh units between 784 and 10, lambda |W|^2 with lambda = 1e-5) on 8,000 images of
mnist-mini, from the same weights. A pass is one gradient of the loss of every image: an epoch of
mini-batches of 100, or one evaluation of L-BFGS, whose batch is the whole set. The step sizes are the
best of 0.3, 0.1, ... 1e-3 after 4 passes, found in the same run. --figure draws the latest record.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import RESULTS, record
from sentei import data, nn, optim, train

L2 = 1e-5
STEPS = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)
MAKE: dict[str, Callable[[float], optim.Optimizer]] = {
    "SGD": lambda lr: optim.SGD(lr, l2=L2),
    "momentum 0.9": lambda lr: optim.SGD(lr, l2=L2, momentum=0.9),
    "AdaGrad": lambda lr: optim.AdaGrad(lr, l2=L2),
    "RMSprop": lambda lr: optim.RMSprop(lr, l2=L2),
    "Adam": lambda lr: optim.Adam(lr, l2=L2),
}


def trainer(opt: optim.Optimizer, batch: int) -> train.Trainer:
    layers = nn.Sequential(nn.Flatten(), nn.Linear(64), nn.Tanh(), nn.Linear(10))
    return train.Trainer(nn.build(layers, (28, 28, 1), seed=0), opt, batch=batch)


def losses(opt: optim.Optimizer, images: Any, passes: int) -> list[float]:
    """Loss over all images after every pass."""
    t = trainer(opt, 100)
    found = [t.evaluate(images)["loss"]]
    try:
        for _ in range(passes):
            t.steps(images, len(images[1]) // 100)
            found.append(t.evaluate(images)["loss"])
    except ArithmeticError:  # the step size is too large
        found += [float("nan")] * (passes + 1 - len(found))
    return found


def whole_batch(images: Any, passes: int) -> list[tuple[int, float]]:
    """(evaluations so far, loss) after every step of L-BFGS."""
    t = trainer(optim.LBFGS(l2=L2, chunk=400), len(images[1]))
    found, seen = [(0, t.evaluate(images)["loss"])], 0
    runner: Any = t._runner
    evaluate = runner._value

    def counted() -> float:
        nonlocal seen
        seen += 1
        value: float = evaluate()
        return value

    runner._value = counted
    while seen < passes:
        loss = t.steps(images, 1)["loss"]
        found.append((seen, loss))
    return found


def measure(passes: int) -> dict[str, Any]:
    """All curves, and the step sizes that were chosen."""
    digits, _ = data.load("mnist-mini")
    part, _, _ = digits.split((8, 1, 1), seed=0)
    images = (data.Standardize.fit(part).apply(part.images), part.labels)
    curves: dict[str, Any] = {}
    for name, make in MAKE.items():
        tried = {lr: losses(make(lr), images, 4)[-1] for lr in STEPS}
        lr = min((v, k) for k, v in tried.items() if math.isfinite(v))[1]
        curves[name] = {"lr": lr, "loss": losses(make(lr), images, passes)}
        print(f"{name}: lr {lr:g}, loss {curves[name]['loss'][-1]:.3g} after {passes} passes")
    curves["L-BFGS"] = {"points": whole_batch(images, passes)}
    print("L-BFGS: evaluations, loss", curves["L-BFGS"]["points"][-1])
    return {"images": len(images[1]), "passes": passes, "curves": curves}


def draw(path: Path) -> None:
    """The latest record as a picture."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    lines = [
        x for f in sorted(RESULTS.glob("*/optimizers.jsonl")) for x in f.read_text().splitlines()
    ]
    mpl.rcParams["svg.hashsalt"] = "sentei"
    figure = Figure(figsize=(7.5, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in json.loads(lines[-1])["curves"].items():
        points = curve.get("points") or list(enumerate(curve["loss"]))
        label = name if "points" in curve else f"{name}, lr {curve['lr']:g}"
        axes.plot([x for x, _ in points], [y for _, y in points], label=label, linewidth=1.5)
    axes.set(yscale="log", xlabel="passes over the data", ylabel="training loss")
    axes.grid(color="#e4e6df")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--passes", type=int, default=60)
    p.add_argument("--record", help="folder under bench/results to append to")
    p.add_argument("--figure", type=Path, help="draw the latest record into this file")
    args = p.parse_args()
    if args.figure is not None:
        draw(args.figure)
        return
    found = measure(args.passes)
    if args.record:
        record(args.record, "optimizers", found)


if __name__ == "__main__":
    main()
