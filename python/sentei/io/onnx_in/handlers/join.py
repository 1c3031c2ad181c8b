"""Addition and concatenation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sentei.io.onnx_in.builder import Builder
from sentei.io.onnx_in.node import NodeView
from sentei.io.onnx_in.registry import operator
from sentei.io.onnx_in.values import Const, Layout, Value

__all__: list[str] = []


@operator("Add")
def add(b: Builder, n: NodeView) -> Value:
    """The join of a residual network, or the bias of the layer before."""
    n.count(2, 2)
    if isinstance(n.inputs[0], Const) or isinstance(n.inputs[1], Const):
        return _bias(b, n)
    return _sum(b, n, n.value(0), n.value(1), b.claim(kind="add"))


@operator("Sum")
def total(b: Builder, n: NodeView) -> Value:
    """A sum of any number of values."""
    n.count(1, 64)
    y = n.value(0)
    for i in range(1, len(n.inputs)):
        y = _sum(b, n, y, n.value(i), b.claim(kind="add"))
    return y


def _sum(b: Builder, n: NodeView, a: Value, c: Value, name: str) -> Value:
    if a.shape != c.shape:
        raise n.refuse(
            f"both inputs must have one shape, got {a.shape} and {c.shape} per sample: "
            "broadcasting is not supported"
        )
    if a.own != c.own or not a.layout.same(c.layout):
        if len(a.shape) != 1:
            raise n.refuse("both inputs must lie alike; one of them was reshaped or transposed")
        a, c = b.row(n, a), b.row(n, c)
        if not a.layout.same(c.layout):
            raise n.refuse("both inputs must lie alike; one of them is a flattened image")
    value, _ = b.emit("add", n, (a, c), name)
    return replace(a, name=value)


def _bias(b: Builder, n: NodeView) -> Value:
    """x + constant behind a convolution or linear layer without bias that nothing else reads."""
    first = isinstance(n.inputs[0], Const)
    x, c = n.value(1 if first else 0), n.weights(0 if first else 1, "the constant")
    if c.size == 1 and c.ndim <= len(x.shape) + 1 and not c.any():
        return x
    node = b.node_of(x)
    size = x.shape[0] if x.shape else 0
    fits = {1: [(size,), (1, size)], 3: [(size, 1, 1), (1, size, 1, 1)]}.get(len(x.shape), [])
    source = n.raw.inputs[1 if first else 0]
    if (
        node is None
        or node.op.name not in ("conv2d", "linear")
        or node.inputs[2] is not None
        or c.shape not in fits
        or (node.op.name == "conv2d") != x.is_image  # its channels, not what a flattened map has
        or b.readers.get(source, 0) != 1
        or b.names[x.name] != 1  # under another name somebody else may read it
    ):
        raise n.refuse(
            f"a constant of shape {c.shape} can be added only as the bias of the convolution or linear "
            "layer just before; let the exporter fold it"
        )
    b.give_bias(node, np.ascontiguousarray(c.reshape(size)), n.label(0 if first else 1))
    return x


@operator("Concat")
def concat(b: Builder, n: NodeView) -> Value:
    """Values side by side along channels or features."""
    n.count(1, 4096)
    xs = [n.value(i) for i in range(len(n.inputs))]
    axis = n.one_axis(1, len(xs[0].shape) + 1)
    if axis != 1:
        raise n.refuse(f"it must be along the channels, axis 1, got {axis}")
    if len(xs) == 1:
        return xs[0]
    if all(x.is_image for x in xs):
        value, own = b.emit("concat", n, xs, b.claim(kind="join"))
        return b.image(value, own)
    rest = xs[0].shape[1:]
    if any(not x.shape or x.shape[1:] != rest for x in xs):
        raise n.refuse(
            f"inputs must agree but for the channels, got {[x.shape for x in xs[:4]]} per sample"
        )
    rows = [b.row(n, replace(x, shape=(x.size,))) for x in xs]
    layout = Layout.plain(sum(x.size for x in rows))
    if not all(x.layout.is_plain for x in rows):
        starts = np.cumsum([0, *(x.size for x in rows[:-1])])
        parts = [x.layout.index() + s for x, s in zip(rows, starts, strict=True)]
        layout = Layout.listed(np.concatenate(parts))
    value, own = b.emit("concat", n, rows, b.claim(kind="join"))
    return Value(value, own, (sum(x.shape[0] for x in xs), *rest), layout)
