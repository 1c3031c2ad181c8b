"""Losses on outputs and targets of one shape, and the step from a sample's gradient to the batch's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sentei import _core
from sentei._core import Tensor
from sentei.errors import GraphError, ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = [
    "ELEMENTWISE_LOSS",
    "LOSS_BACKWARD",
    "LossKind",
    "elementwise_loss_forward",
    "is_mean",
    "loss_backward",
]

LossKind = Literal[
    "squared",
    "binary_ce",
    "binary_ce_logits",
    "categorical_ce",
    "logistic",
    "exponential",
    "hinge",
    "quantile",
    "huber",
    "eps_insensitive",
]


def is_mean(op: str, attrs: Attrs) -> bool:
    """Whether the attribute `reduction` (default "mean") asks for the mean; ValueError if not a word."""
    reduction = attrs.get("reduction", "mean")
    if reduction not in ("mean", "sum"):
        raise ValueError(f"{op}: reduction must be 'mean' or 'sum', got {reduction!r}")
    return bool(reduction == "mean")


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    y, t = inputs
    assert y is not None and t is not None
    is_mean("elementwise_loss_forward", attrs)
    if not y.shape:
        raise ShapeError("elementwise_loss_forward: y must have an axis of samples, got shape ()")
    if t.shape != y.shape:
        raise ShapeError(f"elementwise_loss_forward: t must have shape {y.shape}, got {t.shape}")
    return (Spec((1,)), Spec(y.shape[:1]), Spec(y.shape))


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    mean = is_mean("elementwise_loss_forward", attrs)
    loss, per_sample, grad = outputs
    kind, parameter = str(attrs["kind"]), float(attrs.get("parameter", 0.0))
    _core.elementwise_loss_forward(
        inputs[0], inputs[1], loss, per_sample, grad, kind, parameter, mean
    )


def _backward(ctx: GradContext, node: Node, douts: Sequence[str | None]) -> Sequence[str | None]:
    if any(d is not None for d in douts[1:]):
        raise GraphError(f"{node.name}: only the output loss must be differentiated")
    if ctx.needs(node.inputs[1]):
        raise GraphError(f"{node.name}: the targets t must not depend on parameters")
    if douts[0] is None or not ctx.needs(node.inputs[0]):
        return (None, None)
    reduction = node.attrs.get("reduction", "mean")
    return (ctx.emit(LOSS_BACKWARD, (node.outputs[2], douts[0]), reduction=reduction), None)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    last = len(inputs["y"].shape) - 1
    return [Tie(("y", last), ("t", last)), Tie(("y", last), ("grad", last))] if last else []


ELEMENTWISE_LOSS = register(
    Op(
        name="elementwise_loss",
        inputs=("y", "t"),
        outputs=("loss", "per_sample", "grad"),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=_ties,
        zero_preserving=False,
        to_onnx="a loss is a part of training",
    )
)


def elementwise_loss_forward(
    y: ArrayLike,
    t: ArrayLike,
    *,
    kind: LossKind,
    parameter: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean",
) -> tuple[Tensor, Tensor, Tensor]:
    """Compare outputs y with targets t element by element; sums over outputs, mean over samples.

    squared (y-t)^2/2; binary_ce -t ln y - (1-t) ln(1-y); binary_ce_logits ln(1+exp(y)) - t y;
    categorical_ce -t ln y; logistic ln(1+exp(-t y)), exponential exp(-t y), hinge max(1-t y, 0) with
    t in {-1, 1}; quantile (1-tau) max(y-t, 0) + tau max(t-y, 0); huber (t-y)^2 up to |t-y| = delta,
    then 2 delta (|t-y| - delta/2); eps_insensitive max(|t-y| - eps, 0). Probabilities are kept within
    [1e-7, 1 - 1e-7]; at a kink, and on or beyond those bounds, the gradient is 0.

    Args:
        y, t (Tensor, (N, ...), float32).
        kind (str): as above. parameter (float): tau in [0, 1], delta > 0 or eps >= 0; else 0.
        reduction (str): loss is the "mean" or the "sum" over samples; 0 for N = 0.
    Returns:
        loss (1,); per_sample (N,); grad (N, ...): gradient of each SAMPLE's own loss in y (not
        divided by N: `loss_backward` does that). All float32.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: kind, parameter, reduction.
    Source:
        B, list of losses; huber is twice the usual one (B eq. 34).
    """
    a, b, c = eager(ELEMENTWISE_LOSS, (y, t), kind=kind, parameter=parameter, reduction=reduction)
    return a, b, c


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    grad, dloss = inputs
    assert grad is not None and dloss is not None
    is_mean("loss_backward", attrs)
    if dloss.shape != (1,):
        raise ShapeError(f"loss_backward: dloss must have shape (1,), got {dloss.shape}")
    return (Spec(grad.shape),)


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.loss_backward(inputs[0], inputs[1], outputs[0], is_mean("loss_backward", attrs))


def _ties_backward(
    inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs
) -> list[Tie]:
    last = len(inputs["grad"].shape) - 1
    return [Tie(("grad", last), ("dx", last))] if last else []


LOSS_BACKWARD = register(
    Op(
        name="loss_backward",
        inputs=("grad", "dloss"),
        outputs=("dx",),
        infer=_infer_backward,
        run=_run_backward,
        ties=_ties_backward,
    )
)


def loss_backward(
    grad: ArrayLike, dloss: ArrayLike, *, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """Turn the gradients of the samples' own losses into that of the batch's loss.

    dx = grad dloss / N; with reduction "sum": dx = grad dloss

    Args:
        grad (Tensor, (N, ...), float32): dlogits or grad of a loss.
        dloss (Tensor, (1,), float32): gradient of what is minimised in this loss, usually 1.
        reduction (str): that of the loss.
    Returns:
        Tensor, as grad.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: reduction.
    """
    return eager(LOSS_BACKWARD, (grad, dloss), reduction=reduction)[0]
