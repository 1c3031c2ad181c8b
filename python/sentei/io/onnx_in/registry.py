"""One function per ONNX operator, found by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from sentei.io.onnx_in.builder import Builder
    from sentei.io.onnx_in.node import NodeView
    from sentei.io.onnx_in.values import Const, Value

__all__ = ["FOLDS", "OPERATORS", "fold", "operator"]

Handler = Callable[["Builder", "NodeView"], "Value | Const"]
Fold = Callable[["NodeView", Sequence[NDArray[Any] | None]], NDArray[Any]]

OPERATORS: dict[str, Handler] = {}  # on values of the network
FOLDS: dict[str, Fold] = {}  # on constants, by NumPy


def operator(*names: str) -> Callable[[Handler], Handler]:
    """Make a function the reader of these operators."""

    def add(function: Handler) -> Handler:
        for name in names:
            OPERATORS[name] = function
        return function

    return add


def fold(*names: str) -> Callable[[Fold], Fold]:
    """Make a function what computes these operators while reading, when all inputs are constants."""

    def add(function: Fold) -> Fold:
        for name in names:
            FOLDS[name] = function
        return function

    return add
