"""Plain JSON forms of small settings objects (frozen dataclasses), and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from sentei.errors import DataError

__all__ = ["described", "from_description"]


def described(thing: Any) -> Any:
    """Return {"kind": class name, field: value, ...} of a dataclass; other values as JSON has them."""
    if is_dataclass(thing) and not isinstance(thing, type):
        rest = {f.name: described(getattr(thing, f.name)) for f in fields(thing) if f.init}
        return {"kind": type(thing).__name__, **rest}
    if isinstance(thing, Mapping):
        return {str(k): described(v) for k, v in thing.items()}
    if isinstance(thing, list | tuple):
        return [described(x) for x in thing]
    return thing


def from_description(data: Any, kinds: Iterable[type]) -> Any:
    """Build the object that `described` gave, of one of these classes.

    Raises:
        DataError: an unknown kind, or settings that the class refuses.
    """
    known = {k.__name__: k for k in kinds}
    if isinstance(data, Mapping) and "kind" in data:
        kind = known.get(str(data["kind"]))
        if kind is None:
            raise DataError(
                f"settings: kind must be one of {sorted(known)}, got {str(data['kind'])!r:.60}"
            )
        settings = {
            str(k): from_description(v, known.values()) for k, v in data.items() if k != "kind"
        }
        try:
            return kind(**settings)
        except (TypeError, ValueError) as e:
            raise DataError(f"settings: {kind.__name__} cannot be made of {settings}: {e}") from e
    if isinstance(data, list):
        return tuple(from_description(x, known.values()) for x in data)
    return data
