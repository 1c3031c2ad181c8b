"""Which images make up which mini-batch: pure functions of (seed, epoch)."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sentei.data._rng import permutation, raw_words
from sentei.data.dataset import Dataset
from sentei.errors import DataError

__all__ = ["ClassLimitedSampler", "InOrder", "Sampler", "Shuffled"]

_SHUFFLE_STREAM = 2
_CHUNK_STREAM = 3

Indices = NDArray[np.int64]


class Sampler(Protocol):
    """What the `Loader` asks of a sampler."""

    def batches(self, dataset: Dataset, batch_size: int, seed: int, epoch: int) -> list[Indices]:
        """Return the indices (int64) of every mini-batch, at most `batch_size` each."""


def _cut(order: Indices, batch_size: int) -> list[Indices]:
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


@dataclass(frozen=True)
class InOrder:
    """Take the images in the order of the set, the same in every epoch."""

    def batches(self, dataset: Dataset, batch_size: int, seed: int, epoch: int) -> list[Indices]:
        """Return 0 .. N-1 cut into mini-batches."""
        return _cut(np.arange(len(dataset), dtype=np.int64), batch_size)


@dataclass(frozen=True)
class Shuffled:
    """Take every image once an epoch, in a new random order each epoch."""

    def batches(self, dataset: Dataset, batch_size: int, seed: int, epoch: int) -> list[Indices]:
        """Return a permutation of 0 .. N-1 cut into mini-batches."""
        return _cut(permutation(len(dataset), seed, epoch, _SHUFFLE_STREAM), batch_size)


@dataclass(frozen=True)
class ClassLimitedSampler:
    """Make mini-batches that hold at most `k` classes.

    The shuffled images of each class are cut into chunks of batch_size / k; a mini-batch takes k
    chunks, each from the class with most chunks left (ties at random) that it does not hold yet.
    So every image comes once an epoch, and while k classes last a mini-batch holds exactly k. When
    the loader drops short batches it drops the short last chunk of each class.

    Args:
        k: number of classes; must divide the batch size.

    Source: the experiment with batches of 1, 2 and 4 classes, methods page section 3.
    """

    k: int

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise DataError(f"ClassLimitedSampler: k must be an integer >= 1, got {self.k!r}")

    def batches(self, dataset: Dataset, batch_size: int, seed: int, epoch: int) -> list[Indices]:
        """Return the mini-batches: full ones first, then those made of short chunks."""
        if batch_size % self.k:
            raise DataError(
                f"ClassLimitedSampler: k must divide the batch size {batch_size}, got {self.k}"
            )
        if dataset.is_regression:
            raise DataError("ClassLimitedSampler: labels must be classes, got regression targets")
        size = batch_size // self.k
        order = permutation(len(dataset), seed, epoch, _SHUFFLE_STREAM)
        labels = dataset.labels[order]
        full: list[list[Indices]] = []
        short: list[list[Indices]] = []
        for c in range(len(dataset.classes)):
            chunks = _cut(order[labels == c], size)
            full.append([chunk for chunk in chunks if len(chunk) == size])
            short.append([chunk for chunk in chunks if len(chunk) < size])
        return self._join(full, seed, epoch, 0) + self._join(short, seed, epoch, 1)

    def _join(self, chunks: list[list[Indices]], seed: int, epoch: int, part: int) -> list[Indices]:
        """Join chunks k at a time, the classes of one mini-batch as different as they can be."""
        left = np.array([len(c) for c in chunks])
        total = int(left.sum())
        words = raw_words(max(1, len(chunks) * total), seed, epoch, _CHUNK_STREAM + part)
        luck = (words[: len(chunks) * total] >> np.uint64(11)).astype(np.float64) / (1 << 53)
        luck = luck.reshape(total, len(chunks))
        out = []
        for step in range(-(-total // self.k)):
            picked: list[Indices] = []
            rank = np.argsort(-(left + luck[step]), kind="stable")
            while len(picked) < self.k and left.any():
                for c in rank[: self.k].tolist():
                    if left[c] and len(picked) < self.k:
                        left[c] -= 1
                        picked.append(chunks[c][left[c]])
            out.append(np.concatenate(picked))
        return out
