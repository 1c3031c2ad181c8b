"""Softmax over the last axis."""

from __future__ import annotations

from sentei import _core
from sentei._core import Tensor
from sentei.graph import Node, OnnxContext, Op, register
from sentei.ops.eager import eager
from sentei.ops.elementwise import backward_through, like_first, runs, tie_channels
from sentei.tensor import ArrayLike

__all__ = ["SOFTMAX", "SOFTMAX_BACKWARD", "softmax_backward", "softmax_forward"]

SOFTMAX_BACKWARD = register(
    Op(
        name="softmax_backward",
        inputs=("y", "dy"),
        outputs=("dx",),
        infer=like_first("softmax_backward", "dy"),
        run=runs(_core.softmax_backward),
    )
)


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    ctx.emit("Softmax", node.inputs, node.outputs[0], axis=1)


# Channel c of y ends with channel c of x, but every other y changes too when it goes: a channel of
# zeros is not a channel left out, which is what zero_preserving=False says.
SOFTMAX = register(
    Op(
        name="softmax",
        inputs=("x",),
        outputs=("y",),
        infer=like_first("softmax_forward"),
        run=runs(_core.softmax_forward),
        backward=backward_through(SOFTMAX_BACKWARD, "y"),
        ties=tie_channels,
        to_onnx=_to_onnx,
        zero_preserving=False,
    )
)


def softmax_forward(x: ArrayLike) -> Tensor:
    """Turn scores into probabilities along the last axis.

    y_k = exp(x_k - max x) / sum_j exp(x_j - max x)

    Args:
        x (Tensor, (..., K), float32).
    Returns:
        y (Tensor, shape of x, float32); rows sum to 1. A row with a NaN is NaN.
    Raises:
        DTypeError: not float32.
    """
    return eager(SOFTMAX, (x,))[0]


def softmax_backward(y: ArrayLike, dy: ArrayLike) -> Tensor:
    """Return the gradient of softmax_forward: dx = y (dy - sum y dy).

    Args:
        y (Tensor, (..., K), float32): output of softmax_forward. dy (Tensor, shape of y, float32).
    Returns:
        dx (Tensor, shape of y, float32).
    Raises:
        ShapeError: shapes differ. DTypeError: not float32.
    """
    return eager(SOFTMAX_BACKWARD, (y, dy))[0]
