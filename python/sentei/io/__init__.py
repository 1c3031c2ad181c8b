"""Read and write models: one safetensors file, no pickle; ONNX files."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sentei.io.model_file import FORMAT, load, load_checkpoint, save

if TYPE_CHECKING:
    from sentei.io.onnx_out import ExportError, ExportMismatchError, ExportReport, export_onnx

__all__ = [
    "FORMAT",
    "ExportError",
    "ExportMismatchError",
    "ExportReport",
    "export_onnx",
    "load",
    "load_checkpoint",
    "save",
]

_LATER = {  # imported when first used
    "ExportError": "onnx_out",
    "ExportMismatchError": "onnx_out",
    "ExportReport": "onnx_out",
    "export_onnx": "onnx_out",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"sentei.io.{_LATER[name]}"), name)
    raise AttributeError(f"module 'sentei.io' has no attribute {name!r}")
