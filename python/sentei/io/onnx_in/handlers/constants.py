"""Arithmetic on constants, which exporters leave in files: computed while reading, by NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.io.onnx_in.builder import Builder
from sentei.io.onnx_in.node import NodeView
from sentei.io.onnx_in.proto import DTYPES
from sentei.io.onnx_in.registry import fold, operator
from sentei.io.onnx_in.values import Const

__all__: list[str] = []

Arrays = Sequence[NDArray[Any] | None]
MOST = 1 << 24  # elements of a result: constants that are not weights are shapes and masks


def _first(n: NodeView, xs: Arrays) -> NDArray[Any]:
    if not xs or xs[0] is None:
        raise n.refuse("its first input must be given")
    return xs[0]


def _small(n: NodeView, shape: Sequence[int]) -> tuple[int, ...]:
    if any(d < 0 for d in shape) or len(shape) > 8 or math.prod(shape) > MOST:
        raise n.refuse(
            f"the constant must have at most {MOST} elements, got sizes {list(shape)[:8]}"
        )
    return tuple(shape)


def _binary(name: str, function: Callable[..., Any]) -> None:
    @fold(name)
    def compute(n: NodeView, xs: Arrays) -> NDArray[Any]:
        n.count(2, 2)
        a, b = _first(n, xs), xs[1]
        if b is None:
            raise n.refuse("both inputs must be given")
        _small(n, np.broadcast_shapes(a.shape, b.shape))
        return np.asarray(function(a, b))


def _divide(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    if a.dtype.kind in "iu":  # towards zero
        if not b.all():
            raise ValueError("division by 0")
        return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)), a.dtype)
    return np.asarray(a / b)


for _name, _function in (
    ("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", _divide),
    ("Equal", np.equal), ("Less", np.less), ("Greater", np.greater),
):  # fmt: skip
    _binary(_name, _function)


def _unary(name: str, function: Callable[..., Any]) -> None:
    @fold(name)
    def compute(n: NodeView, xs: Arrays) -> NDArray[Any]:
        n.count(1, 1)
        return np.asarray(function(_first(n, xs)))


for _name, _one in (
    ("Neg", np.negative), ("Sqrt", np.sqrt), ("Floor", np.floor), ("Ceil", np.ceil),
    ("Not", np.logical_not), ("Abs", np.abs), ("Reciprocal", np.reciprocal),
):  # fmt: skip
    _unary(_name, _one)


@fold("Constant")
def constant(n: NodeView, xs: Arrays) -> NDArray[Any]:
    n.count(0, 0)
    return n.constant()


@fold("ConstantOfShape")
def filled(n: NodeView, xs: Arrays) -> NDArray[Any]:
    value = n.tensor("value")
    if value is None:
        value = np.zeros(1, np.float32)
    if value.size != 1:
        raise n.refuse("value must be one number")
    return np.full(_small(n, n.whole(0, "shape")), value.reshape(-1)[0], value.dtype)


@fold("Cast")
def cast(n: NodeView, xs: Arrays) -> NDArray[Any]:
    n.ignore("saturate", "round_mode")
    dtype = DTYPES.get(n.integer("to", 0))
    if dtype is None:
        raise n.refuse(f"to must be a plain number type, got ONNX type {n.integer('to', 0)}")
    return _first(n, xs).astype(dtype)


@fold("CastLike")
def cast_like(n: NodeView, xs: Arrays) -> NDArray[Any]:
    n.count(2, 2)
    n.ignore("saturate", "round_mode")
    return _first(n, xs).astype(n.const(1, "the target").dtype)


@fold("Gather")
def gather(n: NodeView, xs: Arrays) -> NDArray[Any]:
    n.count(2, 2)
    x = _first(n, xs)
    index = n.const(1, "indices")
    axis = n.one_axis(0, x.ndim)
    size = x.shape[axis]
    fits = index.size == 0 or (-size <= int(index.min()) and int(index.max()) < size)
    if index.dtype.kind not in "iu" or not fits:
        raise n.refuse(f"indices must be whole numbers within the {size} of its axis")
    _small(n, (*index.shape, *x.shape[:axis], *x.shape[axis + 1 :]))
    return np.take(x, index, axis)


@fold("Concat")
def concat(n: NodeView, xs: Arrays) -> NDArray[Any]:
    parts = [x for x in xs if x is not None]
    axis = n.one_axis(0, _first(n, xs).ndim)
    _small(n, (sum(p.size for p in parts),))
    return np.concatenate(parts, axis)


@fold("Unsqueeze")
def unsqueeze(n: NodeView, xs: Arrays) -> NDArray[Any]:
    x = _first(n, xs)
    count = len(n.raw.attrs.get("axes") or (n.whole(1, "axes") if n.given(1) else ()))
    axes = n.axes(1, x.ndim + count)
    if axes is None or x.ndim + count > 8:
        raise n.refuse("axes must be given, and few")
    return np.expand_dims(x, tuple(axes))


@fold("Squeeze")
def squeeze(n: NodeView, xs: Arrays) -> NDArray[Any]:
    x = _first(n, xs)
    axes = n.axes(1, x.ndim)
    return np.squeeze(x, None if axes is None else tuple(axes))


@fold("Reshape")
def reshape(n: NodeView, xs: Arrays) -> NDArray[Any]:
    x, target = _first(n, xs), n.whole(1, "shape")
    if not n.flag("allowzero"):
        target = [x.shape[i] if d == 0 and i < x.ndim else d for i, d in enumerate(target)]
    return x.reshape(target)


@fold("Transpose")
def transpose(n: NodeView, xs: Arrays) -> NDArray[Any]:
    x = _first(n, xs)
    return x.transpose(n.integers("perm", tuple(range(x.ndim))[::-1], x.ndim))


@fold("Slice")
def slices(n: NodeView, xs: Arrays) -> NDArray[Any]:
    x = _first(n, xs)
    if n.opset < 10:
        starts, ends = n.integers("starts") or [], [min(e, 1 << 40) for e in n.raw.attrs["ends"]]
        n.ignore("ends")
        axes, steps = n.integers("axes", range(len(starts))) or [], [1] * len(starts)
    else:
        starts, ends = n.whole(1, "starts"), n.whole(2, "ends")
        axes = n.whole(3, "axes") if n.given(3) else list(range(len(starts)))
        steps = n.whole(4, "steps") if n.given(4) else [1] * len(starts)
    if any(not -x.ndim <= a < x.ndim for a in axes) or 0 in steps:
        raise n.refuse(f"axes must lie in the {x.ndim} of its input and steps not be 0")
    cut = [slice(None)] * x.ndim
    for a, start, end, step in zip(axes, starts, ends, steps, strict=True):
        stop = None if step < 0 and end < -x.shape[a] else end
        cut[a] = slice(start, stop, step)
    return x[tuple(cut)]


@fold("Expand")
def expand(n: NodeView, xs: Arrays) -> NDArray[Any]:
    x = _first(n, xs)
    shape = np.broadcast_shapes(x.shape, tuple(n.whole(1, "shape")))
    return np.broadcast_to(x, _small(n, shape))


@fold("Where")
def where(n: NodeView, xs: Arrays) -> NDArray[Any]:
    n.count(3, 3)
    parts = [n.const(i, f"input {i}") for i in range(3)]
    _small(n, np.broadcast_shapes(*(p.shape for p in parts)))
    return np.where(*parts)


@fold("Range")
def ranged(n: NodeView, xs: Arrays) -> NDArray[Any]:
    start = n.const(0, "start")
    a, b, s = (n.scalar(i, "a limit") or 0.0 for i in range(3))
    if s == 0 or not math.isfinite(a + b + s):
        raise n.refuse("start, limit and delta must be numbers, delta not 0")
    _small(n, (max(0, math.ceil((b - a) / s)),))
    found: NDArray[Any] = np.arange(a, b, s).astype(start.dtype)
    return found


@fold("ReduceProd")
def product(n: NodeView, xs: Arrays) -> NDArray[Any]:
    x = _first(n, xs)
    axes = n.axes(1, x.ndim)
    n.flag("noop_with_empty_axes")
    keep = n.flag("keepdims", True)
    return np.asarray(
        np.prod(x, None if axes is None else tuple(axes), dtype=x.dtype, keepdims=keep)
    )


@operator("Shape")
def shape(b: Builder, n: NodeView) -> Const:
    """Sizes of a value of the network: known but for the samples, whose number stands in."""
    n.count(1, 1)
    full = (b.batch, *n.value(0).shape)
    return Const(np.array(full[n.integer("start", 0) : n.integer("end", len(full))], np.int64))


@operator("Size")
def size(b: Builder, n: NodeView) -> Const:
    """Number of elements of a value of the network."""
    n.count(1, 1)
    return Const(np.array(b.batch * n.value(0).size, np.int64))


@fold("Shape")
def shape_of_constant(n: NodeView, xs: Arrays) -> NDArray[Any]:
    full = _first(n, xs).shape
    return np.array(full[n.integer("start", 0) : n.integer("end", len(full))], np.int64)


@fold("Size")
def size_of_constant(n: NodeView, xs: Arrays) -> NDArray[Any]:
    return np.array(_first(n, xs).size, np.int64)


@fold("Identity")
def same(n: NodeView, xs: Arrays) -> NDArray[Any]:
    n.count(1, 1)
    return _first(n, xs)
