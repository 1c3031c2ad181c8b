"""Two-dimensional convolution in NHWC: forward and the gradients of input, filters and bias.

Groups need no attribute: they follow from the shapes, G = C / (channels of one filter). So a grouped
or depthwise convolution stays consistent when channels are pruned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, Tie, register
from sentei.ops.activations import RELU_BACKWARD
from sentei.ops.bias import BIAS_BACKWARD
from sentei.ops.eager import eager
from sentei.ops.elementwise import onnx_with_relu
from sentei.ops.precision import precision_of
from sentei.tensor import ArrayLike

__all__ = [
    "CONV2D",
    "CONV2D_BACKWARD_INPUT",
    "CONV2D_BACKWARD_WEIGHT",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
]

Pair = tuple[int, int]
Specs = Sequence[Spec | None]
Tensors = Sequence[Tensor | None]


def window(attrs: Attrs) -> tuple[Pair, Pair, Pair]:
    """Stride, padding and dilation."""
    return attrs["stride"], attrs["padding"], attrs["dilation"]


def _infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    x, w, b = inputs
    assert x is not None and w is not None
    y = _core.conv2d_geometry(x.shape, w.shape, *window(attrs))
    if b is not None and b.shape != (w.shape[0],):
        raise ShapeError(f"conv2d: b must have shape ({w.shape[0]},), got {b.shape}")
    return (Spec(y),)


def _run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    x, w, b = inputs
    relu = bool(attrs.get("relu", False))
    _core.conv2d_forward(x, w, b, outputs[0], ws, *window(attrs), relu, precision_of(attrs))


def _workspace(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs, device: str) -> int:
    x, w = inputs[:2]
    assert x is not None and w is not None
    return _core.conv2d_workspace(
        "forward", x.shape, w.shape, *window(attrs), precision_of(attrs), device
    )


def _backward(ctx: GradContext, node: Node, dout: Sequence[str | None]) -> Sequence[str | None]:
    x, w, b = node.inputs
    modes = {k: node.attrs[k] for k in ("stride", "padding", "dilation")}
    dy = dout[0]
    if node.attrs.get("relu") and dy is not None:
        dy = ctx.emit(RELU_BACKWARD, (node.outputs[0], dy))
    dx = ctx.emit(CONV2D_BACKWARD_INPUT, (dy, w, x), **modes) if ctx.needs(x) else None
    dw = ctx.emit(CONV2D_BACKWARD_WEIGHT, (x, dy, w), **modes) if ctx.needs(w) else None
    db = ctx.emit(BIAS_BACKWARD, (dy,)) if ctx.needs(b) else None
    return (dx, dw, db)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    filters, _, _, group_channels = inputs["w"].shape
    channels = inputs["x"].shape[3]
    groups = channels // group_channels
    ties = [Tie(("w", 0), ("y", 3)), Tie(("b", 0), ("y", 3))]
    if groups == 1:
        return [*ties, Tie(("w", 3), ("x", 3))]
    group_filters = filters // groups
    if group_channels == 1:  # depthwise: a channel takes its own filters with it
        y = np.arange(filters)
        return [*ties, Tie(("x", 3), ("y", 3), y // group_filters, y)]
    # Every group loses the same positions, or the groups would no longer be even.
    x, y = np.arange(channels), np.arange(filters)
    ties.append(Tie(("w", 3), ("x", 3), x % group_channels, x))
    ties.append(Tie(("y", 3), ("y", 3), y % group_filters, y))
    return ties


def _flops(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs) -> int:
    w = inputs[1]
    assert w is not None
    n, p, q, k = outputs[0].shape
    return 2 * n * p * q * k * w.shape[1] * w.shape[2] * w.shape[3]


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    x, w, b = node.inputs
    assert x is not None and w is not None
    stride, (top, left), dilation = window(node.attrs)
    filters = ctx.array(w)
    onnx_with_relu(
        ctx,
        node,
        "Conv",
        (x, ctx.constant(filters.transpose(0, 3, 1, 2), w), b and ctx.constant(ctx.array(b), b)),
        kernel_shape=filters.shape[1:3],
        strides=stride,
        pads=(top, left, top, left),
        dilations=dilation,
        group=ctx.shape(x)[3] // filters.shape[3],
    )


CONV2D = register(
    Op(
        name="conv2d",
        inputs=("x", "w", "b?"),
        outputs=("y",),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=_ties,
        flops=_flops,
        to_onnx=_to_onnx,
        workspace=_workspace,
    )
)


# -- gradient of the input: inputs (dy, w, x), of x only the shape ------------------------------
def _dx_infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    dy, w, x = inputs
    assert dy is not None and w is not None and x is not None
    y = _core.conv2d_geometry(x.shape, w.shape, *window(attrs))
    if dy.shape != y:
        raise ShapeError(f"conv2d_backward_input: dy must have shape {y}, got {dy.shape}")
    return (Spec(x.shape),)


def _dx_run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    _core.conv2d_backward_input(
        inputs[0], inputs[1], outputs[0], ws, *window(attrs), precision_of(attrs)
    )


def _dx_workspace(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs, device: str) -> int:
    w, x = inputs[1:]
    assert x is not None and w is not None
    return _core.conv2d_workspace(
        "backward_input", x.shape, w.shape, *window(attrs), precision_of(attrs), device
    )


def _dx_flops(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs) -> int:
    dy, w = inputs[:2]
    assert dy is not None and w is not None
    return 2 * dy.size * w.shape[1] * w.shape[2] * w.shape[3]


CONV2D_BACKWARD_INPUT = register(
    Op(
        name="conv2d_backward_input",
        inputs=("dy", "w", "x"),
        outputs=("dx",),
        infer=_dx_infer,
        run=_dx_run,
        flops=_dx_flops,
        shape_only=("x",),
        workspace=_dx_workspace,
    )
)


# -- gradient of the filters: inputs (x, dy, w), of w only the shape ----------------------------
def _dw_infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    x, dy, w = inputs
    assert dy is not None and w is not None and x is not None
    y = _core.conv2d_geometry(x.shape, w.shape, *window(attrs))
    if dy.shape != y:
        raise ShapeError(f"conv2d_backward_weight: dy must have shape {y}, got {dy.shape}")
    return (Spec(w.shape),)


def _dw_run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    _core.conv2d_backward_weight(
        inputs[0], inputs[1], outputs[0], ws, *window(attrs), precision_of(attrs)
    )


def _dw_workspace(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs, device: str) -> int:
    x = inputs[0]
    assert x is not None
    return _core.conv2d_workspace(
        "backward_weight", x.shape, outputs[0].shape, *window(attrs), precision_of(attrs), device
    )


def _dw_flops(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs) -> int:
    dy = inputs[1]
    assert dy is not None
    _, r, s, c = outputs[0].shape
    return 2 * dy.size * r * s * c


CONV2D_BACKWARD_WEIGHT = register(
    Op(
        name="conv2d_backward_weight",
        inputs=("x", "dy", "w"),
        outputs=("dw",),
        infer=_dw_infer,
        run=_dw_run,
        flops=_dw_flops,
        shape_only=("w",),
        workspace=_dw_workspace,
    )
)


def _pair(x: int | Pair) -> Pair:
    return (x, x) if isinstance(x, int) else (int(x[0]), int(x[1]))


def conv_attrs(
    stride: int | Pair, padding: int | Pair, dilation: int | Pair, precision: str
) -> dict[str, Any]:
    """Attributes of the ops of this file, as their eager functions take them."""
    pairs = {"stride": stride, "padding": padding, "dilation": dilation}
    return {**{k: _pair(v) for k, v in pairs.items()}, "precision": precision}


def conv2d_forward(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    relu: bool = False,
    precision: str = "float32",
) -> Tensor:
    """Convolve a batch of images with K filters (cross-correlation, zero padding).

    y[n,p,q,k] = b[k] + sum_{r,s,c} x[n, p sh + r dh - ph, q sw + s dw - pw, c] w[k,r,s,c]

    Args:
        x (Tensor, (N, H, W, C), float32): input activations.
        w (Tensor, (K, R, S, C/G), float32): filters; G groups follow from the shapes.
        b (Tensor, (K,), float32, optional): bias.
        stride, padding, dilation (int or (rows, columns), pixels).
        relu: replace negative outputs by 0 in the store.
        precision: how products are computed (sentei.passes.precision).
    Returns:
        Tensor (N, P, Q, K); P = (H + 2 ph - dh (R - 1) - 1) // sh + 1, Q likewise.
    Raises:
        ShapeError: channels do not match, or the window does not fit. DTypeError: not float32.
    Cost: 2 N P Q K R S C/G FLOPs; padding is not multiplied.
    Source: Dumoulin & Visin 2016, arXiv:1603.07285.
    """
    attrs = conv_attrs(stride, padding, dilation, precision)
    return eager(CONV2D, (x, w, b), **attrs, relu=relu)[0]


def conv2d_backward_input(
    dy: ArrayLike,
    w: ArrayLike,
    x: ArrayLike,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    precision: str = "float32",
) -> Tensor:
    """Gradient of sum(dy * y) with respect to x; of x only the shape (N, H, W, C) is used.

    Args and Raises as conv2d_forward; dy (Tensor, (N, P, Q, K), float32).
    Returns:
        Tensor (N, H, W, C).
    """
    attrs = conv_attrs(stride, padding, dilation, precision)
    return eager(CONV2D_BACKWARD_INPUT, (dy, w, x), **attrs)[0]


def conv2d_backward_weight(
    x: ArrayLike,
    dy: ArrayLike,
    w: ArrayLike,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    precision: str = "float32",
) -> Tensor:
    """Gradient of sum(dy * y) with respect to w; of w only the shape (K, R, S, C/G) is used.

    Args and Raises as conv2d_forward; dy (Tensor, (N, P, Q, K), float32).
    Returns:
        Tensor (K, R, S, C/G); the same bits for any number of threads.
    """
    attrs = conv_attrs(stride, padding, dilation, precision)
    return eager(CONV2D_BACKWARD_WEIGHT, (x, dy, w), **attrs)[0]
