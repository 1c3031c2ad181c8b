"""The peak of this machine in float32: a loop of multiply-adds in registers on every thread.

The loop (peak.cpp) is built with the machine's own compiler; without one the best of torch.mm stands in
and the record says so.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parent / "peak.cpp"
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
ROUNDS = 10_000_000  # some 20 ms


@functools.cache
def _loop() -> Any:
    """The built function; None where there is no compiler."""
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "peak.so"
        command = [compiler, *FLAGS, str(SOURCE), "-o", str(library)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        function = ctypes.CDLL(str(library)).fma_gflops
    function.restype = ctypes.c_double
    function.argtypes = (ctypes.c_int64, ctypes.POINTER(ctypes.c_float))
    return function


def _loops(threads: int) -> float:
    """GFLOP/s of one run of the loop on all threads at once."""
    function, found = _loop(), [0.0] * threads
    ready = threading.Barrier(threads)

    def work(i: int) -> None:
        sink = ctypes.c_float()
        ready.wait()
        found[i] = function(ROUNDS, ctypes.byref(sink))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    return sum(found)


def _products(samples: int) -> float:
    """GFLOP/s of the best torch.mm (1024 x 1024)."""
    import torch

    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best = float("inf")
    for _ in range(samples + 2):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * 1024**3 / best / 1e9


def peak(threads: int, samples: int = 7) -> dict[str, Any]:
    """What a record keeps: the best of `samples` runs in GFLOP/s, and by what it was found."""
    if _loop() is None:
        return {"peak_gflops": _products(samples), "peak_by": "torch.mm"}
    best = max(_loops(threads) for _ in range(samples))
    return {"peak_gflops": best, "peak_by": "fma"}


if __name__ == "__main__":
    for n in (1, os.cpu_count() or 1):
        print(n, "threads:", peak(n))
