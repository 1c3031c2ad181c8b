"""Every operation: its record for graphs (upper case) and its eager function."""

from sentei.ops.add import ADD, add_forward
from sentei.ops.fill import FILL, fill_forward

__all__ = [
    "ADD",
    "FILL",
    "add_forward",
    "fill_forward",
]
