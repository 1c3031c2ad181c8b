"""Signatures of the compiled CUDA module."""

from typing import Any

def query_devices() -> dict[str, Any]: ...
