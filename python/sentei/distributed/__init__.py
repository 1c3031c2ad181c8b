"""Training beyond one process: all-reduce data parallelism and split layers on MPI.

Importing this package imports no engine; `comm()` under mpiexec does.
"""

from __future__ import annotations

import importlib
from typing import Any

# Name to the file that has it; loaded when first used.
_NAMES = {
    "Comm": "sentei.distributed.mpi",
    "DataParallel": "sentei.distributed.replicate",
    "comm": "sentei.distributed.mpi",
    "data_parallel": "sentei.distributed.fit_parallel",
    "split": "sentei.distributed.split_layers",
}

__all__ = sorted(_NAMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'sentei.distributed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_NAMES)
