"""How a value of ONNX (channels first) lies in our memory (channels last)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Const", "Layout", "Value"]

Index = NDArray[np.int64]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Const:
    """Numbers known while reading: a parameter, or part of the arithmetic on shapes."""

    array: NDArray[np.generic]
    name: str = ""  # of the initializer that it is


@dataclass(frozen=True)
class Layout:
    """Order of a sample's elements: ours are those of ONNX, seen with sizes `base`, axes moved to `axes`.

    An image is base (C, H, W) with axes (1, 2, 0). `rows` overrides both: element j of ours is rows[j].
    """

    base: Shape
    axes: tuple[int, ...]
    rows: bytes | None = None  # of int64, so that layouts can be compared

    @staticmethod
    def plain(*shape: int) -> Layout:
        return Layout(shape, tuple(range(len(shape))))

    @staticmethod
    def image(c: int, h: int, w: int) -> Layout:
        return Layout((c, h, w), (1, 2, 0))

    @staticmethod
    def listed(index: Index) -> Layout:
        return Layout((index.size,), (0,), np.ascontiguousarray(index, np.int64).tobytes())

    @cached_property
    def _core(self) -> tuple[Shape, tuple[int, ...], bytes | None]:
        """Without axes of one element, and with axes that stay neighbours made one."""
        kept = [a for a in self.axes if self.base[a] != 1]
        runs: list[list[int]] = []
        rank = {a: i for i, a in enumerate(sorted(kept))}
        for a in kept:
            if runs and rank[a] == rank[runs[-1][-1]] + 1:
                runs[-1].append(a)
            else:
                runs.append([a])
        order = sorted(range(len(runs)), key=lambda i: runs[i][0])
        base = tuple(math.prod(self.base[a] for a in runs[i]) for i in order)
        place = {i: k for k, i in enumerate(order)}
        return base, tuple(place[i] for i in range(len(runs))), self.rows

    def same(self, other: Layout) -> bool:
        """Whether both order the elements alike."""
        return self._core == other._core

    @property
    def is_plain(self) -> bool:
        """Whether the elements lie as in ONNX."""
        _, axes, rows = self._core
        return rows is None and axes == tuple(range(len(axes)))

    def index(self) -> Index:
        """For each element of ours, which one of ONNX it is."""
        if self.rows is not None:
            return np.frombuffer(self.rows, np.int64)
        n = math.prod(self.base)
        return np.arange(n, dtype=np.int64).reshape(self.base).transpose(self.axes).reshape(-1)

    def ordered(self, array: NDArray[Any]) -> NDArray[Any]:
        """`array` with its last axis, in the order of ONNX, in ours."""
        if self.rows is not None:
            return np.take(array, self.index(), -1)
        front = array.shape[:-1]
        split = array.reshape(*front, *self.base)
        axes = (*range(len(front)), *(len(front) + a for a in self.axes))
        return split.transpose(axes).reshape(array.shape)

    def transposed(self, shape: Shape, perm: tuple[int, ...]) -> Layout | None:
        """The layout after ONNX moves the axes of `shape`; None where it cannot be said simply."""
        seen = Layout.plain(*shape) if self.is_plain else self
        if seen.rows is not None or seen.base != shape:
            return None
        place = {a: i for i, a in enumerate(perm)}
        return Layout(tuple(shape[a] for a in perm), tuple(place[a] for a in seen.axes))


@dataclass(frozen=True)
class Value:
    """A value of the graph: `shape` in ONNX and `own` in our graph are those of one sample."""

    name: str
    own: Shape
    shape: Shape
    layout: Layout

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether ONNX sees (C, H, W) where we have (H, W, C)."""
        if len(self.shape) != 3 or len(self.own) != 3:
            return False
        c, h, w = self.shape
        return self.own == (h, w, c) and self.layout.same(Layout.image(c, h, w))
