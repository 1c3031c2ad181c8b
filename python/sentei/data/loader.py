"""Cut a data set into mini-batches, each a pure function of (seed, epoch, step)."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.data._rng import check_seed, sample_keys
from sentei.data.augment import RandomCrop, RandomFlip, Transform
from sentei.data.dataset import Dataset
from sentei.data.sampling import Indices, InOrder, Sampler, Shuffled
from sentei.data.standardize import Standardize
from sentei.errors import DataError

__all__ = ["Batch", "Loader"]

Batch = tuple[NDArray[np.float32], NDArray[Any]]


def _count(what: str, value: object, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise DataError(f"Loader: {what} must be an integer >= {low}, got {value!r}")
    return int(value)


class Loader:
    """Iterate over mini-batches (x, y) of a data set.

    `for x, y in loader` runs to the end of the current epoch and moves on to the next; `state()`
    taken inside the loop and given to `restore()` in another process goes on with the very next
    mini-batch, bit for bit. x is float32 (B, H, W, C), transformed and then standardised; y is
    int64 (B,) or float32 targets (B, K).

    Args:
        dataset: the images.
        batch_size: images a mini-batch.
        shuffle: take a new random order each epoch; ignored when `sampler` is given.
        seed: order and transforms are a pure function of (seed, epoch).
        drop_last: leave out mini-batches that are not full (training at a fixed batch size).
        standardize: applied last; None: pixels in [0, 1].
        transforms: applied to the raw pixels, in this order, with keys of (seed, epoch, index).
        sampler: another way to make mini-batches, e.g. `ClassLimitedSampler(k)`.
        prefetch: mini-batches prepared ahead by one background thread; 0: none. Changes no bit.

    Raises:
        DataError: an argument out of range, or no mini-batch at all.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        standardize: Standardize | None = None,
        transforms: Sequence[Transform] = (),
        sampler: Sampler | None = None,
        prefetch: int = 0,
    ) -> None:
        self.dataset = dataset
        self.batch_size = _count("batch_size", batch_size, 1)
        self.seed = check_seed("Loader", seed)
        self.drop_last = drop_last
        self.standardize = standardize or Standardize.unit(dataset.shape[2])
        self.transforms = tuple(transforms)
        self.sampler: Sampler = sampler or (Shuffled() if shuffle else InOrder())
        self.prefetch = _count("prefetch", prefetch, 0)
        if len(self.standardize.mean) != dataset.shape[2]:
            raise DataError(
                f"Loader: standardize must have {dataset.shape[2]} channels like the images, "
                f"got {len(self.standardize.mean)}"
            )
        self._epoch, self._step = 0, 0
        self._plan: tuple[int, list[Indices]] = (-1, [])
        if not self.batches(0):
            raise DataError(
                f"Loader: batch_size must leave a full mini-batch of the {len(dataset)} images, "
                f"got {batch_size}"
            )

    @property
    def epoch(self) -> int:
        """Epoch of the next mini-batch, from 0."""
        return self._epoch

    @property
    def step(self) -> int:
        """Place of the next mini-batch in its epoch, from 0."""
        return self._step

    def __len__(self) -> int:
        """Mini-batches of one epoch."""
        return len(self.batches(self._epoch))

    def batches(self, epoch: int) -> list[Indices]:
        """Return the indices of every mini-batch of an epoch."""
        plan = self._plan  # one read: the prefetching thread may put another epoch there
        if plan[0] != epoch:
            made = self.sampler.batches(self.dataset, self.batch_size, self.seed, epoch)
            if self.drop_last:
                made = [b for b in made if len(b) == self.batch_size]
            plan = self._plan = (epoch, made)
        return plan[1]

    def batch(self, epoch: int, step: int) -> Batch:
        """Return one mini-batch; it depends on the data, the seed and these two numbers only."""
        index = self._index(epoch, step)
        images: NDArray[Any] = self.dataset.images.take(index, axis=0)
        for position, transform in enumerate(self.transforms):
            images = transform(images, sample_keys(self.seed, epoch, position, index))
        return self.standardize.apply(images), self.dataset.labels.take(index, axis=0)

    def _index(self, epoch: int, step: int) -> Indices:
        plan = self.batches(_count("epoch", epoch, 0))
        if not 0 <= step < len(plan):
            raise DataError(f"Loader: step must lie in [0, {len(plan)}), got {step}")
        return plan[step]

    @property
    def movable(self) -> bool:
        """Whether `moves` can say what the transforms do: mirrors, and one crop at most."""
        kinds = [type(t) for t in self.transforms]
        return set(kinds) <= {RandomCrop, RandomFlip} and kinds.count(RandomCrop) <= 1

    def moves(self, epoch: int, step: int) -> tuple[NDArray[np.int32], NDArray[Any]]:
        """Return `batch` as a plan for sentei.ops.gather_batch_forward, (B, 4) int32, and labels.

        The plan, the images and `standardize.factors` give the bits of `batch`. Only for `movable`.
        """
        index = self._index(epoch, step)
        plan = np.zeros((len(index), 4), np.int32)
        plan[:, 0] = index
        for position, transform in enumerate(self.transforms):
            keys = sample_keys(self.seed, epoch, position, index)
            if isinstance(transform, RandomFlip):
                plan[:, 3] ^= transform.flips(keys)
            elif isinstance(transform, RandomCrop):
                rows, cols = transform.corners(keys)
                plan[:, 1] = rows - transform.padding
                plan[:, 2] = cols - transform.padding
                # of an image mirrored before, the window moves the other way
                plan[:, 2] *= 1 - 2 * plan[:, 3]
        return plan, self.dataset.labels.take(index, axis=0)

    def __iter__(self) -> Iterator[Batch]:
        epoch, steps = self._epoch, len(self)
        for step, made in self._made(epoch, self._step, steps):
            # moved on before the batch is handed out: a checkpoint written in the loop names the
            # next one
            self._epoch, self._step = (epoch, step + 1) if step + 1 < steps else (epoch + 1, 0)
            yield made

    def _made(self, epoch: int, first: int, last: int) -> Iterator[tuple[int, Batch]]:
        if self.prefetch == 0:
            for step in range(first, last):
                yield step, self.batch(epoch, step)
            return
        from concurrent.futures import Future, ThreadPoolExecutor

        ahead: deque[Future[Batch]] = deque()
        todo = iter(range(first, last))
        # leaving the block, by an exception or by Ctrl-C too, waits for at most `prefetch` batches
        # and joins the thread
        with ThreadPoolExecutor(1, "sentei-loader") as pool:
            try:
                for step in range(first, last):
                    while len(ahead) < self.prefetch and (n := next(todo, -1)) >= 0:
                        ahead.append(pool.submit(self.batch, epoch, n))
                    made = ahead.popleft().result()
                    if (n := next(todo, -1)) >= 0:
                        ahead.append(pool.submit(self.batch, epoch, n))
                    yield step, made
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def state(self) -> dict[str, int]:
        """Return {"epoch": ..., "step": ...} of the next mini-batch, ready for JSON."""
        return {"epoch": self._epoch, "step": self._step}

    def restore(self, state: object) -> None:
        """Go on from what `state()` gave, with the same data set, batch size and seed.

        Raises:
            DataError: not such a state, or a step beyond the epoch.
        """
        if not isinstance(state, dict) or set(state) != {"epoch", "step"}:
            raise DataError(
                f'Loader: state must hold exactly "epoch" and "step", got {state!r:.80}'
            )
        epoch, step = _count("epoch", state["epoch"], 0), _count("step", state["step"], 0)
        steps = len(self.batches(epoch))
        if step >= steps:
            raise DataError(f"Loader: step must lie in [0, {steps}), got {step}")
        self._epoch, self._step = epoch, step
