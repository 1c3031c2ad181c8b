"""Max pooling of images."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, register
from sentei.ops.eager import eager
from sentei.ops.pool2d import Size, pool2d_shape, pool_attrs, same_channels, window_of
from sentei.tensor import ArrayLike

__all__ = ["MAX_POOL2D", "MAX_POOL2D_BACKWARD", "max_pool2d_backward", "max_pool2d_forward"]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x = inputs[0]
    assert x is not None
    op = "max_pool2d_forward"
    y = pool2d_shape(op, x, window_of(op, attrs))
    return (Spec(y), Spec(y, "uint8"))


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    w = window_of("max_pool2d_forward", attrs)
    _core.max_pool2d_forward(inputs[0], outputs[0], outputs[1], *w)


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    if dy[0] is None:  # only the index was used, which carries no gradient
        return (None,)
    return (ctx.emit(MAX_POOL2D_BACKWARD, (dy[0], node.outputs[1], node.inputs[0]), **node.attrs),)


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    """Windows that stick out are written as padding: runtimes do not agree on ceil_mode with padding."""
    x = node.inputs[0]
    assert x is not None
    w = window_of("max_pool2d_forward", node.attrs)
    sizes = ctx.shape(x)[1:3]
    outputs = ctx.shape(node.outputs[0])[1:3]
    ends = [
        max(p, (n - 1) * s + k - p - size) if w.ceil_mode else p
        for size, n, k, s, p in zip(sizes, outputs, *w[:3], strict=True)
    ]
    plain = ends == list(w.padding)
    agreed = w.padding == (0, 0) and all(s <= k for s, k in zip(w.stride, w.kernel, strict=True))
    mode = {"ceil_mode": 1} if agreed and not plain else {}
    pads = w.padding * 2 if plain or mode else (*w.padding, *ends)
    ctx.emit(
        "MaxPool", (x,), node.outputs[0], kernel_shape=w.kernel, strides=w.stride, pads=pads, **mode
    )


MAX_POOL2D = register(
    Op(
        name="max_pool2d",
        inputs=("x",),
        outputs=("y", "index"),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=same_channels,
        to_onnx=_to_onnx,
    )
)


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    dy, index, x = inputs
    assert dy is not None and index is not None and x is not None
    op = "max_pool2d_backward"
    y = pool2d_shape(op, x, window_of(op, attrs))
    for name, spec in (("dy", dy), ("index", index)):
        if spec.shape != y:
            raise ShapeError(f"{op}: {name} must have shape {y}, got {spec.shape}")
    return (Spec(x.shape),)


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    w = window_of("max_pool2d_backward", attrs)
    _core.max_pool2d_backward(inputs[0], inputs[1], outputs[0], *w)


MAX_POOL2D_BACKWARD = register(
    Op(
        name="max_pool2d_backward",
        inputs=("dy", "index", "x"),
        outputs=("dx",),
        infer=_infer_backward,
        run=_run_backward,
        shape_only=("x",),
    )
)


def max_pool2d_forward(
    x: ArrayLike,
    kernel: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """Take the largest element of each window.

    y[n, p, q, c] = max over (r, s) of x[n, p sh - ph + r, q sw - pw + s, c]

    Padding never wins. Of equal elements the first in the window, row by row, wins; a NaN wins over
    numbers, as in NumPy.

    Args:
        x (Tensor (N, H, W, C), float32).
        kernel, stride, padding (int or (rows, columns)): stride is the kernel if None; padding below
            the kernel; a kernel covers at most 255 elements.
        ceil_mode: keep partial windows at the lower and right edge, P = ceil((H + 2p - k) / s) + 1,
            less one that would start beyond the image; otherwise P = floor((H + 2p - k) / s) + 1.
    Returns:
        (y, index): y (N, P, Q, C) float32; index of the same shape, uint8: r * kw + s of the winner.
    Raises:
        ShapeError: x is not 4-d, or smaller than the window. DTypeError: not float32. ValueError: sizes.
    Cost: 4 bytes per input element, 5 per output element.
    """
    attrs = pool_attrs("max_pool2d_forward", kernel, stride, padding, ceil_mode)
    y, index = eager(MAX_POOL2D, (x,), **attrs)
    return y, index


def max_pool2d_backward(
    dy: ArrayLike,
    index: ArrayLike,
    x_shape: Sequence[int],
    kernel: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
) -> Tensor:
    """Gradient of max_pool2d_forward: dy goes to the winners, sums where windows overlap.

    Args:
        dy (Tensor (N, P, Q, C), float32). index (Tensor (N, P, Q, C), uint8): from the forward call.
        x_shape: (N, H, W, C) of the forward input. The rest as for max_pool2d_forward.
    Returns:
        dx (Tensor (N, H, W, C), float32).
    Raises:
        ShapeError: shapes do not fit. DTypeError. ValueError: sizes.
    """
    op = "max_pool2d_backward"
    attrs = pool_attrs(op, kernel, stride, padding, ceil_mode)
    return eager(MAX_POOL2D_BACKWARD, (dy, index, Spec(tuple(x_shape))), **attrs)[0]
