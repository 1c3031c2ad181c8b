"""Pooling over windows and over the whole image."""

from __future__ import annotations

from dataclasses import replace

from sentei.io.onnx_in.builder import Builder
from sentei.io.onnx_in.node import NodeView
from sentei.io.onnx_in.registry import operator
from sentei.io.onnx_in.values import Layout, Value
from sentei.io.onnx_in.windows import Pads, pad_image, window_pads

__all__: list[str] = []

Two = tuple[int, int]


def _window(n: NodeView, x: Value) -> tuple[Two, Two, Pads, bool]:
    """Kernel, stride, pads and ceil_mode."""
    k = n.integers("kernel_shape", None, 2)
    if k is None:
        raise n.refuse("kernel_shape must be given")
    s = n.integers("strides", (1, 1), 2) or []
    d = n.integers("dilations", (1, 1), 2) or []
    if d != [1, 1]:
        raise n.refuse(f"dilations must be 1, got {d}: windows with holes are not supported")
    kernel, stride = (k[0], k[1]), (s[0], s[1])
    return kernel, stride, window_pads(n, x, kernel, stride, d), n.flag("ceil_mode")


def _even(pads: Pads) -> bool:
    return pads[:2] == pads[2:]


@operator("MaxPool")
def max_pool(b: Builder, n: NodeView) -> Value:
    """Largest of each window; padding never wins."""
    n.count(1, 1)
    x = n.image(0)
    kernel, stride, pads, ceil = _window(n, x)
    n.ignore("storage_order")  # of the second output, which nothing may read
    fits = pads[0] < kernel[0] and pads[1] < kernel[1]
    if not _even(pads) or not fits:
        if ceil:
            raise n.refuse(
                f"ceil_mode must be 0 with the uneven pads {list(pads)}; pad by an operator before"
            )
        x, pads = pad_image(b, n, x, pads, lowest=True), (0, 0, 0, 0)
    return b.pooled(
        "max_pool2d", n, x, "pool", kernel=kernel, stride=stride, padding=pads[:2], ceil_mode=ceil
    )


@operator("AveragePool")
def average_pool(b: Builder, n: NodeView) -> Value:
    """Mean of each window."""
    n.count(1, 1)
    x = n.image(0)
    kernel, stride, pads, ceil = _window(n, x)
    counted = n.flag("count_include_pad")
    if any(pads) and not counted:
        raise n.refuse(
            f"count_include_pad must be 1 with the pads {list(pads)}: a mean over fewer pixels at the "
            "border is not supported; use windows without padding"
        )
    room = [size + before + after - k for size, before, after, k in
            zip(x.shape[1:], pads[:2], pads[2:], kernel, strict=True)]  # fmt: skip
    if ceil and any(r % s for r, s in zip(room, stride, strict=True)):
        raise n.refuse("ceil_mode must be 0 where windows would hang over the border")
    x = pad_image(b, n, x, pads)
    return b.pooled("avg_pool2d", n, x, "avgpool", kernel=kernel, stride=stride)


@operator("GlobalAveragePool")
def global_average(b: Builder, n: NodeView) -> Value:
    """Mean of each channel over the image."""
    n.count(1, 1)
    return b.pooled("global_avg_pool", n, n.image(0), "gap")


@operator("GlobalMaxPool")
def global_max(b: Builder, n: NodeView) -> Value:
    """Largest of each channel over the image."""
    n.count(1, 1)
    x = n.image(0)
    size = (x.shape[1], x.shape[2])
    return b.pooled(
        "max_pool2d", n, x, "pool", kernel=size, stride=size, padding=(0, 0), ceil_mode=False
    )


@operator("ReduceMean")
def reduce_mean(b: Builder, n: NodeView) -> Value:
    """The mean over rows and columns of images: a global average pool."""
    n.count(1, 2)
    x = n.image(0)
    keep = n.flag("keepdims", True)
    n.flag("noop_with_empty_axes")
    axes = n.axes(1, 4)
    if axes is None or sorted(axes) != [2, 3]:
        raise n.refuse(
            f"axes must be those of rows and columns, [2, 3], got {axes}: other means are not supported"
        )
    y = b.pooled("global_avg_pool", n, x, "gap")
    return y if keep else replace(y, shape=y.shape[:1], layout=Layout.plain(y.shape[0]))
