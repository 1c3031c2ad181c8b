#!/usr/bin/env python3
"""DistBelief's speech network, 440-2560x4-8192: layers split over ranks, one rank, data parallel.

usage: mpiexec -n N bench_split.py [--batch B] [--rounds N] [--record FOLDER]
A training step (forward, loss, gradients, SGD) of 41.8 million weights on a mini-batch of B correlated
samples, one thread a rank, arms in turn within one job: alone (rank 0 works, the others sleep), split (every
layer's outputs cut over the ranks), data parallel (every mini-batch cut), and that without overlap.
Before the clock starts the losses of all arms are compared.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import record, summary
from sentei import nn
from sentei.device import set_threads
from sentei.distributed import DataParallel, comm, split
from sentei.optim import SGD
from sentei.train import Trainer

SIZES = (440, 2560, 2560, 2560, 2560, 8192)


def network(seed: int) -> nn.Sequential:
    layers: list[nn.Layer] = []
    for i, n in enumerate(SIZES[1:]):
        layers += [nn.ReLU()] * (i > 0) + [nn.Linear(n)]
    return nn.build(nn.Sequential(*layers), SIZES[:1], seed=seed)


def samples(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated inputs: 40 hidden factors; the label follows from them."""
    rng = np.random.default_rng(1)
    hidden = rng.standard_normal((count, 40)).astype(np.float32)
    x = hidden @ rng.standard_normal((40, SIZES[0])).astype(np.float32) / 6
    labels = (hidden @ rng.standard_normal((40, SIZES[-1])).astype(np.float32)).argmax(1)
    return x.astype(np.float32), labels.astype(np.int64)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--record", metavar="FOLDER")
    given = parser.parse_args()
    set_threads(1)
    world, data = comm(), samples(given.batch)
    trainers: dict[str, Trainer | None] = {}

    def trainer(model, **more) -> Trainer:
        return Trainer(model, SGD(0.01), batch=given.batch, **more)

    trainers["alone"] = None if world.rank else trainer(network(0))
    layers = [n.name for n in network(0).graph.nodes if n.op.name == "linear"]
    trainers["split"] = trainer(split(network(0), layers).model)
    trainers["data_parallel"] = trainer(network(0), world=DataParallel(overlap=True))
    trainers["data_parallel_no_overlap"] = trainer(network(0), world=DataParallel(overlap=False))
    losses, times, traffic = {}, {k: [] for k in trainers}, {}
    for i in range(given.rounds + 1):
        for name, t in trainers.items():
            world.barrier()
            before = world.traffic.bytes, world.traffic.seconds
            start = time.perf_counter()
            found = t.steps(data, 1)["loss"] if t is not None else 0.0
            spent = time.perf_counter() - start
            traffic[name] = (
                world.traffic.bytes - before[0],
                round(1e3 * (world.traffic.seconds - before[1]), 2),
            )
            world.barrier()
            spent = max(world.gather(spent))
            if i:
                times[name].append(spent * 1e3)
            else:
                losses[name] = found
    if world.rank:
        return 0
    worst = max(abs(v - losses["alone"]) for v in losses.values())
    if worst > 1e-4 * losses["alone"]:
        sys.exit(f"bench_split: arms must have the same loss, got {losses}")
    made = {k: summary(v) for k, v in times.items()}
    ratios = {
        k: round(statistics.median(a / b for a, b in zip(times["alone"], v, strict=True)), 3)
        for k, v in times.items()
    }
    for k, v in made.items():
        sent, waited = traffic[k]
        print(
            f"{k:26} {v['median']:8.1f} ms  {ratios[k]:.2f} x alone  {sent / 1e6:7.1f} MB a step, "
            f"{waited:.1f} ms in exchanges"
        )
    if given.record:
        about = {"ranks": world.size, "library": world.library, "batch": given.batch}
        weights = sum(a * b for a, b in itertools.pairwise(SIZES))
        more = {"network": "distbelief_speech", "weights": weights, "milliseconds": made}
        more |= {"times_alone": ratios, "bytes": {k: v[0] for k, v in traffic.items()}}
        record(given.record, "split", {**about, **more})
    return 0


if __name__ == "__main__":
    sys.exit(main())
