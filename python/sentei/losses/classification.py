"""Losses of a classifier with integer labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sentei.graph import Graph, Op
from sentei.losses.base import Floats, Loss, LossValues, Task
from sentei.ops import SIGMOID_CROSS_ENTROPY, SOFTMAX_CROSS_ENTROPY

__all__ = ["CrossEntropy", "SigmoidCrossEntropy"]


@dataclass(frozen=True)
class _FromLabels(Loss):
    takes: ClassVar[Literal["labels", "targets"]] = "labels"
    task: ClassVar[Task] = "classes"

    def _emit(self, op: Op, graph: Graph, output: str) -> LossValues:
        labels = self._input(graph, output)
        out = graph.add(op, (output, labels), {"reduction": "mean"}, "loss")
        named = dict(zip(op.outputs, out, strict=True))
        return LossValues(named["loss"], {"correct": named["correct"]}, (labels,))


@dataclass(frozen=True)
class CrossEntropy(_FromLabels):
    """Softmax cross-entropy from logits: -ln softmax(y)_label, mean over samples."""

    def emit(self, graph: Graph, output: str) -> LossValues:
        """Append softmax_cross_entropy with the input "labels" int64 (N,)."""
        return self._emit(SOFTMAX_CROSS_ENTROPY, graph, output)

    def per_sample(self, y: NDArray[Any], t: NDArray[Any]) -> Floats:
        """ln sum_k exp(y_k) - y_label, about the largest logit."""
        z = np.asarray(y, np.float64)
        z = z - z.max(1, keepdims=True)
        out: Floats = np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), t]
        return out


@dataclass(frozen=True)
class SigmoidCrossEntropy(_FromLabels):
    """Per-class sigmoid cross-entropy from logits, summed over classes, mean over samples.

    sum_k max(z_k, 0) - z_k t_k + ln(1 + exp(-|z_k|)), t the one-hot label
    """

    def emit(self, graph: Graph, output: str) -> LossValues:
        """Append sigmoid_cross_entropy with the input "labels" int64 (N,)."""
        return self._emit(SIGMOID_CROSS_ENTROPY, graph, output)

    def per_sample(self, y: NDArray[Any], t: NDArray[Any]) -> Floats:
        """The sum over classes of every sample."""
        z = np.asarray(y, np.float64)
        soft = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
        out: Floats = soft.sum(1) - z[np.arange(len(z)), t]
        return out
