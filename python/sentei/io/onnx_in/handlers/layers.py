"""Convolution, linear layers, batch norm: the operators with parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sentei.io.onnx_in.builder import Builder
from sentei.io.onnx_in.node import NodeView
from sentei.io.onnx_in.registry import operator
from sentei.io.onnx_in.values import Layout, Value
from sentei.io.onnx_in.windows import padded, window_pads

__all__: list[str] = []  # found through the registry

F32 = NDArray[np.float32]


@operator("Conv")
def conv(b: Builder, n: NodeView) -> Value:
    """Filters (K, C / G, R, S) become (K, R, S, C / G); groups follow from the shapes."""
    n.count(2, 3)
    x, w = n.image(0), n.weights(1, "W")
    if w.ndim != 4 or 0 in w.shape:
        raise n.refuse(f"W must have shape (K, C / group, R, S), got {w.shape}")
    filters, per, r, s = w.shape
    kernel = n.integers("kernel_shape", (r, s), 2)
    if kernel != [r, s]:
        raise n.refuse(f"kernel_shape must be that of W, {[r, s]}, got {kernel}")
    groups = n.integer("group", 1)
    channels = x.shape[0]
    if groups < 1 or per * groups != channels or filters % groups:
        raise n.refuse(
            f"group must divide W of shape {w.shape} and the {channels} channels of the input evenly, "
            f"got {groups}"
        )
    stride = n.integers("strides", (1, 1), 2) or []
    dilation = n.integers("dilations", (1, 1), 2) or []
    pads = window_pads(n, x, (r, s), stride, dilation)
    bias = n.vector(2, "B", filters) if n.given(2) else None
    name = b.layer_name(n, "conv")
    x, rest = padded(b, n, x, pads)
    weight = b.param(
        name, "weight", w.transpose(0, 2, 3, 1), decay=True, origin=n.label(1), moved="KRSC"
    )
    own_bias = None if bias is None else b.param(name, "bias", bias, origin=n.label(2))
    value, own = b.emit(
        "conv2d",
        n,
        (x, weight, own_bias),
        name,
        stride=tuple(stride),
        padding=rest,
        dilation=tuple(dilation),
        relu=False,
    )
    return b.image(value, own)


@operator("Gemm")
def gemm(b: Builder, n: NodeView) -> Value:
    """y = alpha A B' + beta C with constants B and C is a linear layer."""
    n.count(2, 3)
    if n.flag("transA"):
        raise n.refuse("transA must be 0, since the first axis is that of the samples")
    w = n.weights(1, "B")
    if w.ndim != 2:
        raise n.refuse(f"B must be a matrix, got shape {w.shape}")
    if not n.flag("transB"):
        w = w.T
    if n.opset < 7:
        n.ignore("broadcast")
    alpha, beta = n.number("alpha", 1.0), n.number("beta", 1.0)
    if alpha != 1.0:
        w = (w * np.float32(alpha)).astype(np.float32)
    bias = None
    if n.given(2) and beta != 0.0:
        c = n.weights(2, "C")
        bias = _bias_row(n, c, w.shape[0])
        if beta != 1.0:
            bias = (bias * np.float32(beta)).astype(np.float32)
    return _linear(b, n, w, bias)


def _bias_row(n: NodeView, c: F32, size: int) -> F32:
    if c.ndim > 2 or (c.ndim == 2 and c.shape[0] != 1) or c.size not in (1, size):
        raise n.refuse(f"the bias must have shape ({size},), got {c.shape}")
    return np.broadcast_to(c.reshape(-1), (size,))


def _linear(b: Builder, n: NodeView, w: F32, bias: F32 | None) -> Value:
    """A linear layer with weights (O, I), I in the order of ONNX."""
    x = b.row(n, n.value(0))
    if w.shape[1] != x.shape[0] or 0 in w.shape:
        raise n.refuse(f"the weights must take {x.shape[0]} features, got shape {w.shape}")
    name = b.layer_name(n, "fc")
    if not x.layout.is_plain:  # behind a flattened image: columns in our order
        w = x.layout.ordered(w)
    weight = b.param(name, "weight", w, decay=True, origin=n.label(1), moved="OI")
    own_bias = None if bias is None else b.param(name, "bias", bias, origin=n.label(2))
    value, own = b.emit("linear", n, (x, weight, own_bias), name, relu=False)
    return Value(value, own, own, Layout.plain(*own))


@operator("MatMul")
def matmul(b: Builder, n: NodeView) -> Value:
    """x (N, I) times a constant (I, O): a linear layer; an Add behind it gives its bias."""
    n.count(2, 2)
    w = n.weights(1, "B")
    if w.ndim != 2:
        raise n.refuse(f"B must be a matrix, got shape {w.shape}")
    return _linear(b, n, w.T, None)


@operator("BatchNormalization")
def batch_norm(b: Builder, n: NodeView) -> Value:
    """Trainable batch norm; inference uses the statistics of the file."""
    n.count(5, 5)
    x = n.value(0)
    if not x.is_image:
        x = b.row(n, x)
    channels = x.shape[0]
    if n.opset < 9 and not n.flag("spatial", True):
        raise n.refuse("spatial must be 1: statistics per pixel are not supported")
    if n.opset < 7:
        n.ignore("is_test")
    n.flag("training_mode")  # ours is both: training takes the batch's, inference the averages
    eps = n.number("epsilon", 1e-5)
    momentum = 1.0 - n.number("momentum", 0.9)
    if eps <= 0 or not 0 <= momentum <= 1:
        raise n.refuse(f"epsilon must be above 0 and momentum in [0, 1], got {eps}, {1 - momentum}")
    names = ("scale", "B", "mean", "var")
    parts = [n.vector(i + 1, what, channels) for i, what in enumerate(names)]
    if not all(np.isfinite(p).all() for p in parts) or (parts[3] < 0).any():
        raise n.refuse("scale, B, mean and var must be finite and var not negative")
    if not x.is_image and not x.layout.is_plain:
        parts = [x.layout.ordered(p) for p in parts]
    name = b.layer_name(n, "bn")
    own = [
        b.param(name, suffix, part, state=i > 1, origin=n.label(i + 1), moved="C")
        for i, (suffix, part) in enumerate(
            zip(("gamma", "beta", "running_mean", "running_var"), parts, strict=True)
        )
    ]
    # float32 in the file: 0.1 and 1e-5 as they were meant
    eps, momentum = float(f"{eps:.6g}"), float(f"{momentum:.6g}")
    value, shape = b.emit("batch_norm", n, (x, *own), name, eps=eps, momentum=momentum, relu=False)
    return replace(x, name=value, own=shape)
