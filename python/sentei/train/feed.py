"""Where mini-batches come from: data sets, loaders, or plain arrays; pure functions of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sentei.data import Dataset, Loader, Sampler
from sentei.errors import DataError
from sentei.train.resident import Gathered, Resident
from sentei.train.world import ALONE, World

__all__ = ["Batch", "Batches", "Data", "Feed", "TrainingBatch", "count_of", "in_order"]

Batch = tuple[NDArray[np.float32], NDArray[Any]]
TrainingBatch = tuple[NDArray[np.float32] | Gathered, NDArray[Any]]


@runtime_checkable
class Batches(Protocol):
    """What is asked of a loader (sentei.data.Loader has it)."""

    batch_size: int

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Indices of every mini-batch of an epoch."""

    def batch(self, epoch: int, step: int) -> Batch:
        """One mini-batch (images float32, labels int64 or targets float32)."""


Data = Dataset | Batches | tuple[NDArray[np.float32], NDArray[Any]]


class _Arrays:
    """Mini-batches of two arrays, for samples that are not images."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any], batch: int, seed: int | None) -> None:
        if not len(x):
            raise DataError("train: data must hold at least one sample")
        if len(x) != len(y):
            raise DataError(
                f"train: data must have as many labels as samples, got {len(y)} and {len(x)}"
            )
        if x.dtype != np.float32:
            raise DataError(f"train: samples must be float32, got {x.dtype}")
        self.x, self.y, self.batch_size, self.seed = x, y, batch, seed

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        order = np.arange(len(self.x), dtype=np.int64)
        if self.seed is not None and self.batch_size < len(order):
            bits = np.random.Philox(key=np.array([self.seed, epoch], np.uint64))
            order = np.argsort(np.asarray(bits.random_raw(len(order))), kind="stable")
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def batch(self, epoch: int, step: int) -> Batch:
        index = self.batches(epoch)[step]
        return self.x[index], self.y[index]


def _loader(data: Data, batch: int, seed: int | None) -> Batches:
    if isinstance(data, Dataset):
        shuffle = seed is not None and batch < len(data)  # one batch is the same in any order
        return cast(Batches, Loader(data, min(batch, len(data)), shuffle=shuffle, seed=seed or 0))
    if isinstance(data, tuple) and len(data) == 2:
        return _Arrays(np.asarray(data[0]), np.asarray(data[1]), batch, seed)
    if isinstance(data, Batches):
        return data
    raise DataError(
        f"train: data must be a Dataset, a Loader or (samples, labels), got {type(data).__name__}"
    )


class _Part:
    """The rows of every full mini-batch that are one process's own."""

    def __init__(self, source: Batches, size: int, rows: tuple[int, int]) -> None:
        self.source, self.size, self.rows = source, size, rows
        self.batch_size = rows[1] - rows[0]

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        return self.cut(self.source.batches(epoch))

    def cut(self, every: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        return [b[slice(*self.rows)] for b in every if len(b) == self.size]

    def batch(self, epoch: int, step: int) -> Batch:
        full = [i for i, b in enumerate(self.source.batches(epoch)) if len(b) == self.size]
        x, labels = self.source.batch(epoch, full[step])
        return x[slice(*self.rows)], labels[slice(*self.rows)]


class _PartSampler:
    """The same of a Loader, which then makes no other image; transforms follow the image."""

    def __init__(self, sampler: Sampler, part: _Part) -> None:
        self.sampler, self.part = sampler, part

    def batches(
        self, dataset: Dataset, batch_size: int, seed: int, epoch: int
    ) -> list[NDArray[np.int64]]:
        return self.part.cut(self.sampler.batches(dataset, self.part.size, seed, epoch))


def _part_of(source: Batches, size: int, rows: tuple[int, int]) -> Batches:
    part = _Part(source, size, rows)
    if type(source) is not Loader:
        return part
    return cast(
        Batches,
        Loader(
            source.dataset,
            part.batch_size,
            seed=source.seed,
            standardize=source.standardize,
            transforms=source.transforms,
            sampler=_PartSampler(source.sampler, part),
            prefetch=source.prefetch,
        ),
    )


class Feed:
    """Full mini-batches for training; a short one is left out.

    device: on cuda the images of a Loader lie there once for all, where they have room and its
    transforms can be done there; other samples are sent batch by batch. world: of several processes
    each gets its own rows of every mini-batch.
    """

    def __init__(
        self, data: Data, batch: int, seed: int, device: str = "cpu", world: World = ALONE
    ) -> None:
        self.source = _loader(data, batch, seed)
        self.size = batch
        if self.source.batch_size != batch:
            raise DataError(
                f"train: data must come in mini-batches of {batch} samples, "
                f"got {self.source.batch_size}"
            )
        if world.size > 1:
            low, high = world.rows(batch)
            self.source, self.size = _part_of(self.source, batch, (low, high)), high - low
        self._plan: tuple[int, list[int], bool] = (-1, [], True)
        if not self.steps(0):
            raise DataError(f"train: data must hold a full mini-batch of {batch} samples")
        self.resident = Resident.of(self.source, device)

    def _full(self, epoch: int) -> list[int]:
        if self._plan[0] != epoch:
            every = self.source.batches(epoch)
            full = [i for i, b in enumerate(every) if len(b) == self.size]
            self._plan = (epoch, full, len(full) == len(every))
        return self._plan[1]

    def steps(self, epoch: int) -> int:
        """Full mini-batches of an epoch."""
        return len(self._full(epoch))

    def batch(self, epoch: int, step: int) -> TrainingBatch:
        """Mini-batch `step` of an epoch."""
        number = self._full(epoch)[step]
        if self.resident is not None:
            return self.resident.batch(epoch, number)
        return self.source.batch(epoch, number)

    def epoch(self, epoch: int, first: int) -> Iterator[TrainingBatch]:
        """All mini-batches of an epoch from `first` on; a loader that prefetches does so."""
        full, source = self._full(epoch), self.source
        ahead = self.resident is None and isinstance(source, Loader) and source.prefetch
        if ahead and self._plan[2] and first < len(full):
            assert isinstance(source, Loader)
            source.restore({"epoch": epoch, "step": first})
            yield from source
            return
        for step in range(first, len(full)):
            yield self.batch(epoch, step)


def count_of(data: Data, batch: int) -> int:
    """Mini-batches that `in_order` gives."""
    return len(_loader(data, batch, None).batches(0))


def in_order(data: Data, batch: int, world: World = ALONE) -> Iterator[Batch]:
    """All samples once, the last mini-batch as short as it is (for evaluation).

    world: of several processes each gets some of the mini-batches.
    """
    source = _loader(data, batch, None)
    for step in range(*world.rows(len(source.batches(0)))):
        yield source.batch(0, step)
