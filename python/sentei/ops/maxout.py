"""Maxout: the largest of k linear pieces per unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.ops.elementwise import runs
from sentei.tensor import ArrayLike

__all__ = ["MAXOUT", "MAXOUT_BACKWARD", "maxout_backward", "maxout_forward"]


def _pieces(op: str, attrs: Attrs) -> int:
    k = int(attrs["pieces"])
    if not 1 <= k <= 256:
        raise ValueError(f"{op}: pieces must be between 1 and 256, got {k}")
    return k


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    (x,) = inputs
    assert x is not None
    k = _pieces("maxout_forward", attrs)
    if not x.shape or x.shape[-1] % k:
        raise ShapeError(
            f"maxout_forward: x must have a last axis that is a multiple of {k}, got shape {x.shape}"
        )
    shape = (*x.shape[:-1], x.shape[-1] // k)
    return (Spec(shape), Spec(shape, "uint8"))


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    dy, index = inputs
    assert dy is not None and index is not None
    k = _pieces("maxout_backward", attrs)
    if index.shape != dy.shape:
        raise ShapeError(f"maxout_backward: index must have shape {dy.shape}, got {index.shape}")
    return (Spec((*dy.shape[:-1], dy.shape[-1] * k)),)


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    if dy[0] is None:
        return (None,)
    pieces = node.attrs["pieces"]
    return (ctx.emit(MAXOUT_BACKWARD, (dy[0], node.outputs[1]), pieces=pieces),)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    """Unit o of y with the k elements o k, ..., o k + k - 1 of x."""
    shape = outputs["y"].shape
    last, units, k = len(shape) - 1, shape[-1], int(attrs["pieces"])
    ia = np.arange(units * k, dtype=np.int64)
    ib = np.repeat(np.arange(units, dtype=np.int64), k)
    return [
        Tie(("x", last), ("y", last), ia, ib),
        Tie(("index", last), ("y", last)),
    ]


MAXOUT_BACKWARD = register(
    Op(
        name="maxout_backward",
        inputs=("dy", "index"),
        outputs=("dx",),
        infer=_infer_backward,
        run=runs(_core.maxout_backward, "pieces"),
    )
)


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    """Pieces on an axis of their own behind the units, then the largest along it."""
    x, k = node.inputs[0], int(node.attrs["pieces"])
    assert x is not None
    _, *pixels, channels = ctx.shape(x)
    shape = np.array([0, channels // k, k, *pixels], np.int64)  # 0: as many samples as there are
    pieces = ctx.emit("Reshape", (x, ctx.constant(shape, f"{node.name}.shape")))
    if ctx.opset >= 18:
        axes = ctx.constant(np.array([2], np.int64), f"{node.name}.axes")
        ctx.emit("ReduceMax", (pieces, axes), node.outputs[0], keepdims=0)
    else:
        ctx.emit("ReduceMax", (pieces,), node.outputs[0], axes=(2,), keepdims=0)


MAXOUT = register(
    Op(
        name="maxout",
        inputs=("x",),
        outputs=("y", "index"),
        infer=_infer,
        run=runs(_core.maxout_forward, "pieces"),
        backward=_backward,
        ties=_ties,
        to_onnx=_to_onnx,
    )
)


def maxout_forward(x: ArrayLike, *, pieces: int) -> tuple[Tensor, Tensor]:
    """Take the largest of the pieces of every unit; of equal ones the first.

    y_o = max_i x_{o k + i},  k = pieces

    Args:
        x (Tensor, (..., O k), float32): e.g. the output of a linear layer with w (O k, I).
        pieces (int, 1 to 256).
    Returns:
        y (Tensor, (..., O), float32), index (Tensor, (..., O), uint8): the piece that won.
    Raises:
        ShapeError: the last axis is no multiple of pieces. DTypeError. ValueError: pieces.
    Source: Goodfellow et al. 2013, "Maxout networks", section 2.
    """
    y, index = eager(MAXOUT, (x,), pieces=pieces)
    return y, index


def maxout_backward(dy: ArrayLike, index: ArrayLike, *, pieces: int) -> Tensor:
    """Return the gradient of maxout_forward: dy at the piece that won, 0 at the others.

    Args:
        dy (Tensor, (..., O), float32). index (Tensor, (..., O), uint8). pieces (int).
    Returns:
        dx (Tensor, (..., O k), float32).
    Raises:
        ShapeError: shapes differ. DTypeError. ValueError: pieces.
    """
    return eager(MAXOUT_BACKWARD, (dy, index), pieces=pieces)[0]
