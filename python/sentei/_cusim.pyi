"""Signatures of the emulator that runs the CUDA kernels on a CPU, for tests."""

from typing import Any

def backend() -> Any: ...
def configure(
    order: str = "random", copies: str = "lazy", seed: int = 1, threads: int = 1
) -> None: ...
