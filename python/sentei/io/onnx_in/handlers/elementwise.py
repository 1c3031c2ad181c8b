"""Activations, dropout, and arithmetic with a number."""

from __future__ import annotations

import numpy as np

from sentei.graph import Spec
from sentei.io.onnx_in.builder import Builder
from sentei.io.onnx_in.node import NodeView
from sentei.io.onnx_in.registry import operator
from sentei.io.onnx_in.values import Const, Value

__all__: list[str] = []

HIGHEST = float(np.finfo(np.float32).max)
LOWEST = -HIGHEST


def _plain(name: str, op: str, kind: str) -> None:
    """An operator without attributes that is an op of ours."""

    @operator(name)
    def read(b: Builder, n: NodeView) -> Value:
        n.count(1, 1)
        return b.map(op, n, n.value(0), kind)


for _name, _op, _kind in (
    ("Relu", "relu", "relu"),
    ("Sigmoid", "logistic", "sigmoid"),
    ("Tanh", "tanh", "tanh"),
    ("Softplus", "softplus", "softplus"),
):
    _plain(_name, _op, _kind)


def _sloped(name: str, op: str, kind: str, default: float) -> None:
    @operator(name)
    def read(b: Builder, n: NodeView) -> Value:
        n.count(1, 1)
        alpha = n.number("alpha", default)
        if alpha < 0:
            raise n.refuse(f"alpha must be at least 0, got {alpha}")
        return b.map(op, n, n.value(0), kind, alpha=alpha)


_sloped("LeakyRelu", "leaky_relu", "leaky", 0.01)
_sloped("Elu", "elu", "elu", 1.0)


@operator("PRelu")
def prelu(b: Builder, n: NodeView) -> Value:
    """A learnt slope, one number for the layer."""
    n.count(2, 2)
    x, slope = n.value(0), n.weights(1, "slope")
    if slope.size != 1:
        raise n.refuse(
            f"slope must be one number for the layer, got shape {slope.shape}; "
            "train it with one slope, or replace it by LeakyRelu"
        )
    name = b.layer_name(n, "prelu")
    a = b.param(name, "a", slope.reshape(1), origin=n.label(1))
    value, _ = b.emit("prelu", n, (x, a), name)
    return Value(value, x.own, x.shape, x.layout)


@operator("Clip")
def clip(b: Builder, n: NodeView) -> Value:
    """Values held in a range; ReLU6 is Clip(0, 6), and Clip(0, ...) a ReLU."""
    n.count(1, 3 if n.opset >= 11 else 1)
    if n.opset >= 11:
        low, high = n.scalar(1, "min"), n.scalar(2, "max")
    else:
        low = n.number("min", 0.0) if n.has("min") else None
        high = n.number("max", 0.0) if n.has("max") else None
    # The limits of float32 stand for no bound at all in files of older exporters.
    low = None if low is None or low <= LOWEST else low
    high = None if high is None or high >= HIGHEST else high
    x = n.value(0)
    if any(v is not None and not abs(v) <= HIGHEST for v in (low, high)):
        raise n.refuse(f"min and max must be finite numbers, got {low} and {high}")
    if low is None and high is None:
        return x
    if low == 0 and high is None:
        return b.map("relu", n, x, "relu")
    if low is not None and high is not None:
        low = min(low, high)  # ONNX takes max where min is above it
    return b.map("clip", n, x, "clip", low=low, high=high)


@operator("Softmax")
def softmax(b: Builder, n: NodeView) -> Value:
    """Softmax over the features of rows or the channels of images."""
    n.count(1, 1)
    x = n.value(0)
    rank = len(x.shape) + 1
    axis = n.one_axis(-1 if n.opset >= 13 else 1, rank)
    if len(x.shape) == 1 and axis == 1:
        return b.map("softmax", n, b.row(n, x), "softmax")
    together = n.opset >= 13 or x.shape[1:] == (1, 1)  # before, all axes from this one on counted
    if x.is_image and axis == 1 and together:
        return b.map("softmax", n, x, "softmax")
    raise n.refuse(
        f"it must be over the features of rows or the channels of images, got axis {axis} of {rank} axes"
    )


