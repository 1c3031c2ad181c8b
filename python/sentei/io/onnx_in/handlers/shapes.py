"""Operators that move no number in our memory: they only change what ONNX calls the axes."""

from __future__ import annotations

import math
from dataclasses import replace

from sentei.io.onnx_in.builder import Builder
from sentei.io.onnx_in.node import NodeView
from sentei.io.onnx_in.registry import operator
from sentei.io.onnx_in.values import Shape, Value
from sentei.io.onnx_in.windows import pad_image

__all__: list[str] = []


@operator("Flatten")
def flatten(b: Builder, n: NodeView) -> Value:
    """Each sample as a row."""
    n.count(1, 1)
    x = n.value(0)
    axis = n.one_axis(1, len(x.shape) + 1, past=True)
    if axis != 1:
        raise n.refuse(f"axis must be 1, so that samples stay apart, got {axis}")
    return replace(x, shape=(x.size,))


@operator("Reshape")
def reshape(b: Builder, n: NodeView) -> Value:
    """Other sizes for each sample; samples stay apart."""
    n.count(2, 2)
    x, target = n.value(0), n.whole(1, "shape")
    return replace(x, shape=_target(b, n, x, target, n.flag("allowzero")))


def _target(b: Builder, n: NodeView, x: Value, target: list[int], allowzero: bool) -> Shape:
    full = (b.batch, *x.shape)
    asked = list(target)
    for i, d in enumerate(asked):
        if d == 0 and not allowzero and i < len(full):
            asked[i] = full[i]
    if asked.count(-1) > 1 or any(d < -1 or d == 0 for d in asked) or not asked:
        raise n.refuse(f"shape must be sizes of at least 1 and one -1, got {target}")
    if -1 in asked:
        known = math.prod(d for d in asked if d != -1)
        rest, left = divmod(b.batch * x.size, known)
        if left or not rest:
            raise n.refuse(f"shape must hold the sizes {x.shape} of each sample, got {target}")
        asked[asked.index(-1)] = rest
    if asked[0] != b.batch or math.prod(asked[1:]) != x.size:
        raise n.refuse(
            f"shape must keep the samples apart and hold their sizes {x.shape}, got {target}; "
            "export with a dynamic batch axis"
        )
    return tuple(asked[1:])


@operator("Squeeze")
def squeeze(b: Builder, n: NodeView) -> Value:
    """Without axes of one element."""
    n.count(1, 2)
    x = n.value(0)
    full = (b.batch, *x.shape)
    axes = n.axes(1, len(full))
    if axes is None:
        axes = [i for i, d in enumerate(full) if d == 1]
    if 0 in axes or any(full[a] != 1 for a in axes):
        raise n.refuse(
            f"axes must have one element and not be the samples', got {axes} of {x.shape}"
        )
    return replace(x, shape=tuple(d for i, d in enumerate(full) if i and i not in axes))


@operator("Unsqueeze")
def unsqueeze(b: Builder, n: NodeView) -> Value:
    """With more axes of one element."""
    n.count(1, 2)
    x = n.value(0)
    count = len(n.raw.attrs.get("axes") or (n.whole(1, "axes") if n.given(1) else ()))
    rank = len(x.shape) + 1 + count
    axes = n.axes(1, rank)
    if axes is None or 0 in axes or rank > 8:
        raise n.refuse(f"axes must be given, few, and none before the samples, got {axes}")
    left = iter(x.shape)
    return replace(x, shape=tuple(1 if i in axes else next(left) for i in range(1, rank)))


@operator("Transpose")
def transpose(b: Builder, n: NodeView) -> Value:
    """Axes of each sample in another order; our memory stays as it is."""
    n.count(1, 1)
    x = n.value(0)
    rank = len(x.shape) + 1
    perm = n.integers("perm", tuple(range(rank))[::-1], rank) or []
    if sorted(perm) != list(range(rank)) or perm[0] != 0:
        raise n.refuse(f"perm must keep the samples first, got {perm}")
    inner = tuple(a - 1 for a in perm[1:])
    layout = x.layout.transposed(x.shape, inner)
    if layout is None:
        raise n.refuse(
            "channels in another order, as a shuffle of channels makes them, are not supported"
        )
    return replace(x, shape=tuple(x.shape[a] for a in inner), layout=layout)


@operator("Pad")
def pad(b: Builder, n: NodeView) -> Value:
    """A border around images."""
    n.count(1, 4)
    x = n.image(0)
    mode = n.text("mode", "constant")
    if mode != "constant":
        raise n.refuse(f"mode must be constant, got {mode[:40]!r}")
    if n.opset >= 11:
        pads, value = n.whole(1, "pads"), n.scalar(2, "constant_value") or 0.0
        if n.given(3):
            axes = [a % 4 for a in n.whole(3, "axes")]
            if len(pads) != 2 * len(axes) or len(set(axes)) != len(axes):
                raise n.refuse(f"pads must be two for each of the axes {axes}, got {pads}")
            full = [0] * 8
            for i, a in enumerate(axes):
                full[a], full[a + 4] = pads[i], pads[i + len(axes)]
            pads = full
    else:
        pads, value = n.integers("pads", None, 8) or [], n.number("value", 0.0)
    if len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)) or min(pads) < 0:
        raise n.refuse(f"pads must be at least 0, of rows and columns only, got {pads}")
    if value not in (0.0, float("-inf")):
        raise n.refuse(f"the border must be 0 or -infinity, got {value}")
    return pad_image(b, n, x, (pads[2], pads[3], pads[6], pads[7]), lowest=value != 0)
