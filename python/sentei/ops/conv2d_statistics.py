"""A convolution that also gives the mean and variance of its channels, for the batch norm behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, Tie, register
from sentei.ops.conv2d import CONV2D, Pair, conv_attrs, window
from sentei.ops.eager import eager
from sentei.ops.precision import precision_of
from sentei.tensor import ArrayLike

__all__ = ["CONV2D_STATISTICS", "conv2d_statistics_forward"]

Specs = Sequence[Spec | None]
Tensors = Sequence[Tensor | None]


def _infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    (y,) = CONV2D.infer(inputs, attrs)
    if y.shape[0] == 0:
        raise ShapeError(
            f"conv2d_statistics: x must have at least one image, got y of shape {y.shape}"
        )
    c = Spec(y.shape[3:])
    return (y, c, c)


def _run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    x, w, b = inputs
    y, mean, var = outputs
    modes = (*window(attrs), precision_of(attrs))
    _core.conv2d_statistics_forward(x, w, b, y, mean, var, ws, *modes)


def _workspace(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs, device: str) -> int:
    x, w = inputs[:2]
    assert x is not None and w is not None
    return _core.conv2d_statistics_workspace(
        x.shape, w.shape, *window(attrs), precision_of(attrs), device
    )


def _backward(ctx: GradContext, node: Node, dout: Sequence[str | None]) -> Sequence[str | None]:
    # The norm that takes the statistics computes the gradient through them.
    if dout[0] is None:
        return (None,) * 3
    assert CONV2D.backward is not None
    return CONV2D.backward(ctx, node, dout[:1])


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    assert CONV2D.ties is not None
    y = ("y", 3)
    return [*CONV2D.ties(inputs, outputs, attrs), Tie(("mean", 0), y), Tie(("var", 0), y)]


CONV2D_STATISTICS = register(
    Op(
        name="conv2d_statistics",
        inputs=("x", "w", "b?"),
        outputs=("y", "mean", "var"),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=_ties,
        flops=CONV2D.flops,
        workspace=_workspace,
        to_onnx="only training steps have it, made by passes.fuse_statistics",
    )
)


def conv2d_statistics_forward(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    precision: str = "float32",
) -> tuple[Tensor, Tensor, Tensor]:
    """Convolve as conv2d_forward and give the statistics of the result per channel.

    y = conv2d_forward(x, w, b),  mean = sum y / n,  var = sum (y - mean)^2 / n over n pixels

    Args:
        As conv2d_forward; at least one image, no relu.
    Returns:
        (y, mean, var): y (N, P, Q, K) with conv2d_forward's bits; mean and var (K,), float32. Only y
        has a gradient: a norm that takes mean and var computes the one through them.
    Raises:
        As conv2d_forward. ShapeError: no image.
    Cost: as conv2d_forward; on cuda 0.19 bytes per element of y more, 4 where y must be read again.
    """
    attrs = conv_attrs(stride, padding, dilation, precision)
    y, mean, var = eager(CONV2D_STATISTICS, (x, w, b), **attrs)
    return y, mean, var
