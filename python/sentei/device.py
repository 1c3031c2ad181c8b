"""Threads, and the devices that can be used: each missing one with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sentei import _core
from sentei.errors import DeviceError

__all__ = [
    "CudaState",
    "cuda_state",
    "default_device",
    "devices",
    "require",
    "set_threads",
    "synchronize",
    "threads",
    "using",
    "words",
]


@dataclass(frozen=True)
class CudaState:
    """Why CUDA can or cannot be used. state: ready, not_built, no_driver, old_driver, no_device,
    no_code or broken."""

    state: str
    reason: str
    devices: tuple[dict[str, Any], ...] = ()
    driver: str | None = None
    runtime: str | None = None


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def cuda_state() -> CudaState:
    """Look for usable CUDA devices; never raises."""
    info = _core.build_info()
    if not info["cuda_built"]:
        return CudaState(
            "not_built", f"the CUDA module is not part of this build: {info['cuda_reason']}"
        )
    try:
        from sentei import _cuda

        found = _cuda.query_devices()
    except Exception as e:
        return CudaState("broken", f"the CUDA module cannot be loaded: {e}")
    runtime = _version(found["runtime_version"])
    if found["driver_version"] == 0:
        return CudaState(
            "no_driver", "no NVIDIA driver is installed on this machine", runtime=runtime
        )
    driver = _version(found["driver_version"])
    if found["driver_version"] // 1000 < found["runtime_version"] // 1000:
        text = f"the NVIDIA driver supports CUDA {driver}, this build needs {runtime} or newer"
        return CudaState("old_driver", text, driver=driver, runtime=runtime)
    if found["error"] or not found["devices"]:
        text = found["error"] or "the driver lists no device"
        return CudaState(
            "no_device", f"no CUDA device can be used: {text}", driver=driver, runtime=runtime
        )
    devices = tuple(found["devices"])
    first = devices[0]  # where all work is done
    if not first["usable"]:
        text = (
            f"this build has code for {info['cuda_archs']}, which does not run on {first['name']} "
            f"(compute capability {first['compute_capability']}): {first['problem']}"
        )
        if any(d["usable"] for d in devices):
            text += "; CUDA_VISIBLE_DEVICES can put another device first"
        return CudaState("no_code", text, devices, driver, runtime)
    return CudaState("ready", "ready", devices, driver, runtime)


def devices() -> dict[str, str]:
    """Every kind of device with "ready" or the reason why it cannot be used.

    >>> sentei.devices()["cpu"]
    'ready'
    """
    return {"cpu": "ready", "cuda": cuda_state().reason}


def require(device: str) -> str:
    """Return the device that "auto", "cpu" or "cuda" stands for, ready to be used.

    "auto" is cuda where it is ready, else cpu.

    Raises:
        DeviceError: the device cannot be used; the message says why.
        ValueError: the name is unknown.
    """
    if device == "cpu":
        return "cpu"
    if device not in ("auto", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, got {device!r}")
    if _core.installed_backend() is not None:
        return "cuda"
    state = cuda_state()
    if state.state == "ready":
        from sentei import _cuda

        _core.install_backend(_cuda.backend())
        return "cuda"
    if device == "auto":
        return "cpu"
    raise DeviceError(f"device cuda cannot be used: {state.reason}")


def words(device: str) -> str:
    """Return "cpu", or "cuda" with the name of the GPU, for a device that `require` takes."""
    if require(device) == "cpu":
        return "cpu"
    found = cuda_state().devices
    return f"cuda ({found[0]['name']})" if found else f"cuda ({_core.installed_backend()})"


_default: ContextVar[str] = ContextVar("sentei device", default="cpu")


def default_device() -> str:
    """Return where eager functions put NumPy arrays: cpu unless `using` says otherwise."""
    return _default.get()


@contextmanager
def using(device: str) -> Iterator[str]:
    """Let eager functions put NumPy arrays on this device inside a `with` block.

    Raises:
        DeviceError, ValueError: as `require`.
    """
    chosen = require(device)
    token = _default.set(chosen)
    try:
        yield chosen
    finally:
        _default.reset(token)


def synchronize() -> None:
    """Wait until the device has done all it was asked."""
    _core.synchronize()


def threads() -> int:
    """Return how many threads kernels use."""
    return _core.threads()


def set_threads(n: int) -> None:
    """Set how many threads kernels use; results do not depend on it.

    Raises:
        ValueError: n is not between 1 and 4096.
    """
    _core.set_threads(n)


@contextmanager
def using_threads(n: int) -> Iterator[None]:
    """Use n threads inside a `with` block."""
    before = threads()
    set_threads(n)
    try:
        yield
    finally:
        set_threads(before)
