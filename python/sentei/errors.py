"""The kinds of error that sentei raises; every message is one sentence that names the argument."""

from pathlib import Path

__all__ = [
    "DTypeError",
    "DataError",
    "DeviceError",
    "GraphError",
    "NonFiniteError",
    "SenteiError",
    "ShapeError",
]


class SenteiError(Exception):
    """Base of all errors of this package."""


class ShapeError(SenteiError, ValueError):
    """An array has the wrong shape."""


class DTypeError(SenteiError, TypeError):
    """An array has the wrong element type."""


class DeviceError(SenteiError, RuntimeError):
    """A device is missing, or an array is on the wrong one."""


class GraphError(SenteiError, ValueError):
    """A network is put together wrongly."""


class DataError(SenteiError, ValueError):
    """A file or data set is damaged or does not fit."""


class NonFiniteError(SenteiError, ArithmeticError):
    """Training met a value that is not finite: in which step, where first, and what is safe."""

    step: int = 0
    where: str = ""
    checkpoint: Path | None = None
