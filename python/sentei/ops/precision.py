"""How products are computed: an attribute of convolutions and linear layers."""

from __future__ import annotations

from sentei.graph import Attrs

__all__ = ["PRECISIONS", "precision_of"]

PRECISIONS = ("float32", "tf32", "bfloat16")  # the last two round operands, on cuda only


def precision_of(attrs: Attrs) -> str:
    """Return a node's precision; float32 where none was chosen (sentei.passes.precision)."""
    return str(attrs.get("precision", "float32"))
