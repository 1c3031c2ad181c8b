"""Learning from another network's outputs besides the labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from sentei.graph import BATCH, Graph, Spec
from sentei.losses.base import Floats, Loss, LossValues
from sentei.losses.classification import CrossEntropy, _FromLabels
from sentei.ops import DISTILLATION
from sentei.passes import infer_specs

__all__ = ["Distillation"]


@dataclass(frozen=True)
class Distillation(_FromLabels):
    """(1 - alpha) CE + alpha T^2 KL(softmax(t / T) || softmax(y / T)), t the logits of a teacher.

    The trainer feeds the teacher's logits (`Trainer(..., teacher=model)`). Without a teacher at hand, in
    evaluation and in scores, it is the cross-entropy alone.

    alpha: weight of the teacher, in (0, 1]. temperature: T above 0; at 1 the softmax as it is, higher
    ones show how the teacher ranks the wrong classes.
    Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network" (2015).
    """

    alpha: float = 0.5
    temperature: float = 4.0
    teacher: ClassVar[str | None] = "teacher"

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ValueError(f"Distillation: alpha must lie in (0, 1], got {self.alpha!r}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(
                f"Distillation: temperature must be above 0 and finite, got {self.temperature!r}"
            )

    @property
    def hard(self) -> Loss:
        """The part without a teacher."""
        return CrossEntropy()

    def emit(self, graph: Graph, output: str) -> LossValues:
        """Append distillation with the inputs "labels" int64 (N,) and "teacher" float32 (N, K)."""
        labels = self._input(graph, output)
        classes = infer_specs(graph, 1)[output].shape[1]
        assert self.teacher is not None
        soft = graph.add_input(self.teacher, Spec((BATCH, classes), "float32"))
        attrs = {"reduction": "mean", "alpha": self.alpha, "temperature": self.temperature}
        out = graph.add(DISTILLATION, (output, labels, soft), attrs, "loss")
        named = dict(zip(DISTILLATION.outputs, out, strict=True))
        return LossValues(named["loss"], {"correct": named["correct"]}, (labels, soft))

    def per_sample(self, y: NDArray[Any], t: NDArray[Any]) -> Floats:
        """The cross-entropy of every sample."""
        return self.hard.per_sample(y, t)
