#!/usr/bin/env python3
"""The picture of docs/methods/auxiliary.md, from a run made here on the digits in the package.

usage: plot_auxiliary.py [--images N] [--epochs N] [--seed N] [--out FILE]
Above: m of every filter of the second convolution after each epoch (the block: of its encoder); below:
the maps of the block after the last convolution, test images in the plane of two principal axes. The
network and settings are those of bench_auxiliary.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from bench_auxiliary import EPOCHS_BEFORE, GATES, LAM, WEIGHTS, digits, gated, network

from sentei import optim
from sentei.prune import Closing, block_maps, close_gates, gates_of
from sentei.regularizers import OpenGates
from sentei.train import Callback, Trainer

ROOT = Path(__file__).resolve().parents[2]
TITLES = {"step": "AutoPrune (step)", "sigmoid": "sigmoid", "block": "Pruning Block"}


class Watch(Callback):
    """m of one layer after every epoch."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def on_epoch_end(self, trainer: Trainer, row: object) -> None:
        gate = next(g for g in gates_of(trainer.model.graph) if g.layer.startswith("conv2"))
        self.seen.append(trainer.model.tensors[gate.m].numpy())


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--images", type=int, default=6000)
    p.add_argument("--epochs", type=int, default=8)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, default=ROOT / "docs" / "methods" / "auxiliary.png")
    args = p.parse_args()
    from matplotlib.figure import Figure

    train, test = digits(args.images)
    base = Trainer(network(args.seed), WEIGHTS, batch=100, seed=args.seed)
    base.fit(train, epochs=EPOCHS_BEFORE, progress="none")
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    above = figure.add_gridspec(2, 12)
    for place, arm in enumerate(TITLES):
        watch = Watch()
        t = Trainer(
            gated(arm, base.model), optim.InTurns(WEIGHTS, GATES[arm]), batch=100, seed=args.seed,
            regularizers=[OpenGates(LAM[arm])], callbacks=[watch],
        )  # fmt: skip
        t.fit(train, epochs=args.epochs, progress="none")
        m = np.array([np.full_like(watch.seen[0], 0.1), *watch.seen])
        gate = next(g for g in gates_of(t.model.graph) if g.layer.startswith("conv2"))
        shut = Closing().closed(gate, m[-1])
        axes = figure.add_subplot(above[0, 4 * place : 4 * place + 4])
        for i in range(m.shape[1]):
            axes.plot(m[:, i], color="#b9beb5" if shut[i] else "#2b6b4d", lw=1)
        axes.set_title(f"{TITLES[arm]}: {shut.sum()} of {len(shut)} closed", loc="left", fontsize=9)
        axes.set_xlabel("epoch", fontsize=8)
        if place == 0:
            axes.set_ylabel("m, conv2", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        model = t.model
    closed = close_gates(model, Closing(), base.model.costs()).model
    for place, m_ in enumerate(block_maps(closed, train.images[:1000], test.images[:600])):
        axes = figure.add_subplot(above[1, 3 * place : 3 * place + 3])
        axes.scatter(*m_.points.T, c=test.labels[: len(m_.points)], cmap="tab10", s=3, linewidths=0)
        axes.set_title(f"{m_.name}, {m_.channels} channels", loc="left", fontsize=9)
        axes.set_xlabel(f"{sum(m_.share):.0%} of the variance", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.savefig(args.out, format="png", dpi=110)
    print(args.out)


if __name__ == "__main__":
    main()
