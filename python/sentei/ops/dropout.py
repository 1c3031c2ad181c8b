"""Dropout with a mask that is a pure function of (seed, stream, step, element): none is stored.

Element i of the tensor is kept where number i of the Philox stream (seed, stream, step) is below
`keep`: lane i mod 4 of counter i / 4, its upper 24 bits as a fraction. Forward, gradient and every
backend draw the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sentei import _core
from sentei._core import Tensor
from sentei.device import default_device
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, register
from sentei.ops.eager import eager
from sentei.ops.elementwise import Infer, like_first, runs, tie_channels
from sentei.tensor import ArrayLike, as_tensor

__all__ = [
    "DROPOUT",
    "DROPOUT_BACKWARD",
    "MASK_MULTIPLY",
    "SCALE",
    "dropout_backward",
    "dropout_forward",
    "dropout_mask",
    "mask_multiply_forward",
    "scale_forward",
]


def _infer(op: str) -> Infer:
    def infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
        x, rng = inputs
        assert x is not None and rng is not None
        if rng.shape != (2,):
            raise ShapeError(f"{op}: rng must have shape (2,), got {rng.shape}")
        return (Spec(x.shape),)

    return infer


DROPOUT_BACKWARD = register(
    Op(
        name="dropout_backward",
        inputs=("dy", "rng"),
        outputs=("dx",),
        infer=_infer("dropout_backward"),
        run=runs(_core.dropout_backward, "keep", "stream", "inverted"),
    )
)


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    attrs = {a: node.attrs[a] for a in ("keep", "stream", "inverted")}
    return (ctx.emit(DROPOUT_BACKWARD, (dy[0], node.inputs[1]), **attrs), None)


DROPOUT = register(
    Op(
        name="dropout",
        inputs=("x", "rng"),
        outputs=("y",),
        infer=_infer("dropout_forward"),
        run=runs(_core.dropout_forward, "keep", "stream", "inverted"),
        backward=_backward,
        ties=tie_channels,
        to_onnx="dropout is a part of training, passes.inference takes it out",
    )
)


def _scale_backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    return (ctx.emit(SCALE, (dy[0],), factor=node.attrs["factor"]),)


def _scale_to_onnx(ctx: OnnxContext, node: Node) -> None:
    factor = ctx.constant(np.array(node.attrs["factor"], np.float32), f"{node.name}.factor")
    ctx.emit("Mul", (node.inputs[0], factor), node.outputs[0])


SCALE = register(
    Op(
        name="scale",
        inputs=("x",),
        outputs=("y",),
        infer=like_first("scale_forward"),
        run=runs(_core.scale_forward, "factor"),
        backward=_scale_backward,
        ties=tie_channels,
        to_onnx=_scale_to_onnx,
    )
)


def _mask_backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    dx = ctx.emit(MASK_MULTIPLY, (dy[0], node.inputs[1]), factor=node.attrs["factor"])
    return (dx, None)


MASK_MULTIPLY = register(
    Op(
        name="mask_multiply",
        inputs=("x", "mask"),
        outputs=("y",),
        infer=like_first("mask_multiply_forward", "mask"),
        run=runs(_core.mask_multiply_forward, "factor"),
        backward=_mask_backward,
        ties=tie_channels,
        to_onnx="its mask is drawn for every batch of a training",
    )
)


def dropout_forward(
    x: ArrayLike, rng: ArrayLike, *, keep: float, stream: int, inverted: bool = False
) -> Tensor:
    """Drop elements at random.

    y = x mask, or x mask / keep when inverted; at inference x keep (scale_forward), resp. x

    Args:
        x (Tensor, any shape of at most four axes, float32).
        rng (Tensor, (2,), int64): seed and step, read when the op runs.
        keep (float, 0 < keep <= 1): probability to keep an element.
        stream (int, 0 <= stream < 2^32): number of the layer, so that layers differ.
    Returns:
        y (Tensor, shape of x, float32).
    Raises:
        ShapeError: rng is not (2,). DTypeError. ValueError: keep or stream out of range.
    Cost: 8 bytes per element.
    """
    return eager(DROPOUT, (x, rng), keep=keep, stream=stream, inverted=inverted)[0]


def dropout_backward(
    dy: ArrayLike, rng: ArrayLike, *, keep: float, stream: int, inverted: bool = False
) -> Tensor:
    """Return the gradient of dropout_forward: the same mask, drawn again, on dy.

    Args:
        dy (Tensor, shape of x, float32). rng, keep, stream, inverted: as given forward.
    Returns:
        dx (Tensor, shape of dy, float32).
    Raises:
        As dropout_forward.
    """
    return eager(DROPOUT_BACKWARD, (dy, rng), keep=keep, stream=stream, inverted=inverted)[0]


def dropout_mask(shape: Sequence[int], rng: ArrayLike, *, keep: float, stream: int) -> Tensor:
    """Return the mask of dropout_forward: float32, 1 where kept, else 0.

    Args:
        shape (sequence of int): of the tensor that is masked. rng, keep, stream: as there.
    Returns:
        Tensor of that shape.
    Raises:
        As dropout_forward.
    """
    state = as_tensor(rng, "dropout_mask: rng")
    if not isinstance(rng, Tensor):
        state = state.to(default_device())
    mask = Tensor.empty(tuple(shape), device=state.device)
    _core.dropout_mask(state, mask, keep, stream)
    return mask


def scale_forward(x: ArrayLike, *, factor: float) -> Tensor:
    """Multiply by a constant: y = x factor (dropout at inference, with factor = keep).

    Args:
        x (Tensor, any shape of at most four axes, float32). factor (float, finite).
    Returns:
        y (Tensor, shape of x, float32).
    Raises:
        DTypeError: not float32. ValueError: factor is not finite.
    """
    return eager(SCALE, (x,), factor=factor)[0]


def mask_multiply_forward(x: ArrayLike, mask: ArrayLike, *, factor: float = 1.0) -> Tensor:
    """Multiply by a given mask: y = x mask factor. The mask gets no gradient.

    Args:
        x (Tensor, any shape of at most four axes, float32). mask (Tensor, shape of x, float32).
        factor (float, finite).
    Returns:
        y (Tensor, shape of x, float32).
    Raises:
        ShapeError: shapes differ. DTypeError: not float32. ValueError: factor is not finite.
    """
    return eager(MASK_MULTIPLY, (x, mask), factor=factor)[0]
