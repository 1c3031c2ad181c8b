"""Average pooling of images, over windows and over the whole image."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, register
from sentei.ops.eager import eager
from sentei.ops.pool2d import Size, pool2d_shape, pool_attrs, same_channels, window_of
from sentei.tensor import ArrayLike

__all__ = [
    "AVG_POOL2D",
    "AVG_POOL2D_BACKWARD",
    "GLOBAL_AVG_POOL",
    "GLOBAL_AVG_POOL_BACKWARD",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "global_avg_pool_backward",
    "global_avg_pool_forward",
]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x = inputs[0]
    assert x is not None
    op = "avg_pool2d_forward"
    return (Spec(pool2d_shape(op, x, window_of(op, attrs))),)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    w = window_of("avg_pool2d_forward", attrs)
    _core.avg_pool2d_forward(inputs[0], outputs[0], w.kernel, w.stride)


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    return (ctx.emit(AVG_POOL2D_BACKWARD, (dy[0], node.inputs[0]), **node.attrs),)


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    w = window_of("avg_pool2d_forward", node.attrs)
    ctx.emit("AveragePool", node.inputs, node.outputs[0], kernel_shape=w.kernel, strides=w.stride)


def _global_to_onnx(ctx: OnnxContext, node: Node) -> None:
    ctx.emit("GlobalAveragePool", node.inputs, node.outputs[0])


AVG_POOL2D = register(
    Op(
        name="avg_pool2d",
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
    op = "avg_pool2d_backward"
    y = pool2d_shape(op, x, window_of(op, attrs))
    if dy.shape != y:
        raise ShapeError(f"{op}: dy must have shape {y}, got {dy.shape}")
    return (Spec(x.shape),)


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    w = window_of("avg_pool2d_backward", attrs)
    _core.avg_pool2d_backward(inputs[0], outputs[0], w.kernel, w.stride)


AVG_POOL2D_BACKWARD = register(
    Op(
        name="avg_pool2d_backward",
        inputs=("dy", "x"),
        outputs=("dx",),
        infer=_infer_backward,
        run=_run_backward,
        shape_only=("x",),
    )
)


def _global_shape(op: str, x: Spec) -> tuple[int, ...]:
    if len(x.shape) != 4 or x.shape[1] < 1 or x.shape[2] < 1:
        raise ShapeError(
            f"{op}: x must have shape (N, H, W, C) with at least one pixel, got {x.shape}"
        )
    return (x.shape[0], 1, 1, x.shape[3])


def _infer_global(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x = inputs[0]
    assert x is not None
    return (Spec(_global_shape("global_avg_pool_forward", x)),)


def _run_global(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.global_avg_pool_forward(inputs[0], outputs[0])


def _backward_global(
    ctx: GradContext, node: Node, dy: Sequence[str | None]
) -> Sequence[str | None]:
    return (ctx.emit(GLOBAL_AVG_POOL_BACKWARD, (dy[0], node.inputs[0])),)


GLOBAL_AVG_POOL = register(
    Op(
        name="global_avg_pool",
        inputs=("x",),
        outputs=("y",),
        infer=_infer_global,
        run=_run_global,
        backward=_backward_global,
        ties=same_channels,
        to_onnx=_global_to_onnx,
    )
)


def _infer_global_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    dy, x = inputs
    assert dy is not None and x is not None
    op = "global_avg_pool_backward"
    y = _global_shape(op, x)
    if dy.shape != y:
        raise ShapeError(f"{op}: dy must have shape {y}, got {dy.shape}")
    return (Spec(x.shape),)


def _run_global_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.global_avg_pool_backward(inputs[0], outputs[0])


GLOBAL_AVG_POOL_BACKWARD = register(
    Op(
        name="global_avg_pool_backward",
        inputs=("dy", "x"),
        outputs=("dx",),
        infer=_infer_global_backward,
        run=_run_global_backward,
        shape_only=("x",),
    )
)


def avg_pool2d_forward(x: ArrayLike, kernel: Size, stride: Size | None = None) -> Tensor:
    """Average each window; only whole windows, no padding.

    y[n, p, q, c] = (1 / (kh kw)) sum over (r, s) of x[n, p sh + r, q sw + s, c]

    Args:
        x (Tensor (N, H, W, C), float32).
        kernel, stride (int or (rows, columns)): stride is the kernel if None.
    Returns:
        Tensor (N, P, Q, C), float32, P = floor((H - kh) / sh) + 1.
    Raises:
        ShapeError: x is not 4-d, or smaller than the window. DTypeError: not float32. ValueError: sizes.
    Cost: 4 bytes per input element, 4 per output element.
    """
    return eager(AVG_POOL2D, (x,), **pool_attrs("avg_pool2d_forward", kernel, stride))[0]


def avg_pool2d_backward(
    dy: ArrayLike, x_shape: Sequence[int], kernel: Size, stride: Size | None = None
) -> Tensor:
    """Gradient of avg_pool2d_forward: each element gets dy / (kh kw) of every window that holds it.

    Args:
        dy (Tensor (N, P, Q, C), float32). x_shape: (N, H, W, C) of the forward input.
        kernel, stride: as in the forward call.
    Returns:
        dx (Tensor (N, H, W, C), float32).
    Raises:
        ShapeError: shapes do not fit. DTypeError: not float32. ValueError: sizes.
    """
    op = "avg_pool2d_backward"
    return eager(AVG_POOL2D_BACKWARD, (dy, Spec(tuple(x_shape))), **pool_attrs(op, kernel, stride))[
        0
    ]


def global_avg_pool_forward(x: ArrayLike) -> Tensor:
    """Average each channel over the image.

    y[n, 0, 0, c] = (1 / (H W)) sum over (h, w) of x[n, h, w, c]

    Args:
        x (Tensor (N, H, W, C), float32): at least one pixel.
    Returns:
        Tensor (N, 1, 1, C), float32.
    Raises:
        ShapeError: x is not 4-d or has no pixel. DTypeError: not float32.
    """
    return eager(GLOBAL_AVG_POOL, (x,))[0]


def global_avg_pool_backward(dy: ArrayLike, x_shape: Sequence[int]) -> Tensor:
    """Gradient of global_avg_pool_forward: dx[n, h, w, c] = dy[n, 0, 0, c] / (H W).

    Args:
        dy (Tensor (N, 1, 1, C), float32). x_shape: (N, H, W, C) of the forward input.
    Returns:
        dx (Tensor (N, H, W, C), float32).
    Raises:
        ShapeError: shapes do not fit. DTypeError: not float32.
    """
    return eager(GLOBAL_AVG_POOL_BACKWARD, (dy, Spec(tuple(x_shape))))[0]
