"""sentei: train, prune and ship smaller, faster convolutional networks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Loaded when first used, so that `import sentei` stays fast.
_MODULES = (
    "data",
    "errors",
    "graph",
    "init",
    "io",
    "losses",
    "metrics",
    "model",
    "nn",
    "ops",
    "optim",
    "passes",
    "prune",
    "regularizers",
    "report",
    "run",
    "tensor",
    "train",
    "workflow",
)
_NAMES = {
    "Tensor": "tensor",
    "from_dlpack": "tensor",
    "from_numpy": "tensor",
    "Graph": "graph",
    "Model": "model",
    "devices": "device",
    "set_threads": "device",
    "threads": "device",
    "load": "io",
    "save": "io",
}

__all__ = ["__version__", *_MODULES, *_NAMES]  # noqa: PLE0604

if TYPE_CHECKING:
    from sentei.device import devices, set_threads, threads
    from sentei.graph import Graph
    from sentei.io import load, save
    from sentei.model import Model
    from sentei.tensor import Tensor, from_dlpack, from_numpy


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"sentei.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"sentei.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'sentei' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
