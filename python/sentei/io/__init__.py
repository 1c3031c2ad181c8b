"""Read and write models: one safetensors file, no pickle; ONNX files of other frameworks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sentei.io.model_file import FORMAT, load, load_checkpoint, save

if TYPE_CHECKING:
    from sentei.io.onnx_in import import_onnx

__all__ = ["FORMAT", "import_onnx", "load", "load_checkpoint", "save"]

_LATER = {"import_onnx": "onnx_in"}  # imported when first used


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"sentei.io.{_LATER[name]}"), name)
    raise AttributeError(f"module 'sentei.io' has no attribute {name!r}")
