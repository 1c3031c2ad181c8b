"""Layers that join, reshape or drop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sentei.errors import GraphError, ShapeError
from sentei.graph import Spec
from sentei.nn.check import flag, number
from sentei.nn.symbol import Layer, Symbol, apply, claim, need_symbol, shown

__all__ = ["Add", "Concat", "Dropout", "Flatten", "Join"]


@dataclass(frozen=True)
class Flatten(Layer):
    """(N, H, W, C) -> (N, H W C), in the order rows, columns, channels; nothing is copied."""

    kind: ClassVar[str] = "flatten"

    def emit(self, x: Symbol, name: str) -> Symbol:
        return apply("flatten", (x,), name)


@dataclass(frozen=True)
class Dropout(Layer):
    """Drop values at random while training.

    inverted (default): y = x mask / (1 - p), and x itself at inference. Otherwise the form of [S, eq. 3,
    4]: y = x mask, and (1 - p) x at inference. Both have the same expectation.

    Args:
        p (float): probability to DROP, in [0, 1); 0 adds no node. inverted (bool).
    Adds the graph input "rng" (2,) int64 = (seed, step); every layer draws a stream of its own.
    """

    kind: ClassVar[str] = "dropout"
    p: float = 0.5
    inverted: bool = True

    def __post_init__(self) -> None:
        number("Dropout", "p", self.p, 0.0, 1.0)
        flag("Dropout", "inverted", self.inverted)

    def emit(self, x: Symbol, name: str) -> Symbol:
        if self.p == 0:
            return x
        if "rng" not in x.graph.values:
            x.graph.add_input("rng", Spec((2,), "int64"))
        stream = sum(n.op.name == "dropout" for n in x.graph.nodes)
        attrs = {"keep": 1.0 - self.p, "stream": stream, "inverted": self.inverted}
        return apply("dropout", (x, "rng"), name, attrs)


@dataclass(frozen=True)
class Join:
    """What puts several values together; it is called on them, so it is no part of a Sequential."""

    kind: ClassVar[str] = "join"
    name: str | None = field(default=None, kw_only=True)

    def _named(self, xs: tuple[Symbol, ...], name: str | None) -> str:
        word = type(self).__name__
        for x in xs:
            need_symbol(x, word)
        if len(xs) < 2:
            raise GraphError(f"{word}: inputs must be at least two, got {len(xs)}")
        full = claim(xs[0], self.kind, name or self.name)
        for x in xs:
            if x.graph is not xs[0].graph:
                raise GraphError(
                    f"{full}: all inputs must come from one Input, got {x.value!r} of another"
                )
        return full


@dataclass(frozen=True)
class Add(Join):
    """Add values of one shape: the join of a residual network. Call with two or more Symbols."""

    kind: ClassVar[str] = "add"

    def __call__(self, *xs: Symbol, name: str | None = None) -> Symbol:
        full = self._named(xs, name)
        for x in xs[1:]:
            if x.shape != xs[0].shape:
                raise ShapeError(
                    f"{full}: all inputs must have shape {shown(xs[0].spec.shape)} like "
                    f"{xs[0].value!r}, got {shown(x.spec.shape)} of {x.value!r}"
                )
        total = xs[0]
        for k, x in enumerate(xs[1:], 1):
            total = apply("add", (total, x), full if k == len(xs) - 1 else f"{full}.partial{k}")
        return total


@dataclass(frozen=True)
class Concat(Join):
    """Put values side by side along the channels. Call with two or more Symbols."""

    kind: ClassVar[str] = "concat"

    def __call__(self, *xs: Symbol, name: str | None = None) -> Symbol:
        full = self._named(xs, name)
        for x in xs[1:]:
            if x.shape[:-1] != xs[0].shape[:-1]:
                raise ShapeError(
                    f"{full}: all inputs must have one shape but for the channels, "
                    f"got {shown(xs[0].spec.shape)} and {shown(x.spec.shape)}"
                )
        return apply("concat", xs, full)
