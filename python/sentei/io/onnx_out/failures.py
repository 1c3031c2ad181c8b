"""What can go wrong on the way out."""

from __future__ import annotations

import importlib
from typing import Any

from sentei.errors import SenteiError

__all__ = ["ExportError", "ExportMismatchError", "extra"]


class ExportError(SenteiError, ValueError):
    """A network, or a setting, that cannot be written as ONNX."""


class ExportMismatchError(ExportError):
    """The file that would have been written does not say what the network says."""


def extra(module: str) -> Any:
    """Import a package of the extra `onnx`.

    Raises:
        ExportError: it is not installed; names the command.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ExportError(
            f'export: {module} is needed and not installed: pip install "sentei[onnx]"'
        ) from None
