"""Flatten images to rows and back: the same bytes under another shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = ["FLATTEN", "RESHAPE_LIKE", "flatten_forward"]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x = inputs[0]
    assert x is not None
    if len(x.shape) < 2:
        raise ShapeError(f"flatten_forward: x must have at least two axes, got shape {x.shape}")
    return (Spec((x.shape[0], prod(x.shape[1:])), x.dtype),)


def _never(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    raise AssertionError("an alias has nothing to run")


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    return (ctx.emit(RESHAPE_LIKE, (dy[0], node.inputs[0])),)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    """Channel c is element p C + c of the row, for every pixel p."""
    shape = inputs["x"].shape
    pixels, c = prod(shape[1:-1]), shape[-1]
    channel = np.tile(np.arange(c, dtype=np.int64), pixels)
    return [Tie(("x", len(shape) - 1), ("y", 1), channel, np.arange(pixels * c, dtype=np.int64))]


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    """Rows of (C, H, W) where the layers behind follow; else the image is turned to our order first."""
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    shape = ctx.shape(x)
    if len(shape) == 4 and min(prod(shape[1:3]), shape[3]) > 1 and ctx.order(y) is None:
        x = ctx.emit("Transpose", (x,), perm=(0, 2, 3, 1))
    ctx.emit("Flatten", (x,), y, axis=1)


FLATTEN = register(
    Op(
        name="flatten",
        inputs=("x",),
        outputs=("y",),
        infer=_infer,
        run=_never,
        backward=_backward,
        ties=_ties,
        to_onnx=_to_onnx,
        alias="x",
    )
)


def _infer_reshape(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x, like = inputs
    assert x is not None and like is not None
    if x.size != like.size:
        raise ShapeError(
            f"reshape_like: like must have {x.size} elements as x {x.shape}, got shape {like.shape}"
        )
    return (Spec(like.shape, x.dtype),)


def _backward_reshape(
    ctx: GradContext, node: Node, dy: Sequence[str | None]
) -> Sequence[str | None]:
    return (ctx.emit(RESHAPE_LIKE, (dy[0], node.inputs[0])), None)


RESHAPE_LIKE = register(
    Op(
        name="reshape_like",
        inputs=("x", "like"),
        outputs=("y",),
        infer=_infer_reshape,
        run=_never,
        backward=_backward_reshape,
        shape_only=("like",),
        alias="x",
    )
)


def flatten_forward(x: ArrayLike) -> Tensor:
    """View (N, H, W, C) as (N, H W C), in the order rows, columns, channels; nothing is copied.

    y[n, (h W + w) C + c] = x[n, h, w, c]

    Args:
        x (Tensor (N, ...), any dtype): at least two axes.
    Returns:
        Tensor (N, product of the others) on the memory of x.
    Raises:
        ShapeError: fewer than two axes.
    """
    return eager(FLATTEN, (x,))[0]
