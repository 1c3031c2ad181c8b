"""The devices that tests run on: cpu, cusim (the CUDA kernels on the emulator) and cuda."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sentei import _core
from sentei.device import cuda_state, using


def ready() -> bool:
    """Whether this machine has a GPU that can be used."""
    return cuda_state().state == "ready"


# Without a GPU one test says so (test_devices.py), not every test that would run on it.
ALL = ("cpu", "cusim", "cuda") if ready() else ("cpu", "cusim")


def backend(name: str) -> Any:
    """The backend to install for a device; skips with the reason where there is none."""
    if name == "cusim":
        module = pytest.importorskip(
            "sentei._cusim", reason="the emulator is not built (SENTEI_CUSIM=ON builds it)"
        )
        return module.backend()
    state = cuda_state()
    if state.state != "ready":
        pytest.skip(state.reason)
    from sentei import _cuda

    return _cuda.backend()


@contextmanager
def on(name: str) -> Iterator[str]:
    """Make `name` the default device; for cusim and cuda sentei calls it "cuda"."""
    if name == "cpu":
        yield name
        return
    _core.install_backend(backend(name))
    try:
        with using("cuda"):
            yield "cuda"
    finally:
        _core.install_backend(None)
