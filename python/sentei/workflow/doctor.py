"""What this installation and this machine can do; looks everywhere, raises nowhere."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["cpu_model", "cpu_quota", "examine", "versions"]

CGROUP = Path("/sys/fs/cgroup")
_PACKAGES = ("numpy", "safetensors", "rich", "typer", "pydantic")
# Extra -> what must import, what it is for.
_EXTRAS = {
    "plot": (("matplotlib",), "figures as PNG"),
    "images": (("PIL",), "folders of own images, pictures of units"),
    "onnx": (("onnx", "onnxruntime"), "ONNX files in and out"),
    "search": (("optuna",), "search over settings"),
    "distributed": (("ray",), "training on several machines with Ray"),
    "mpi": (("mpi4py",), "data-parallel training with MPI"),
    "torch": (("torch", "onnx", "onnxscript"), "networks from PyTorch and back"),
}
_FEATURES = ("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl",
             "avx512_vnni", "avx512_bf16", "amx_tile")  # fmt: skip


def examine() -> dict[str, Any]:
    """Gather build, CPU, threads, memory, devices, versions and extras.

    Returns:
        JSON data. "ok" is False when something needed is missing or broken; "problems" says what.
        A part that could not be looked at holds {"error": reason}.
    """
    problems: list[str] = []

    def part(look: Callable[[], Any]) -> Any:
        try:
            return look()
        except Exception as e:  # the point of this command: say so and go on
            problems.append(f"{look.__name__.strip('_').replace('_', ' ')}: {e}")
            return {"error": str(e)}

    found = {
        "version": part(_version),
        "build": part(_build),
        "cpu": part(_cpu),
        "threads": part(_threads),
        "memory": part(_memory),
        "devices": part(_devices),
        "versions": part(versions),
        "extras": part(_extras),
        "self_test": part(_self_test),
    }
    for name, version in (found["versions"] or {}).items():
        if version == "missing":
            problems.append(f"the package {name} is missing")
    return {"ok": not problems, "problems": problems, **found}


def versions() -> dict[str, str]:
    """Versions of sentei, Python and the packages that sentei needs."""
    from sentei import __version__

    out = {"sentei": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            out[name] = "missing"
    return out


def cpu_model() -> str:
    """Name of the CPU as the system gives it, or the architecture."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine() or "unknown"


def _version() -> str:
    from sentei import __version__

    return __version__


def _build() -> dict[str, Any]:
    from sentei import _core

    info = dict(_core.build_info())
    info["module"] = str(getattr(_core, "__file__", ""))
    return info


def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    first = text.split("\n\n", 1)[0]
    rows = (line.partition(":") for line in first.splitlines())
    return {k.strip(): v.strip() for k, _, v in rows}


def _cpu() -> dict[str, Any]:
    from sentei import _core

    flags = set(_cpuinfo().get("flags", "").split())
    tiers = _core.isa_info()
    return {
        "model": cpu_model(),
        "machine": platform.machine(),
        "features": [f for f in _FEATURES if f in flags],
        "tier": tiers["active"],
        "tiers_built": list(tiers["built"]),
        "tiers_supported": list(tiers["supported"]),
        "bfloat16": _core.bfloat16_info()["active"],
    }


def _threads() -> dict[str, Any]:
    from sentei import _core

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "used": _core.threads(),
        "why": _core.threads_source(),
        "default": _core.default_threads(),
        "cpus": os.cpu_count(),
        "affinity": allowed,
        "cgroup_quota": cpu_quota(),
    }


def cpu_quota() -> float | None:
    """CPUs that the control group allows; None: no limit, or none that can be read."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        pass
    try:  # version 1 of control groups
        quota_us = int((CGROUP / "cpu/cpu.cfs_quota_us").read_text())
        period_us = int((CGROUP / "cpu/cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def _memory() -> dict[str, Any]:
    rows: dict[str, int] = {}
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            key, _, rest = line.partition(":")
            rows[key] = int(rest.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    limit = None
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            number = int((CGROUP / file).read_text())
        except (OSError, ValueError):
            continue
        limit = number if number < 1 << 60 else None  # v1 writes "no limit" as a huge number
        break
    return {
        "total_bytes": rows.get("MemTotal"),
        "available_bytes": rows.get("MemAvailable"),
        "cgroup_limit_bytes": limit,
    }


def _devices() -> dict[str, Any]:
    from sentei import device

    state = device.cuda_state()
    return {
        **device.devices(),
        "cuda_driver": state.driver,
        "cuda_runtime": state.runtime,
        "cuda_found": [dict(d) for d in state.devices],
    }


def _extras() -> dict[str, Any]:
    out = {}
    for extra, (modules, purpose) in _EXTRAS.items():
        missing = [m for m in modules if not _present(m)]
        out[extra] = {"present": not missing, "missing": missing, "for": purpose}
    return out


def _present(module: str) -> bool:
    if module in sys.modules:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _self_test() -> str:
    import numpy as np

    from sentei.device import cuda_state, using
    from sentei.ops import add_forward

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    places = ["cpu", "cuda"] if cuda_state().state == "ready" else ["cpu"]
    for place in places:
        with using(place):
            y = add_forward(x, x).numpy()
        if not np.array_equal(y, x + x):
            raise RuntimeError(f"a kernel on {place} gave a wrong sum")
    return "ok"
