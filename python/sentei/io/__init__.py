"""Read and write models: one safetensors file, no pickle; ONNX files, PyTorch's names and layouts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sentei.io.model_file import FORMAT, load, load_checkpoint, save
from sentei.io.torch_state import load_torch_state_dict, to_torch_state_dict

if TYPE_CHECKING:
    from sentei.io.onnx_in import import_onnx
    from sentei.io.onnx_out import ExportError, ExportMismatchError, ExportReport, export_onnx
    from sentei.io.torch_in import from_torch

__all__ = [
    "FORMAT",
    "ExportError",
    "ExportMismatchError",
    "ExportReport",
    "export_onnx",
    "from_torch",
    "import_onnx",
    "load",
    "load_checkpoint",
    "load_torch_state_dict",
    "save",
    "to_torch_state_dict",
]

# Imported when first used: they need extras, or time.
_LATER = {
    "ExportError": "onnx_out",
    "ExportMismatchError": "onnx_out",
    "ExportReport": "onnx_out",
    "export_onnx": "onnx_out",
    "from_torch": "torch_in",
    "import_onnx": "onnx_in",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"sentei.io.{_LATER[name]}"), name)
    raise AttributeError(f"module 'sentei.io' has no attribute {name!r}")
