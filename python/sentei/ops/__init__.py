"""Every operation: its record for graphs (upper case) and its eager function."""

from sentei.ops.add import ADD, add_forward

__all__ = [
    "ADD",
    "add_forward",
]
