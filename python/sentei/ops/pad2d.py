"""A border around images: what uneven padding of convolutions and pools is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, register
from sentei.ops.eager import eager
from sentei.ops.pool2d import same_channels
from sentei.tensor import ArrayLike

__all__ = ["PAD2D", "PAD2D_BACKWARD", "pad2d_backward", "pad2d_forward"]

Pads = tuple[int, int, int, int]


def _pads(op: str, attrs: Attrs) -> Pads:
    pads = tuple(attrs["pads"])
    if len(pads) != 4 or not all(isinstance(p, int) for p in pads):
        raise ValueError(f"{op}: pads must be (top, left, bottom, right), got {attrs['pads']!r}")
    return pads[0], pads[1], pads[2], pads[3]


def _shape(op: str, x: Spec, attrs: Attrs) -> tuple[int, ...]:
    return tuple(_core.pad2d_geometry(op, x.shape, _pads(op, attrs)))


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x = inputs[0]
    assert x is not None
    return (Spec(_shape("pad2d_forward", x, attrs)),)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    pads = _pads("pad2d_forward", attrs)
    _core.pad2d_forward(inputs[0], outputs[0], pads, bool(attrs.get("lowest", False)))


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    return (ctx.emit(PAD2D_BACKWARD, (dy[0], node.inputs[0]), pads=node.attrs["pads"]),)


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    top, left, bottom, right = _pads("pad2d_forward", node.attrs)
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    border = np.array(-np.inf if node.attrs.get("lowest") else 0, np.float32)
    given = ctx.constant(pads, f"{node.name}.pads"), ctx.constant(border, f"{node.name}.border")
    ctx.emit("Pad", (node.inputs[0], *given), node.outputs[0])


# The border of -infinity is for a maximum behind it, which takes a channel of zeros for one.
PAD2D = register(
    Op(
        name="pad2d",
        inputs=("x",),
        outputs=("y",),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=same_channels,
        to_onnx=_to_onnx,
    )
)


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    dy, x = inputs
    assert dy is not None and x is not None
    op = "pad2d_backward"
    y = _shape(op, x, attrs)
    if dy.shape != y:
        raise ShapeError(f"{op}: dy must have shape {y}, got {dy.shape}")
    return (Spec(x.shape),)


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.pad2d_backward(inputs[0], outputs[0], _pads("pad2d_backward", attrs))


PAD2D_BACKWARD = register(
    Op(
        name="pad2d_backward",
        inputs=("dy", "x"),
        outputs=("dx",),
        infer=_infer_backward,
        run=_run_backward,
        shape_only=("x",),
    )
)


def pad2d_forward(x: ArrayLike, pads: Pads, *, lowest: bool = False) -> Tensor:
    """Put a border around images.

    y[n, p, q, c] = x[n, p - top, q - left, c] within the image, else 0, or -infinity with `lowest`

    Args:
        x (Tensor (N, H, W, C), float32). pads: (top, left, bottom, right), at least 0.
        lowest: a border that never wins a maximum.
    Returns:
        Tensor (N, top + H + bottom, left + W + right, C), float32.
    Raises:
        ShapeError: x is not 4-d, or has no pixel. DTypeError: not float32. ValueError: pads.
    Cost: 8 bytes per element of x, 4 per element of the border.
    """
    return eager(PAD2D, (x,), pads=pads, lowest=lowest)[0]


def pad2d_backward(dy: ArrayLike, x_shape: Sequence[int], pads: Pads) -> Tensor:
    """Gradient of pad2d_forward: dy without its border.

    Args:
        dy (Tensor, shape of y, float32). x_shape: (N, H, W, C) of the forward input. pads: as there.
    Returns:
        dx (Tensor (N, H, W, C), float32).
    Raises:
        ShapeError: shapes do not fit. DTypeError: not float32. ValueError: pads.
    """
    return eager(PAD2D_BACKWARD, (dy, Spec(tuple(x_shape))), pads=pads)[0]
