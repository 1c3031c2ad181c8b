#!/usr/bin/env python3
"""What scoring costs on top of a training step: alone, with free sums, with sums over the maps; in turn.

usage: bench_scores.py [--network NAME ...] [--batch N] [--device cpu|cuda] [--precision P]
                       [--samples N] [--steps N] [--record FOLDER]
step: forward, loss, backward, SGD with momentum. free: the same with build_step(scores=convolutions).
maps: the same with score_accumulate on every scored map, which must then exist and be kept.
pass_free, pass_maps: score_layers("oracle") over one batch without and with standard errors, graphs built
anew each time as in pruning. Before timing, free and maps must agree on the sums.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import interleaved, record
from sentei import _core, losses, optim
from sentei.device import require
from sentei.model import Model
from sentei.nn import models
from sentei.passes import fuse_updates, grad, precision, training
from sentei.prune import ScoreSums, pruning_map, score_layers
from sentei.prune.batch_sums import chain
from sentei.train.step import StepGraph, StepRunner, build_step

BATCH = {"lenet5_prune": 100, "vgg13_like": 100, "resnet18_like": 100, "vgg16": 32}
SIZE = {"lenet5_prune": (28, 28, 1), "vgg16": (224, 224, 3)}  # others (32, 32, 3)
SGD = optim.SGD(0.01, momentum=0.9)


def maps_step(model: Model, layers: Sequence[str], products: str) -> StepGraph:
    """The step with every sum taken from a map and its gradient."""
    points = {k: chain(model.graph, k)[-1].outputs[0] for k in layers}
    widths = ScoreSums.find(model.graph, model.graph, layers).widths
    sums = ScoreSums({}, points, widths)
    g = training(model.graph, keep=tuple(points.values()))
    values = losses.CrossEntropy().emit(g, model.output)
    forward, params = len(g.nodes), g.by_role("param")
    g, found = grad(g, values.loss, dict.fromkeys([*params, *points.values()]))
    summed = sums.emit(g, found)
    states = {**SGD.emit(g, {k: v for k, v in found.items() if k in params}), **summed}
    g.outputs = (values.loss,)
    if model.device != "cpu":
        g = fuse_updates(g)
    g = precision(g, products, model.device)
    placed = {k: t.to(model.device) for k, t in states.items()}
    return StepGraph(g, placed, values.loss, values.loss, None, forward, sums)


def runner_of(step: StepGraph, model: Model, x: np.ndarray, labels: np.ndarray) -> StepRunner:
    runner = StepRunner(step, {**model.tensors, **step.states}, len(x))
    feeds = {"x": x, "labels": labels, "lr": np.array([0.01], np.float32)}
    if "rng" in runner.inputs:
        feeds["rng"] = np.zeros(2, np.int64)
    runner.feed(feeds)
    return runner


def check(free: StepGraph, maps: StepGraph, steps: int) -> float:
    """Largest difference of the sums of both, relative to the largest sum of the layer."""
    worst = 0.0
    a, b = (s.scores.read(s.states) for s in (free, maps) if s.scores)
    for layer in a:
        size = float(np.abs(b[layer][0]).max()) or 1.0
        worst = max(worst, float(np.abs(a[layer][0] - b[layer][0]).max()) / size)
    if not worst < 0.05 * steps:
        raise ValueError(f"free sums and sums over maps must agree, they differ by {worst:.1e}")
    return worst


def arms_of(
    name: str, batch: int, device: str, products: str, steps: int
) -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    size = SIZE.get(name, (32, 32, 3))
    x = rng.standard_normal((batch, *size), dtype=np.float32)
    labels = rng.integers(0, 10, batch)
    base = models.build(name, size, classes=10, seed=0)
    layers = [n.name for n in base.graph.nodes if n.op.name == "conv2d"]
    runners, made = {}, {}
    for arm in ("step", "free", "maps"):
        model = base.copy().to(device)
        loss = losses.CrossEntropy()
        made[arm] = (
            maps_step(model, layers, products)
            if arm == "maps"
            else build_step(model, loss, (), SGD, products, layers if arm == "free" else ())
        )
        runners[arm] = runner_of(made[arm], model, x, labels)
        runners[arm].run()
    difference = check(made["free"], made["maps"], 1)
    read = sorted(made["free"].scores.points) if made["free"].scores else []
    print(f"{name}: sums differ by {difference:.1e}; maps read by free: {read or 'none'}")

    def several(run: Callable[[], None]) -> Callable[[], object]:
        def call() -> None:
            for _ in range(steps):
                run()
            if device != "cpu":
                _core.synchronize()

        return call

    there = base.to(device)
    pruning = pruning_map(there.graph)

    def scored(errors: bool) -> Callable[[], object]:
        return lambda: score_layers(
            there, pruning, "oracle", images=x, labels=labels, batch=batch, standard_errors=errors
        )

    found = {k: several(r.run) for k, r in runners.items()}
    return {**found, "pass_free": scored(False), "pass_maps": scored(True)}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--network", nargs="+", default=["lenet5_prune", "vgg13_like", "resnet18_like"])
    p.add_argument("--batch", type=int, help="samples per step; default: by network")
    p.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    p.add_argument("--precision", default="float32")
    p.add_argument("--samples", type=int, default=15)
    p.add_argument("--steps", type=int, help="per sample; default: 1 on cpu, 20 on cuda")
    p.add_argument("--record", metavar="FOLDER", help="append to bench/results/FOLDER/scores.jsonl")
    args = p.parse_args()
    if args.device == "cuda":
        require("cuda")
    steps = args.steps or (1 if args.device == "cpu" else 20)
    for name in args.network:
        batch = args.batch or BATCH.get(name, 100)
        arms = arms_of(name, batch, args.device, args.precision, steps)
        got = interleaved(arms, args.samples)
        ms = {k: v["median"] / (1 if k.startswith("pass") else steps) for k, v in got.items()}
        ratios = {k: round(ms[k] / ms["step"], 4) for k in ("free", "maps")}
        ratios["pass_free_vs_pass_maps"] = round(ms["pass_free"] / ms["pass_maps"], 4)
        text = "  ".join(f"{k} {v:.3f} ms" for k, v in ms.items())
        print(f"{name:14s} b{batch} {args.device}  {text}  ratios: {ratios}", flush=True)
        if args.record:
            data = {"network": name, "work": "scores", "batch": batch, "device": args.device}
            arms = {"sentei" if k == "step" else f"sentei_{k}": v for k, v in got.items()}
            more = {"precision": args.precision, "steps": steps, "milliseconds": arms}
            record(args.record, "scores", {**data, **more, "ratios": ratios})


if __name__ == "__main__":
    main()
