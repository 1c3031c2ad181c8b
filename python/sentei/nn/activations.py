"""Activations; at 0 every one takes its x <= 0 branch, in the derivative too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sentei.nn.check import number
from sentei.nn.symbol import Layer, Param, Symbol, apply, need_symbol

__all__ = [
    "ELU",
    "Identity",
    "LeakyReLU",
    "PReLU",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
]


@dataclass(frozen=True)
class _Plain(Layer):
    op: ClassVar[str] = ""

    def emit(self, x: Symbol, name: str) -> Symbol:
        return apply(type(self).op, (x,), name)


@dataclass(frozen=True)
class ReLU(_Plain):
    """max(x, 0)"""

    kind: ClassVar[str] = "relu"
    op: ClassVar[str] = "relu"


@dataclass(frozen=True)
class Sigmoid(_Plain):
    """1 / (1 + exp(-x)), the logistic function."""

    kind: ClassVar[str] = "sigmoid"
    op: ClassVar[str] = "logistic"


@dataclass(frozen=True)
class Tanh(_Plain):
    """tanh(x)"""

    kind: ClassVar[str] = "tanh"
    op: ClassVar[str] = "tanh"


@dataclass(frozen=True)
class Softplus(_Plain):
    """log(1 + exp(x))"""

    kind: ClassVar[str] = "softplus"
    op: ClassVar[str] = "softplus"


@dataclass(frozen=True)
class Step(_Plain):
    """1 where x > 0, else 0; its derivative is 0."""

    kind: ClassVar[str] = "step"
    op: ClassVar[str] = "step"


@dataclass(frozen=True)
class Softmax(_Plain):
    """exp(x_k) / sum_j exp(x_j) over the last axis. Losses from logits need none."""

    kind: ClassVar[str] = "softmax"
    op: ClassVar[str] = "softmax"


@dataclass(frozen=True)
class Identity(Layer):
    """x itself: no node is made, so that it has no name."""

    kind: ClassVar[str] = "identity"

    def __call__(self, x: Symbol, name: str | None = None) -> Symbol:
        need_symbol(x, "Identity")
        return x


@dataclass(frozen=True)
class LeakyReLU(Layer):
    """x where x > 0, alpha x elsewhere."""

    kind: ClassVar[str] = "leaky"
    alpha: float = 0.01

    def __post_init__(self) -> None:
        number("LeakyReLU", "alpha", self.alpha)

    def emit(self, x: Symbol, name: str) -> Symbol:
        return apply("leaky_relu", (x,), name, {"alpha": float(self.alpha)})


@dataclass(frozen=True)
class ELU(Layer):
    """x where x > 0, alpha (exp(x) - 1) elsewhere."""

    kind: ClassVar[str] = "elu"
    alpha: float = 1.0

    def __post_init__(self) -> None:
        number("ELU", "alpha", self.alpha)

    def emit(self, x: Symbol, name: str) -> Symbol:
        return apply("elu", (x,), name, {"alpha": float(self.alpha)})


@dataclass(frozen=True)
class PReLU(Layer):
    """x where x > 0, a x elsewhere; a (1,) is learnt, from 0.25, without weight decay."""

    kind: ClassVar[str] = "prelu"

    def emit(self, x: Symbol, name: str) -> Symbol:
        return apply("prelu", (x, Param("a", (1,))), name)
