"""Checks of layer arguments: one sentence each."""

from __future__ import annotations

from typing import Any

from sentei.errors import GraphError

__all__ = ["Pair", "flag", "integer", "number", "pair", "text"]

Pair = int | tuple[int, int]


def integer(layer: str, argument: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise GraphError(
            f"{layer}: {argument} must be a whole number of at least {least}, got {value!r}"
        )
    return value


def pair(layer: str, argument: str, value: Any, least: int = 1) -> tuple[int, int]:
    """(rows, columns) from one whole number or a pair of them."""
    both = value if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or any(
        isinstance(v, bool) or not isinstance(v, int) or v < least for v in both
    ):
        raise GraphError(
            f"{layer}: {argument} must be a whole number of at least {least} or a pair of them, "
            f"got {value!r}"
        )
    return (both[0], both[1])


def number(
    layer: str,
    argument: str,
    value: Any,
    low: float = float("-inf"),
    high: float = float("inf"),
    *,
    above: bool = False,
) -> float:
    """A finite number in [low, high), or in (low, high) when `above`."""
    ok = isinstance(value, int | float) and not isinstance(value, bool)
    if not ok or not (low < value if above else low <= value) or not value < high:
        left = f"above {low}" if above else f"at least {low}"
        sides = [] if low == float("-inf") else [left]
        sides += [] if high == float("inf") else [f"below {high}"]
        raise GraphError(
            f"{layer}: {argument} must be a number{' ' if sides else ''}{' and '.join(sides)}, "
            f"got {value!r}"
        )
    return float(value)


def flag(layer: str, argument: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise GraphError(f"{layer}: {argument} must be True or False, got {value!r}")
    return value


def text(layer: str, argument: str, value: Any) -> str:
    """A name: not empty, no blanks at its ends."""
    if not isinstance(value, str) or not value or value != value.strip():
        raise GraphError(
            f"{layer}: {argument} must be a word of at least one letter, got {value!r}"
        )
    return value
