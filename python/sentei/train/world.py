"""The processes that train one network together; the base is a process alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.optim import Optimizer
from sentei.regularizers import Regularizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentei.train.step import StepGraph

__all__ = ["ALONE", "World"]


class World:
    """What a trainer asks of the processes around it; here there are none.

    rank: number of this process, from 0; rank 0 writes files. size: how many there are.
    `sentei.distributed.DataParallel` is a world of several, each with a part of every mini-batch.
    """

    rank = 0
    size = 1

    def rows(self, count: int) -> tuple[int, int]:
        """First and one past the last of `count` things that are this process's own."""
        return count * self.rank // self.size, count * (self.rank + 1) // self.size

    def check(
        self, batch: int, optimizer: Optimizer, regularizers: Sequence[Regularizer], scores: Any
    ) -> None:
        """Refuse what cannot be trained so, before any work."""

    def rewrite(self, step: StepGraph, grads: Mapping[str, str], batch: int) -> StepGraph:
        """The step of this process's part of a mini-batch of `batch` samples.

        grads: the value of the gradient of every parameter.
        """
        return step

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; all must ask."""
        return flag

    def first(self, text: str | None) -> str | None:
        """The first text that is not None, by rank; all must ask."""
        return text

    def share(self, tensors: Mapping[str, Tensor]) -> None:
        """Give all processes those of rank 0."""

    def agree(self, tensors: Mapping[str, Tensor]) -> None:
        """Raise an error unless all processes hold the same bits."""

    def joined(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The rows of all processes, by rank."""
        return rows

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Inside the block nothing is exchanged: every process looks at its own numbers."""
        yield


ALONE = World()
