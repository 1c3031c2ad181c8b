#!/usr/bin/env python3
"""Time to 94 % on CIFAR-10, as a whole program: from the first byte of data to the test that passes.

usage: cifar94.py DATA_DIR [--epochs N] [--precision NAME] [--goal F] [--record FOLDER] | --dry
DATA_DIR holds cifar-10-batches-bin. The network is the nine-layer residual network that speed runs on
this task are made with (widths 64 to 512); crops and flips, SGD with momentum, a step size that rises
for a fifth of the run and falls to nothing. The clock holds loading, building and capturing too; the
time of the training steps and of the tests is given beside it.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from timing import Machine

from harness import record
from sentei import nn, optim
from sentei.data import Dataset, Loader, RandomCrop, RandomFlip, Standardize, load_cifar10
from sentei.nn.symbol import Layer
from sentei.optim.schedules import Schedule
from sentei.train import Trainer, evaluate


@dataclass(frozen=True)
class Triangle(Schedule):
    """From nothing to lr at step `top`, back to nothing at step `end`."""

    top: int
    end: int

    def __call__(self, lr: float, step: int, epoch: int) -> float:
        t = step + 1
        return lr * max(0.0, min(t / self.top, (self.end - step) / (self.end - self.top)))


def network(width: int, classes: int = 10) -> nn.Sequential:
    """conv w; conv 2w, pool, residual; conv 4w, pool; conv 8w, pool, residual; pool 4; linear."""

    def conv(channels: int, pool: bool = False) -> list[Layer]:
        layers: list[Layer] = [nn.Conv2d(channels, 3, padding=1, bias=False), nn.BatchNorm()]
        return [*layers, nn.ReLU(), *([nn.MaxPool2d(2)] if pool else [])]

    def residual(channels: int) -> Layer:
        return nn.Residual(nn.Sequential(*conv(channels), *conv(channels)))

    layers = [*conv(width), *conv(2 * width, True), residual(2 * width), *conv(4 * width, True)]
    layers += [*conv(8 * width, True), residual(8 * width), nn.MaxPool2d(4), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(classes))


def random_set(n: int) -> Dataset:
    rng = np.random.default_rng(n)
    images = rng.integers(0, 256, (n, 32, 32, 3), np.uint8)
    return Dataset(images, np.arange(n) % 10, tuple("0123456789"), "random", "made here")


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("data", nargs="?", type=Path)
    p.add_argument("--epochs", type=int, default=24)
    p.add_argument("--batch", type=int, default=512)
    p.add_argument("--lr", type=float, default=0.2)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--goal", type=float, default=0.94)
    p.add_argument("--precision", default="bfloat16")
    p.add_argument("--record", metavar="FOLDER")
    p.add_argument("--dry", action="store_true")
    args = p.parse_args()
    if args.data is None and not args.dry:
        p.error("DATA_DIR must be given")
    machine = Machine(args.dry)
    began = time.perf_counter()
    width, epochs, batch = (1, 1, 4) if args.dry else (64, args.epochs, args.batch)
    train, test = (random_set(8), random_set(4)) if args.dry else load_cifar10(args.data)
    scale = Standardize.fit(train)
    loader = Loader(
        train,
        batch,
        shuffle=True,
        seed=args.seed,
        drop_last=True,
        standardize=scale,
        transforms=(RandomCrop(4), RandomFlip()),
    )
    judge = Loader(test, min(1000, len(test)), standardize=scale)
    model = nn.build(network(width), (32, 32, 3), seed=args.seed).to("cuda")
    steps = len(train) // batch * epochs
    trainer = Trainer(
        model,
        optim.SGD(args.lr, momentum=0.9, weight_decay=5e-4),
        batch=batch,
        seed=args.seed,
        schedule=Triangle(max(1, steps // 5), steps),
        precision=args.precision,
    )
    training = testing = 0.0
    reached = None
    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        trainer.fit(loader, epochs=epoch, progress="none")
        machine.wait()
        middle = time.perf_counter()
        accuracy = evaluate(model, judge, batch=judge.batch_size)["accuracy"]
        training, testing = training + middle - start, testing + time.perf_counter() - middle
        print(f"epoch {epoch:3d}  {accuracy:.4f}  {time.perf_counter() - began:8.2f} s", flush=True)
        if accuracy >= args.goal:
            reached = time.perf_counter() - began
            break
    print(f"goal {args.goal}: {'not reached' if reached is None else f'{reached:.2f} s'}; ", end="")
    print(f"training {training:.2f} s, tests {testing:.2f} s")
    if args.record and not args.dry:
        data = {"precision": args.precision, "epochs": epochs, "batch": batch, "goal": args.goal}
        more = {"seconds": reached, "training_seconds": training, "test_seconds": testing}
        about = {"device": machine.describe(), "seed": args.seed, "accuracy": accuracy}
        record(args.record, "cuda_cifar94", {**about, **data, **more})
    return 0 if args.dry or reached is not None else 1


if __name__ == "__main__":
    raise SystemExit(main())
