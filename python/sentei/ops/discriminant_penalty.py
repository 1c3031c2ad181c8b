"""Discriminant regularisation of logits: variance within the classes over the whole variance."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, register
from sentei.ops.eager import eager
from sentei.ops.elementwise import no_ties
from sentei.tensor import ArrayLike

__all__ = [
    "DISCRIMINANT_PENALTY",
    "DISCRIMINANT_PENALTY_BACKWARD",
    "discriminant_penalty_backward",
    "discriminant_penalty_forward",
]


def _check(op: str, y: Spec | None, labels: Spec | None) -> Spec:
    assert y is not None and labels is not None
    if len(y.shape) != 2:
        raise ShapeError(f"{op}: y must have 2 axes, got shape {y.shape}")
    if labels.shape != y.shape[:1]:
        raise ShapeError(f"{op}: labels must have shape {y.shape[:1]}, got {labels.shape}")
    return y


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    classes = _check("discriminant_penalty_forward", *inputs).shape[1:]
    return (Spec((1,)), Spec(classes), Spec(classes), Spec(classes))


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    return (Spec(_check("discriminant_penalty_backward", inputs[0], inputs[1]).shape),)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    y, labels = inputs
    value, within, total, ratio = outputs
    _core.discriminant_penalty_forward(
        y, labels, value, within, total, ratio, attrs["lam"], workspace
    )


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    y, labels, dvalue = inputs
    _core.discriminant_penalty_backward(y, labels, dvalue, outputs[0], attrs["lam"], workspace)


def _workspace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    y = inputs[0]
    assert y is not None
    return max(8, _core.discriminant_penalty_workspace(y.shape[1]))


DISCRIMINANT_PENALTY_BACKWARD = register(
    Op(
        name="discriminant_penalty_backward",
        inputs=("y", "labels", "dvalue"),
        outputs=("dy",),
        infer=_infer_backward,
        run=_run_backward,
        workspace=_workspace,
    )
)


def _backward(ctx: GradContext, node: Node, douts: Sequence[str | None]) -> Sequence[str | None]:
    if douts[0] is None:  # W, T and ratio are for reports: no gradient flows through them
        return (None, None)
    y, labels = node.inputs
    inputs = (y, labels, douts[0])
    return (ctx.emit(DISCRIMINANT_PENALTY_BACKWARD, inputs, lam=node.attrs["lam"]), None)


DISCRIMINANT_PENALTY = register(
    Op(
        name="discriminant_penalty",
        inputs=("y", "labels"),
        outputs=("value", "W", "T", "ratio"),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=no_ties,
        workspace=_workspace,
        zero_preserving=False,
        to_onnx="a penalty is a part of training",
    )
)


def discriminant_penalty_forward(
    y: ArrayLike, labels: ArrayLike, *, lam: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Measure how badly each output separates its class from the rest.

    W_k = mean of (y - m)^2, m the mean of class k for its samples, of the rest for the others;
    T_k = mean of (y - mu)^2;  value = lam sum_k W_k / T_k

    A class that is absent or alone, and a column with T_k <= 1e-12 max(1, mu^2), has ratio 1 and no
    gradient; W and T of such a constant column are given as 0.

    Args:
        y (Tensor, (N, K), float32): logits. labels (Tensor, (N,), int64, 0 <= label < K).
        lam (float, >= 0).
    Returns:
        value (Tensor, (1,)), W, T, ratio (Tensor, (K,)), float32. 1 - ratio is the criterion.
    Raises:
        ShapeError, DTypeError. ValueError: a label out of range, lam.
        On cuda such a label makes everything NaN instead.
    Source: the thesis on feature maps, eq. 3.14 to 3.16.
    """
    value, within, total, ratio = eager(DISCRIMINANT_PENALTY, (y, labels), lam=lam)
    return value, within, total, ratio


def discriminant_penalty_backward(
    y: ArrayLike, labels: ArrayLike, dvalue: ArrayLike, *, lam: float
) -> Tensor:
    """Return the gradient of discriminant_penalty_forward.

    dy = dvalue lam 2 / (N T_k) [(y - m) - (W_k / T_k) (y - mu)]

    Args:
        y, labels, lam: as given forward. dvalue (Tensor, (1,), float32).
    Returns:
        dy (Tensor, (N, K), float32).
    Raises:
        As discriminant_penalty_forward; ShapeError: dvalue is not (1,).
    """
    return eager(DISCRIMINANT_PENALTY_BACKWARD, (y, labels, dvalue), lam=lam)[0]
