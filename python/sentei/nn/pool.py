"""Pooling layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sentei.errors import GraphError
from sentei.nn.check import Pair, flag, pair
from sentei.nn.symbol import Layer, Symbol, apply, need_image

__all__ = ["AvgPool2d", "GlobalAvgPool2d", "MaxPool2d"]


@dataclass(frozen=True)
class MaxPool2d(Layer):
    """Largest value of every window; of equal ones the first, row by row, takes the gradient.

    Output size floor((H + 2 padding - kernel) / stride) + 1, with `ceil_mode`
    ceil((H + 2 padding - kernel) / stride) + 1: the partial window at the lower and right edge stays.

    Args:
        kernel (int or pair). stride (int or pair): None means the kernel. padding (int or pair): at
        most half the kernel; never wins. ceil_mode (bool).
    Input, output: (N, H, W, C) -> (N, P, Q, C).
    """

    kind: ClassVar[str] = "pool"
    kernel: Pair
    stride: Pair | None = None
    padding: Pair = 0
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        self._attrs()

    def _attrs(self) -> dict[str, Any]:
        k = pair("MaxPool2d", "kernel", self.kernel)
        s = k if self.stride is None else pair("MaxPool2d", "stride", self.stride)
        p = pair("MaxPool2d", "padding", self.padding, 0)
        if 2 * p[0] > k[0] or 2 * p[1] > k[1]:
            raise GraphError(f"MaxPool2d: padding must be at most half the kernel {k}, got {p}")
        ceil = flag("MaxPool2d", "ceil_mode", self.ceil_mode)
        return {"kernel": k, "stride": s, "padding": p, "ceil_mode": ceil}

    def emit(self, x: Symbol, name: str) -> Symbol:
        need_image(x, name, "MaxPool2d")
        return apply("max_pool2d", (x,), name, self._attrs())


@dataclass(frozen=True)
class AvgPool2d(Layer):
    """Mean of every whole window.

    Args:
        kernel (int or pair). stride (int or pair): None means the kernel.
    Input, output: (N, H, W, C) -> (N, P, Q, C), P = floor((H - kernel) / stride) + 1.
    """

    kind: ClassVar[str] = "avgpool"
    kernel: Pair
    stride: Pair | None = None

    def __post_init__(self) -> None:
        self._attrs()

    def _attrs(self) -> dict[str, Any]:
        k = pair("AvgPool2d", "kernel", self.kernel)
        return {
            "kernel": k,
            "stride": k if self.stride is None else pair("AvgPool2d", "stride", self.stride),
        }

    def emit(self, x: Symbol, name: str) -> Symbol:
        need_image(x, name, "AvgPool2d")
        return apply("avg_pool2d", (x,), name, self._attrs())


@dataclass(frozen=True)
class GlobalAvgPool2d(Layer):
    """Mean of every channel over the image, (N, H, W, C) -> (N, 1, 1, C); Flatten gives (N, C)."""

    kind: ClassVar[str] = "gap"

    def emit(self, x: Symbol, name: str) -> Symbol:
        need_image(x, name, "GlobalAvgPool2d")
        return apply("global_avg_pool", (x,), name)
