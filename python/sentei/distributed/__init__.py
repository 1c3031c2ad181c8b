"""Training beyond one process: Downpour SGD, synchronous SGD with backup workers and L-BFGS on Ray;
all-reduce data parallelism and split layers on MPI.

Importing this package imports no engine; `cluster()` does, and `comm()` under mpiexec.
"""

from __future__ import annotations

import importlib
from typing import Any

# Name to the file that has it; loaded when first used.
_NAMES = {
    "AdaGrad": "sentei.optim",
    "ClusterError": "sentei.distributed.engine",
    "Comm": "sentei.distributed.mpi",
    "DataParallel": "sentei.distributed.replicate",
    "Fault": "sentei.distributed.faults",
    "LostError": "sentei.distributed.engine",
    "Minibatches": "sentei.distributed.network",
    "Network": "sentei.distributed.network",
    "Result": "sentei.distributed.result",
    "SGD": "sentei.optim",
    "cluster": "sentei.distributed.ray_cluster",
    "comm": "sentei.distributed.mpi",
    "data_parallel": "sentei.distributed.fit_parallel",
    "downpour": "sentei.distributed.asynchronous",
    "sandblaster": "sentei.distributed.coordinator",
    "split": "sentei.distributed.split_layers",
    "synchronous": "sentei.distributed.synchronous_sgd",
}

__all__ = sorted(_NAMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'sentei.distributed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_NAMES)
