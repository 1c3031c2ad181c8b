"""Cross-entropy of logits with integer labels: softmax over the classes, or a sigmoid per class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from sentei import _core
from sentei._core import Tensor
from sentei.errors import GraphError, ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, register
from sentei.ops.eager import eager
from sentei.ops.losses import LOSS_BACKWARD, is_mean
from sentei.tensor import ArrayLike

__all__ = [
    "SIGMOID_CROSS_ENTROPY",
    "SOFTMAX_CROSS_ENTROPY",
    "sigmoid_cross_entropy_forward",
    "softmax_cross_entropy_forward",
]


def _infer(name: str) -> Callable[[Sequence[Spec | None], Attrs], tuple[Spec, ...]]:
    def infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
        logits, labels = inputs
        assert logits is not None and labels is not None
        is_mean(f"{name}_forward", attrs)
        if len(logits.shape) != 2:
            raise ShapeError(f"{name}_forward: logits must have 2 axes, got shape {logits.shape}")
        if labels.shape != logits.shape[:1]:
            raise ShapeError(
                f"{name}_forward: labels must have shape {logits.shape[:1]}, got {labels.shape}"
            )
        return (Spec((1,)), Spec(logits.shape[:1]), Spec(logits.shape), Spec((1,), "int64"))

    return infer


def _run_softmax(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    mean = is_mean("softmax_cross_entropy_forward", attrs)
    loss, per_sample, dlogits, correct = outputs
    _core.softmax_cross_entropy_forward(
        inputs[0], inputs[1], loss, per_sample, dlogits, correct, mean
    )


def _run_sigmoid(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    mean = is_mean("sigmoid_cross_entropy_forward", attrs)
    loss, per_sample, dlogits, correct = outputs
    _core.sigmoid_cross_entropy_forward(
        inputs[0], inputs[1], loss, per_sample, dlogits, correct, mean
    )


def _backward(ctx: GradContext, node: Node, douts: Sequence[str | None]) -> Sequence[str | None]:
    if any(d is not None for d in douts[1:]):
        raise GraphError(f"{node.name}: only the output loss must be differentiated")
    if douts[0] is None or not ctx.needs(node.inputs[0]):
        return (None, None)
    reduction = node.attrs.get("reduction", "mean")
    return (ctx.emit(LOSS_BACKWARD, (node.outputs[2], douts[0]), reduction=reduction), None)


SOFTMAX_CROSS_ENTROPY = register(
    Op(
        name="softmax_cross_entropy",
        inputs=("logits", "labels"),
        outputs=("loss", "per_sample", "dlogits", "correct"),
        infer=_infer("softmax_cross_entropy"),
        run=_run_softmax,
        backward=_backward,
        zero_preserving=False,
        to_onnx="a loss is a part of training",
    )
)

SIGMOID_CROSS_ENTROPY = register(
    Op(
        name="sigmoid_cross_entropy",
        inputs=("logits", "labels"),
        outputs=("loss", "per_sample", "dlogits", "correct"),
        infer=_infer("sigmoid_cross_entropy"),
        run=_run_sigmoid,
        backward=_backward,
        zero_preserving=False,
        to_onnx="a loss is a part of training",
    )
)


def softmax_cross_entropy_forward(
    logits: ArrayLike, labels: ArrayLike, *, reduction: Literal["mean", "sum"] = "mean"
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compare logits with integer labels by softmax cross-entropy.

    loss_n = log sum_k exp(z_nk) - z_n,label;  dlogits_nk = softmax(z_n)_k - [k = label_n]

    Args:
        logits (Tensor, (N, K), float32): of any size, +-1e4 included.
        labels (Tensor, (N,), int64): classes in [0, K).
        reduction (str): loss is the "mean" or the "sum" over samples; 0 for N = 0.
    Returns:
        loss (1,) float32; per_sample (N,) float32; dlogits (N, K) float32, the gradient of each
        SAMPLE's own loss (not divided by N: `loss_backward` does that); correct (1,) int64, samples
        whose largest logit, the first of equals, is at the label. A NaN in a row makes its loss NaN.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: a label out of range; nothing is written.
        On cuda such a label makes its loss and its row of dlogits NaN instead.
    """
    a, b, c, d = eager(SOFTMAX_CROSS_ENTROPY, (logits, labels), reduction=reduction)
    return a, b, c, d


def sigmoid_cross_entropy_forward(
    logits: ArrayLike, labels: ArrayLike, *, reduction: Literal["mean", "sum"] = "mean"
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compare logits with integer labels by a sigmoid cross-entropy per class, summed over classes.

    loss_n = sum_k log(1 + exp(z_nk)) - z_n,label;  dlogits_nk = 1/(1 + exp(-z_nk)) - [k = label_n]

    Args:
        logits (Tensor, (N, K), float32): of any size, +-1e4 included.
        labels (Tensor, (N,), int64): classes in [0, K).
        reduction (str): loss is the "mean" or the "sum" over samples; 0 for N = 0.
    Returns:
        loss, per_sample, dlogits, correct: as of `softmax_cross_entropy_forward`.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: a label out of range; nothing is written.
        On cuda such a label makes its loss and its row of dlogits NaN instead.
    """
    a, b, c, d = eager(SIGMOID_CROSS_ENTROPY, (logits, labels), reduction=reduction)
    return a, b, c, d
