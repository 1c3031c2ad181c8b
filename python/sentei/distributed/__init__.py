"""Training beyond one process: Downpour SGD and synchronous SGD with backup workers on Ray.

Importing this package imports no engine; `cluster()` does.
"""

from __future__ import annotations

import importlib
from typing import Any

# Name to the file that has it; loaded when first used.
_NAMES = {
    "AdaGrad": "sentei.optim",
    "ClusterError": "sentei.distributed.engine",
    "Fault": "sentei.distributed.faults",
    "LostError": "sentei.distributed.engine",
    "Result": "sentei.distributed.result",
    "SGD": "sentei.optim",
    "cluster": "sentei.distributed.ray_cluster",
    "downpour": "sentei.distributed.asynchronous",
    "sandblaster": "sentei.distributed.coordinator",
}

__all__ = sorted(_NAMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'sentei.distributed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_NAMES)
