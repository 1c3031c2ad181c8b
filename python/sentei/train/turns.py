"""Steps of several kinds, one after the other: the weights, then the auxiliary variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sentei._core import Tensor
from sentei.losses import Loss
from sentei.model import Model
from sentei.optim import LBFGS, Optimizer
from sentei.regularizers import Regularizer
from sentei.run.inputs import Feed
from sentei.train.step import Figures, StepGraph, StepRunner, build_step
from sentei.train.world import ALONE, World

__all__ = ["Steps", "build_steps", "states_of"]


def build_steps(
    model: Model,
    loss: Loss,
    regularizers: Sequence[Regularizer],
    optimizer: Optimizer,
    products: str = "float32",
    scores: Sequence[str] = (),
    world: World = ALONE,
    batch: int = 1,
) -> list[StepGraph]:
    """The graph of every kind of step of the optimizer; arguments as build_step.

    Each computes the gradients of what it changes and no others. Scores are gathered by the first.

    Raises:
        ValueError: scores are to be gathered in steps that evaluate the gradient several times.
    """
    if scores and isinstance(optimizer, LBFGS):
        raise ValueError("Trainer: scores must be left out with LBFGS, got some")
    return [
        build_step(
            model,
            loss,
            regularizers,
            optimizer,
            products,
            () if turn else scores,
            turn,
            world,
            batch,
        )
        for turn in range(optimizer.turns)
    ]


def states_of(steps: Iterable[StepGraph]) -> dict[str, Tensor]:
    """The states of all kinds of steps by name."""
    return {k: t for s in steps for k, t in s.states.items()}


class Steps:
    """StepRunners that share parameters and states; `turn` says whose step is fed and made."""

    turn = 0
    stuck: str | None = None

    def __init__(self, runners: Sequence[StepRunner]) -> None:
        self._runners = tuple(runners)
        self._made: list[int] = []  # turns of the steps since the last read
        self._read: list[int] = []  # those of the last read

    @property
    def inputs(self) -> Mapping[str, Tensor]:
        return self._runners[self.turn].inputs

    @property
    def due(self) -> bool:
        """Whether the figures should be read now."""
        return any(r.due for r in self._runners)

    def feed(self, feeds: Mapping[str, Feed]) -> None:
        """Write inputs."""
        self._runners[self.turn].feed(feeds)

    def step(self, feeds: Mapping[str, Feed]) -> bool:
        """Make a step; see StepRunner."""
        done = self._runners[self.turn].step(feeds)
        if done:
            self._made.append(self.turn)
        return done

    def read(self) -> list[Figures]:
        """Figures of the steps since the last read, in their order."""
        found = [iter(r.read()) for r in self._runners]
        self._read, self._made = self._made, []
        return [next(found[turn]) for turn in self._read]

    def rewind(self) -> None:
        """Put everything back to where it was before the steps last read: the latest copy first."""
        for turn in reversed(dict.fromkeys(self._read)):
            self._runners[turn].rewind()
        self._made = []

    def figures(self) -> Figures:
        """Those of the step just made, or of its forward part."""
        return self._runners[self.turn].figures()

    def first_not_finite(self) -> str | None:
        """Where a value that is not finite comes from."""
        return self._runners[self.turn].first_not_finite()
