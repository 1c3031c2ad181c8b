"""What the arms of both tools share: images, mini-batches, step sizes, the count of multiply-adds, memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scale import Scale

from sentei import optim
from sentei.data import Dataset, Loader, RandomCrop, RandomFlip, Standardize, load
from sentei.model import Model
from sentei.report.files import atomic_path


@dataclass(frozen=True)
class Images:
    """CIFAR-10 as both tools see it: the same mini-batches, augmented and standardised by sentei."""

    train: Dataset
    test: Dataset
    standardize: Standardize

    def training(self, s: Scale, seed: int) -> Loader:
        return Loader(
            self.train, s.batch, shuffle=True, seed=seed, drop_last=True,
            standardize=self.standardize, transforms=(RandomCrop(4), RandomFlip()),
        )  # fmt: skip

    def tested(
        self, count: int | None = None
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Test images by the hundred, all or the first so many."""
        for i in range(0, min(count or len(self.test), len(self.test)), 100):
            yield (
                self.standardize.apply(self.test.images[i : i + 100]),
                self.test.labels[i : i + 100],
            )

    def scored(self, s: Scale, seed: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """The images that gradient criteria see."""
        chosen = np.random.default_rng([seed, 1]).permutation(len(self.train))[: s.score_images]
        part = self.train.subset(np.sort(chosen))
        return self.standardize.apply(part.images), part.labels


def images(s: Scale, data_dir: str, work: Path) -> Images:
    """The first so many; kept in `work`, so that reading all of them is no part of an arm's memory."""
    path = work / f"cifar10-{s.images}-{s.test_images}.npz"
    if not path.is_file():
        parts = zip(load("cifar10", data_dir), (s.images, s.test_images), strict=True)
        found = {}
        for name, (part, n) in zip(("train", "test"), parts, strict=True):
            found[f"{name}_images"], found[f"{name}_labels"] = part.images[:n], part.labels[:n]
        with atomic_path(path) as beside, beside.open("wb") as f:
            np.savez(f, **found)
    with np.load(path) as z:
        train, test = (Dataset(z[f"{k}_images"], z[f"{k}_labels"]) for k in ("train", "test"))
    return Images(train, test, Standardize.fit(train))


def retraining(s: Scale) -> optim.Schedule:
    """Step size at each of the retraining steps."""
    return optim.Cosine(max(s.steps, 1), per="step")


def plan(s: Scale, schedule: str, target: float) -> list[tuple[float, int]]:
    """Shares of FLOPs to cut down to, and the retraining steps after each."""
    if schedule == "once":
        return [(target, s.steps)]
    half = s.steps // 2 // s.rounds
    shares = [1 - (1 - target) * (k + 1) / s.rounds for k in range(s.rounds)]
    return [(x, half) for x in shares[:-1]] + [(target, s.steps - half * (s.rounds - 1))]


def accuracy(model: Model, data: Images, count: int | None = None) -> float:
    """Share of the test images (the first `count`) that a model gets right, by sentei."""
    predict = model.predictor(100)
    return share_right(predict, data, count)


def share_right(predict: Any, data: Images, count: int | None = None) -> float:
    """The same of anything that gives logits (N, K) for images (N, H, W, C)."""
    right = [(predict(x).argmax(1) == labels) for x, labels in data.tested(count)]
    return float(np.concatenate(right).mean())


@dataclass
class Clock:
    """Seconds by part: on the wall, and of all cores of this process."""

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
            self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu


@dataclass(frozen=True)
class Outcome:
    """A pruned and retrained network. cut_accuracy: right after the last cut; notes: what else the tool did,
    counted."""

    model: Model
    cut_accuracy: float
    clock: Clock
    notes: dict[str, Any]


def work_file(work: Path, *parts: object, suffix: str = ".safetensors") -> Path:
    return work / ("-".join(str(p) for p in parts) + suffix)
