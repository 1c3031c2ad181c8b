"""Name the nearest known word when a name is not one of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["unknown"]


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Say in one sentence that `name` is not known, with the nearest name if one is near."""
    words = sorted(known)
    near = difflib.get_close_matches(str(name), words, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"{what} must be one of {', '.join(words)}, got {name!r}{hint}"
