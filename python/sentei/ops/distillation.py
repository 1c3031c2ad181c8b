"""Cross-entropy with integer labels, mixed with what a teacher's softened outputs say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from sentei import _core
from sentei._core import Tensor
from sentei.errors import GraphError, ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, register
from sentei.ops.eager import eager
from sentei.ops.losses import LOSS_BACKWARD, is_mean
from sentei.tensor import ArrayLike

__all__ = ["DISTILLATION", "distillation_forward"]

_NAME = "distillation_forward"


def _settings(attrs: Attrs) -> tuple[bool, float, float]:
    mean, alpha = is_mean(_NAME, attrs), float(attrs["alpha"])
    temperature = float(attrs["temperature"])
    if not 0 <= alpha <= 1:
        raise ValueError(f"{_NAME}: alpha must lie in [0, 1], got {alpha!r}")
    if not 0 < temperature < math.inf:
        raise ValueError(f"{_NAME}: temperature must be above 0 and finite, got {temperature!r}")
    return mean, alpha, temperature


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    logits, labels, teacher = inputs
    assert logits is not None and labels is not None and teacher is not None
    _settings(attrs)
    if len(logits.shape) != 2:
        raise ShapeError(f"{_NAME}: logits must have 2 axes, got shape {logits.shape}")
    if labels.shape != logits.shape[:1]:
        raise ShapeError(f"{_NAME}: labels must have shape {logits.shape[:1]}, got {labels.shape}")
    if teacher.shape != logits.shape:
        raise ShapeError(f"{_NAME}: teacher must have shape {logits.shape}, got {teacher.shape}")
    return (Spec((1,)), Spec(logits.shape[:1]), Spec(logits.shape), Spec((1,), "int64"))


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    mean, alpha, temperature = _settings(attrs)
    logits, labels, teacher = inputs
    loss, per_sample, dlogits, correct = outputs
    _core.distillation_forward(
        logits, labels, teacher, loss, per_sample, dlogits, correct, mean, alpha, temperature
    )


def _backward(ctx: GradContext, node: Node, douts: Sequence[str | None]) -> Sequence[str | None]:
    if any(d is not None for d in douts[1:]):
        raise GraphError(f"{node.name}: only the output loss must be differentiated")
    if ctx.needs(node.inputs[2]):
        raise GraphError(f"{node.name}: the teacher must not be trained")
    if douts[0] is None or not ctx.needs(node.inputs[0]):
        return (None, None, None)
    reduction = node.attrs.get("reduction", "mean")
    return (ctx.emit(LOSS_BACKWARD, (node.outputs[2], douts[0]), reduction=reduction), None, None)


DISTILLATION = register(
    Op(
        name="distillation",
        inputs=("logits", "labels", "teacher"),
        outputs=("loss", "per_sample", "dlogits", "correct"),
        infer=_infer,
        run=_run,
        backward=_backward,
        to_onnx="a loss is a part of training",
        zero_preserving=False,
    )
)


def distillation_forward(
    logits: ArrayLike,
    labels: ArrayLike,
    teacher: ArrayLike,
    *,
    alpha: float,
    temperature: float,
    reduction: Literal["mean", "sum"] = "mean",
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compare logits with integer labels and with a teacher's logits.

    q = softmax(z / T), p = softmax(teacher / T);
    loss_n = (1 - alpha) CE_n + alpha T^2 sum_k p_k ln(p_k / q_k);
    dlogits = (1 - alpha) (softmax(z) - [k = label]) + alpha T (q - p)

    Args:
        logits (Tensor, (N, K), float32). labels (Tensor, (N,), int64): classes in [0, K).
        teacher (Tensor, (N, K), float32): finite logits of another network; no gradient.
        alpha (float): weight of the teacher in [0, 1]. temperature (float): T above 0.
        reduction (str): loss is the "mean" or the "sum" over samples; 0 for N = 0.
    Returns:
        loss, per_sample, dlogits, correct: as of `softmax_cross_entropy_forward`.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: alpha, temperature or a label out of range.
    Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network" (2015),
        section 2; T^2 keeps the gradient's size when T changes.
    """
    a, b, c, d = eager(
        DISTILLATION,
        (logits, labels, teacher),
        alpha=alpha,
        temperature=temperature,
        reduction=reduction,
    )
    return a, b, c, d
