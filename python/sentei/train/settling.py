"""The model and the runner of a trainer whose optimizer may keep steps back (SemiSync with lazy)."""

from __future__ import annotations

from sentei._core import Tensor
from sentei.errors import DataError
from sentei.model import Model
from sentei.optim import Optimizer
from sentei.train.runners import Runs, runner_of
from sentei.train.step import StepGraph
from sentei.train.world import ALONE, World

__all__ = ["Settling"]


class Settling:
    """What a trainer does so that nobody sees a model that lags behind its steps."""

    optimizer: Optimizer
    state_tensors: dict[str, Tensor]
    batch: int
    world: World = ALONE
    _model: Model
    _steps: list[StepGraph]
    _made: Runs | None = None
    _ahead = False  # steps were made that the model's tensors have not been given

    @property
    def model(self) -> Model:
        """The model; to ask for it brings its tensors up to date (see `settle`)."""
        self.settle()
        return self._model

    @property
    def _step(self) -> StepGraph:
        """The first kind of step: of the weights."""
        return self._steps[0]

    @property
    def _runner(self) -> Runs:
        """Runs steps on the model's tensors and `state_tensors`; made when first asked for."""
        if self._made is None:
            tensors = {**self._model.tensors, **self.state_tensors}
            low, high = self.world.rows(self.batch)
            self._made = runner_of(self._steps, self.optimizer, tensors, high - low)
        return self._made

    def plan(self) -> None:
        """Lay out the memory of a step now, not at the first one."""
        _ = self._runner

    def settle(self) -> None:
        """Write to the model what the optimizer has kept back.

        `fit`, `steps` and all that judges or saves do so; a reference to the model that was taken
        before may lag behind in between. Changes nothing of what follows.
        """
        if self._ahead:
            self.optimizer.settle(self._model.tensors, self.state_tensors)
            self._ahead = False

    def adopt(self) -> None:
        """Go on from the model's tensors after they were written from outside (load_arrays).

        Raises:
            DataError: steps were made since the model was last asked for; they would be lost.
        """
        if self._ahead:
            raise DataError(
                "adopt: the model must be settled before it is written, got steps since"
            )
        self.optimizer.start(self._model.tensors, self.state_tensors)
