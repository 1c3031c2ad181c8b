"""How products are computed: an attribute of convolutions and linear layers."""

from __future__ import annotations

from sentei import _core
from sentei.graph import Attrs

__all__ = ["PRECISIONS", "check_precision", "precision_of"]

PRECISIONS = ("float32", "precise", "fast", "tf32", "bfloat16")  # see docs/how-to/numerics.md


def precision_of(attrs: Attrs) -> str:
    """Return a node's precision; float32 where none was chosen (sentei.passes.precision)."""
    return str(attrs.get("precision", "float32"))


def check_precision(who: str, name: str, device: str) -> None:
    """Raise ValueError where products of this name cannot be had on `device`."""
    there = _core.precisions(device)
    if name not in there:
        names = f"{', '.join(there[:-1])} or {there[-1]}"
        raise ValueError(f"{who}: precision must be {names} on {device}, got {name}")
