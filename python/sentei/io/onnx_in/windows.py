"""Pads of convolutions and pools: four numbers of ONNX to the two of ours, and a pad before the rest."""

from __future__ import annotations

from collections.abc import Sequence

from sentei.io.onnx_in.builder import Builder
from sentei.io.onnx_in.node import NodeView
from sentei.io.onnx_in.values import Value

__all__ = ["Pads", "padded", "window_pads"]

Pads = tuple[int, int, int, int]  # top, left, bottom, right: the order of ONNX


def window_pads(
    n: NodeView,
    x: Value,
    kernel: tuple[int, int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Pads:
    """The pads that auto_pad or pads ask for."""
    if min(*kernel, *stride, *dilation) < 1:
        raise n.refuse(
            f"kernel, strides and dilations must be at least 1, got {list(kernel)}, {list(stride)}, "
            f"{list(dilation)}"
        )
    auto = n.text("auto_pad", "NOTSET")
    given = n.integers("pads", (0, 0, 0, 0), 4) or []
    if auto in ("NOTSET", ""):
        if min(given) < 0:
            raise n.refuse(f"pads must be at least 0, got {given}; slice the input before instead")
        return (given[0], given[1], given[2], given[3])
    if auto == "VALID":
        return (0, 0, 0, 0)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise n.refuse(
            f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, got {auto[:40]!r}"
        )
    first, last = [], []
    for size, k, s, d in zip(x.shape[1:], kernel, stride, dilation, strict=True):
        outputs = -(-size // s)
        whole = max(0, (outputs - 1) * s + (k - 1) * d + 1 - size)
        small, large = whole // 2, whole - whole // 2
        first.append(small if auto == "SAME_UPPER" else large)
        last.append(large if auto == "SAME_UPPER" else small)
    return (first[0], first[1], last[0], last[1])


def padded(b: Builder, n: NodeView, x: Value, pads: Pads) -> tuple[Value, tuple[int, int]]:
    """x and the even pads that are left for the op itself; uneven ones become an op of their own."""
    top, left, bottom, right = pads
    if top == bottom and left == right:
        return x, (top, left)
    return pad_image(b, n, x, pads), (0, 0)


def pad_image(b: Builder, n: NodeView, x: Value, pads: Pads, *, lowest: bool = False) -> Value:
    """x with a border of 0, or of what never wins a maximum."""
    if not any(pads):
        return x
    return b.pooled("pad2d", n, x, "pad", pads=pads, lowest=lowest)
