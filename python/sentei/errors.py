"""The five kinds of error that `sentei` raises on purpose.

Each message is one sentence: `op: argument must ..., got ...`.
"""

__all__ = ["DTypeError", "DataError", "DeviceError", "GraphError", "ShapeError"]


class ShapeError(ValueError):
    """An array or an attribute has the wrong rank or the wrong sizes."""


class DTypeError(TypeError):
    """An array has the wrong element type."""


class DeviceError(RuntimeError):
    """A device is missing, or tensors lie on different devices."""


class GraphError(ValueError):
    """A graph is not well formed, or a pass cannot be applied to it."""


class DataError(ValueError):
    """A file or a data set from outside is damaged, incomplete or does not fit."""
