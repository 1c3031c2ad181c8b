"""What every loss is: a node appended to a graph, and the same formula in float64 NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DTypeError, GraphError, ShapeError
from sentei.graph import BATCH, Graph, Spec
from sentei.passes import infer_specs

__all__ = ["Loss", "LossValues", "Task"]

Task = Literal["classes", "signs", "values"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LossValues:
    """Names in the graph: the scalar loss, further values to read, the inputs to feed."""

    loss: str
    metrics: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loss:
    """Base of the losses; the loss of a mini-batch is the mean over its samples.

    takes: the graph input that carries the truth: "labels" int64 (N,), or "targets" float32 (N, K).
    task: what the truth is: classes, signs (-1 or 1 per output) or values.
    teacher: the graph input that carries another network's outputs; None: there is none.
    """

    takes: ClassVar[Literal["labels", "targets"]] = "targets"
    task: ClassVar[Task] = "values"
    teacher: ClassVar[str | None] = None

    def emit(self, graph: Graph, output: str) -> LossValues:
        """Append the loss of the value `output` (N, K); declare the input that carries the truth."""
        raise NotImplementedError

    def per_sample(self, y: NDArray[Any], t: NDArray[Any]) -> Floats:
        """The loss of every sample, (N,) float64: outputs y (N, K), truth as `truth` gives it."""
        raise NotImplementedError

    def truth(self, labels: NDArray[Any], outputs: int) -> NDArray[Any]:
        """What to feed: class labels become one-hot rows (signs: -1 and 1) where targets are taken.

        Args:
            labels: classes (N,) int64, or targets (N, K) float32. outputs: K.
        Raises:
            ShapeError, DTypeError: they do not fit the loss or the number of outputs.
        """
        kind = type(self).__name__
        if labels.dtype.kind in "iu":
            if labels.ndim != 1:
                raise ShapeError(f"{kind}: labels must have shape (N,), got {labels.shape}")
            low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
            if low < 0 or high >= outputs:
                raise ShapeError(
                    f"{kind}: labels must lie in [0, {outputs}), the outputs of the network, "
                    f"got {low if low < 0 else high}"
                )
            if self.takes == "labels":
                return labels.astype(np.int64, copy=False)
            hot = np.full((len(labels), outputs), -1.0 if self.task == "signs" else 0.0, np.float32)
            hot[np.arange(len(labels)), labels] = 1.0
            return hot
        if self.takes == "labels":
            raise DTypeError(f"{kind}: labels must be classes (int64), got {labels.dtype}")
        if labels.dtype != np.float32:
            raise DTypeError(f"{kind}: targets must be float32, got {labels.dtype}")
        if labels.ndim != 2 or labels.shape[1] != outputs:
            raise ShapeError(f"{kind}: targets must have shape (N, {outputs}), got {labels.shape}")
        return labels

    def _input(self, graph: Graph, output: str) -> str:
        """Declare the input for the truth; check that the output is (N, K)."""
        shape = infer_specs(graph, 1)[output].shape
        if len(shape) != 2:
            raise GraphError(
                f"{type(self).__name__}: the network's output must have shape (N, K), "
                f"got ('N', {', '.join(map(str, shape[1:]))})"
            )
        spec = (
            Spec((BATCH,), "int64")
            if self.takes == "labels"
            else Spec((BATCH, shape[1]), "float32")
        )
        return graph.add_input(self.takes, spec)


def as_float64(y: NDArray[Any], t: NDArray[Any]) -> tuple[Floats, Floats]:
    return np.asarray(y, np.float64), np.asarray(t, np.float64)
