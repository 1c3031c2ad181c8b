"""Parametric ReLU: leaky ReLU whose slope below 0 is learnt, one number per layer."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, register
from sentei.ops.eager import eager
from sentei.ops.elementwise import runs, tie_channels
from sentei.tensor import ArrayLike

__all__ = ["PRELU", "PRELU_BACKWARD", "prelu_backward", "prelu_forward"]


def _check(op: str, x: Spec | None, a: Spec | None) -> Spec:
    assert x is not None and a is not None
    if a.shape != (1,):
        raise ShapeError(f"{op}: a must have shape (1,), got {a.shape}")
    return x


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    return (Spec(_check("prelu_forward", *inputs).shape),)


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x, a, dy = inputs
    shape = _check("prelu_backward", x, a).shape
    assert dy is not None
    if dy.shape != shape:
        raise ShapeError(f"prelu_backward: dy must have shape {shape}, got {dy.shape}")
    return (Spec(shape), Spec((1,)))


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    x, a, dy = inputs
    _core.prelu_backward(x, a, dy, outputs[0], outputs[1], workspace)


def _workspace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    return max(8, _core.prelu_backward_workspace(outputs[0].size, device))


PRELU_BACKWARD = register(
    Op(
        name="prelu_backward",
        inputs=("x", "a", "dy"),
        outputs=("dx", "da"),
        infer=_infer_backward,
        run=_run_backward,
        workspace=_workspace,
    )
)


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    dx, da = ctx.emit(PRELU_BACKWARD, (*node.inputs, dy[0]))
    return (dx, da)


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    x, a = node.inputs
    assert a is not None
    ctx.emit("PRelu", (x, ctx.constant(ctx.array(a), a)), node.outputs[0])


PRELU = register(
    Op(
        name="prelu",
        inputs=("x", "a"),
        outputs=("y",),
        infer=_infer,
        run=runs(_core.prelu_forward),
        backward=_backward,
        ties=tie_channels,
        to_onnx=_to_onnx,
    )
)


def prelu_forward(x: ArrayLike, a: ArrayLike) -> Tensor:
    """Rectify with a learnt slope.

    y = x if x > 0 else a x

    Args:
        x (Tensor, any shape of at most four axes, float32). a (Tensor, (1,), float32).
    Returns:
        y (Tensor, shape of x, float32).
    Raises:
        ShapeError: a is not one number. DTypeError: not float32.
    Source: He et al. 2015, "Delving deep into rectifiers", eq. 1, channel-shared form.
    """
    return eager(PRELU, (x, a))[0]


def prelu_backward(x: ArrayLike, a: ArrayLike, dy: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return the gradients of prelu_forward.

    dx = dy if x > 0 else a dy;  da = sum of x dy over the elements with x <= 0

    Args:
        x, a: as given to prelu_forward. dy (Tensor, shape of x, float32).
    Returns:
        dx (Tensor, shape of x), da (Tensor, (1,)), float32.
    Raises:
        ShapeError: shapes do not fit. DTypeError: not float32.
    """
    dx, da = eager(PRELU_BACKWARD, (x, a, dy))
    return dx, da
