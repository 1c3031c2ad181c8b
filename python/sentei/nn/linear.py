"""Layers with weights: convolution, depthwise convolution, linear, maxout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sentei.errors import GraphError, ShapeError
from sentei.nn.check import Pair, flag, integer, pair
from sentei.nn.symbol import Layer, Param, Symbol, apply, need_image, need_vector

__all__ = ["Conv2d", "DepthwiseConv2d", "Linear", "Maxout", "MaxoutConv2d"]

Padding = Pair | Literal["same"]


def _geometry(
    layer: str, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[tuple[int, int], dict[str, Any]]:
    """(R, S) and the attributes of conv2d, checked."""
    k = pair(layer, "kernel", kernel)
    s = pair(layer, "stride", stride)
    d = pair(layer, "dilation", dilation)
    if padding == "same":
        if k[0] % 2 == 0 or k[1] % 2 == 0 or s != (1, 1):
            raise GraphError(
                f"{layer}: padding must be numbers unless kernel is odd and stride 1, "
                f'got "same" with kernel {k} and stride {s}'
            )
        p = (d[0] * (k[0] // 2), d[1] * (k[1] // 2))
    elif isinstance(padding, str):
        raise GraphError(
            f'{layer}: padding must be a whole number, a pair of them or "same", got {padding!r}'
        )
    else:
        p = pair(layer, "padding", padding, 0)
    return k, {"stride": s, "padding": p, "dilation": d, "relu": False}


def _conv(
    x: Symbol, name: str, out: int, kernel: tuple[int, int], per: int, bias: bool, attrs: Any
) -> Symbol:
    w = Param("weight", (out, *kernel, per), decay=True)
    return apply("conv2d", (x, w, Param("bias", (out,)) if bias else None), name, attrs)


@dataclass(frozen=True)
class Conv2d(Layer):
    """Convolve images with `out_channels` filters (cross-correlation, zero padding).

    y[n,p,q,k] = b[k] + sum_rsc w[k,r,s,c] x[n, p*stride - padding + r*dilation, ..., c]

    Output size floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1.

    Args:
        out_channels (int): K. kernel, stride, padding, dilation (int or pair): rows, columns.
        padding: also "same", for an odd kernel and stride 1. groups (int): divides C and K.
        bias (bool): False when a batch norm follows.
    Input, output: (N, H, W, C) -> (N, P, Q, K). Parameters: weight (K, R, S, C / groups), bias (K,).
    Raises:
        GraphError: an argument is out of range. ShapeError: the input does not fit (when called).
    """

    kind: ClassVar[str] = "conv"
    out_channels: int
    kernel: Pair
    stride: Pair = 1
    padding: Padding = 0
    dilation: Pair = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        integer("Conv2d", "out_channels", self.out_channels)
        integer("Conv2d", "groups", self.groups)
        flag("Conv2d", "bias", self.bias)
        _geometry("Conv2d", self.kernel, self.stride, self.padding, self.dilation)
        if self.out_channels % self.groups:
            raise GraphError(
                f"Conv2d: groups must divide out_channels = {self.out_channels}, got {self.groups}"
            )

    def emit(self, x: Symbol, name: str) -> Symbol:
        c = need_image(x, name, "Conv2d")[2]
        if c % self.groups:
            raise ShapeError(
                f"{name}: groups must divide the {c} channels of the input, got {self.groups}"
            )
        k, attrs = _geometry("Conv2d", self.kernel, self.stride, self.padding, self.dilation)
        return _conv(x, name, self.out_channels, k, c // self.groups, self.bias, attrs)


@dataclass(frozen=True)
class DepthwiseConv2d(Layer):
    """Convolve every channel with `multiplier` filters of its own.

    Args: as Conv2d; the number of output channels is C * multiplier.
    Input, output: (N, H, W, C) -> (N, P, Q, C m). Parameters: weight (C m, R, S, 1), bias (C m,).
    """

    kind: ClassVar[str] = "dwconv"
    kernel: Pair
    multiplier: int = 1
    stride: Pair = 1
    padding: Padding = 0
    dilation: Pair = 1
    bias: bool = True

    def __post_init__(self) -> None:
        integer("DepthwiseConv2d", "multiplier", self.multiplier)
        flag("DepthwiseConv2d", "bias", self.bias)
        _geometry("DepthwiseConv2d", self.kernel, self.stride, self.padding, self.dilation)

    def emit(self, x: Symbol, name: str) -> Symbol:
        c = need_image(x, name, "DepthwiseConv2d")[2]
        k, attrs = _geometry(
            "DepthwiseConv2d", self.kernel, self.stride, self.padding, self.dilation
        )
        return _conv(x, name, c * self.multiplier, k, 1, self.bias, attrs)


@dataclass(frozen=True)
class Linear(Layer):
    """Fully-connected layer, y = x w^T + b.

    Args:
        out_features (int): O. bias (bool): False when a batch norm follows.
    Input, output: (N, I) -> (N, O). Parameters: weight (O, I), bias (O,).
    """

    kind: ClassVar[str] = "fc"
    out_features: int
    bias: bool = True

    def __post_init__(self) -> None:
        integer("Linear", "out_features", self.out_features)
        flag("Linear", "bias", self.bias)

    def emit(self, x: Symbol, name: str) -> Symbol:
        w = Param("weight", (self.out_features, need_vector(x, name, "Linear")), decay=True)
        b = Param("bias", (self.out_features,)) if self.bias else None
        return apply("linear", (x, w, b), name, {"relu": False})


@dataclass(frozen=True)
class Maxout(Layer):
    """Largest of `pieces` linear units, h_o = max_i (w_oi . x + b_oi); of equal ones the first.

    Input, output: (N, I) -> (N, O). Parameters: those of a Linear layer of O * pieces outputs,
    named <name>.fc1, the pieces of one output next to each other. Source: [L].
    """

    kind: ClassVar[str] = "maxout"
    out_features: int
    pieces: int
    bias: bool = True

    def __post_init__(self) -> None:
        integer("Maxout", "out_features", self.out_features)
        integer("Maxout", "pieces", self.pieces, 2)
        flag("Maxout", "bias", self.bias)

    def emit(self, x: Symbol, name: str) -> Symbol:
        need_vector(x, name, "Maxout")
        z = Linear(self.out_features * self.pieces, self.bias)(x.within(f"{name}."))
        return apply("maxout", (z,), name, {"pieces": self.pieces}).within(x.scope)


@dataclass(frozen=True)
class MaxoutConv2d(Layer):
    """Largest of `pieces` convolutions per output channel; arguments as Conv2d.

    Input, output: (N, H, W, C) -> (N, P, Q, K). Parameters: those of a Conv2d of K * pieces
    filters, named <name>.conv1, the pieces of one output channel next to each other. Source: [L].
    """

    kind: ClassVar[str] = "maxout"
    out_channels: int
    kernel: Pair
    pieces: int
    stride: Pair = 1
    padding: Padding = 0
    bias: bool = True

    def __post_init__(self) -> None:
        integer("MaxoutConv2d", "out_channels", self.out_channels)
        integer("MaxoutConv2d", "pieces", self.pieces, 2)
        flag("MaxoutConv2d", "bias", self.bias)
        _geometry("MaxoutConv2d", self.kernel, self.stride, self.padding, 1)

    def emit(self, x: Symbol, name: str) -> Symbol:
        need_image(x, name, "MaxoutConv2d")
        conv = Conv2d(
            self.out_channels * self.pieces,
            self.kernel,
            stride=self.stride,
            padding=self.padding,
            bias=self.bias,
        )
        z = conv(x.within(f"{name}."))
        return apply("maxout", (z,), name, {"pieces": self.pieces}).within(x.scope)
