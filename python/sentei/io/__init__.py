"""Read and write models: one safetensors file, no pickle; ONNX files of other frameworks; PyTorch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sentei.io.model_file import FORMAT, load, load_checkpoint, save

if TYPE_CHECKING:
    from sentei.io.onnx_in import import_onnx
    from sentei.io.torch_in import from_torch
    from sentei.io.torch_state import load_torch_state_dict, to_torch_state_dict

__all__ = [
    "FORMAT",
    "from_torch",
    "import_onnx",
    "load",
    "load_checkpoint",
    "load_torch_state_dict",
    "save",
    "to_torch_state_dict",
]

_LATER = {  # imported when first used
    "from_torch": "torch_in",
    "import_onnx": "onnx_in",
    "load_torch_state_dict": "torch_state",
    "to_torch_state_dict": "torch_state",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"sentei.io.{_LATER[name]}"), name)
    raise AttributeError(f"module 'sentei.io' has no attribute {name!r}")