@operator("Dropout")
def dropout(b: Builder, n: NodeView) -> Value:
    """Dropout while training, nothing at inference, whatever mode the file was exported in."""
    n.count(1, 3 if n.opset >= 12 else 1)
    n.ignore("seed", "is_test" if n.opset < 7 else "seed")
    x = n.value(0)
    if n.opset >= 12:
        given = n.scalar(1, "ratio")
        ratio = 0.5 if given is None else given
        n.scalar(2, "training_mode")
    else:
        ratio = n.number("ratio", 0.5)
    if not 0 <= ratio < 1:
        raise n.refuse(f"ratio must be in [0, 1), got {ratio}")
    if ratio == 0:
        return x
    if "rng" not in b.graph.values:
        b.graph.add_input("rng", Spec((2,), "int64"))
    stream, b.streams = b.streams, b.streams + 1
    keep = 1.0 - float(f"{ratio:.6g}")
    name, _ = b.emit(
        "dropout", n, (x, "rng"), b.claim(kind="dropout"), keep=keep, stream=stream, inverted=True
    )
    return Value(name, x.own, x.shape, x.layout)


@operator("Identity")
def identity(b: Builder, n: NodeView) -> Value | Const:
    """Nothing."""
    n.count(1, 1)
    x = n.inputs[0]
    return x if isinstance(x, Const) else n.value(0)


@operator("Cast")
def cast(b: Builder, n: NodeView) -> Value:
    """A cast of float32 to float32; other types do not exist in the network."""
    n.count(1, 1)
    n.ignore("saturate", "round_mode")
    if n.integer("to", 1) != 1:
        raise n.refuse(
            f"values of the network stay float32, got ONNX type {n.integer('to', 1)}; export in float32"
        )
    return n.value(0)


@operator("CastLike")
def cast_like(b: Builder, n: NodeView) -> Value | Const:
    """A cast to the type of values of the network, which is float32."""
    n.count(2, 2)
    n.ignore("saturate", "round_mode")
    x = n.inputs[0]
    if isinstance(x, Const):
        return Const(np.asarray(x.array, np.float32), "")
    if isinstance(n.inputs[1], Const) and n.inputs[1].array.dtype != np.float32:
        raise n.refuse("values of the network stay float32; export in float32")
    return n.value(0)


@operator("Mul", "Div")
def scale(b: Builder, n: NodeView) -> Value:
    """A product with one number, or with one per channel."""
    n.count(2, 2)
    swap = n.op == "Mul" and isinstance(n.inputs[0], Const)
    x, label = n.value(1 if swap else 0), n.label(0 if swap else 1)
    a = n.weights(0 if swap else 1, "the factor")
    with np.errstate(divide="ignore", over="ignore"):
        factor = a if n.op == "Mul" else (1.0 / a.astype(np.float64)).astype(np.float32)
    if not np.isfinite(factor).all():
        raise n.refuse("the factor must be finite and, in a division, not 0")
    if factor.size == 1 and factor.ndim <= len(x.shape) + 1:
        return b.map("scale", n, x, "scale", factor=float(factor.reshape(-1)[0]))
    c = x.shape[0] if x.shape else 0
    wide = factor.reshape(factor.shape[1:]) if factor.ndim == 4 and factor.shape[0] == 1 else factor
    if x.is_image and wide.shape == (c, 1, 1):
        m = wide.reshape(c)
    elif len(x.shape) == 1 and factor.shape in ((c,), (1, c)):
        x, m = b.row(n, x), factor.reshape(c)
        m = m if x.layout.is_plain else x.layout.ordered(m)
    else:
        raise n.refuse(
            f"the factor must be one number or one per channel, got shape {factor.shape} "
            f"for sizes {x.shape} per sample"
        )
    name = b.claim(n.raw.scope, kind="mask")
    param = b.param(name, "m", m, origin=label)
    value, _ = b.emit("channel_scale", n, (x, param), name)
    return Value(value, x.own, x.shape, x.layout)
