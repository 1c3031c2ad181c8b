"""Timing: arms interleaved in one run, medians and percentiles, one JSON line a record."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
SETTLE = 0.02  # seconds


def interleaved(
    arms: Mapping[str, Callable[[], object]],
    samples: int,
    warmup: int = 2,
    at_least_ms: float = 0.0,
    seconds: float | None = None,
) -> dict[str, dict[str, float]]:
    """Milliseconds of every arm: one sample of each in turn, so that other load hits all alike.

    Before each sample the threads of the arm before get time to fall asleep (OpenMP's wait busily for some
    20 ms, on the cores that the next arm needs), and one short call fills the caches, not timed.
    at_least_ms: calls shorter than this are repeated within a sample.
    seconds: when they are over no further round of samples begins, but two are always made; arms
    whose first call takes longer than a second are warmed up by it alone.
    """
    counts: dict[str, int] = {}
    short: dict[str, bool] = {}
    for name, f in arms.items():
        spent = 0.0
        for i in range(warmup):
            if seconds is not None and i and spent > 1:
                break
            start = time.perf_counter()
            f()
            spent = time.perf_counter() - start
        short[name] = 0 < spent < 0.2
        counts[name] = max(1, round(at_least_ms / (spent * 1e3))) if spent else 1
    times: dict[str, list[float]] = {name: [] for name in arms}
    begun = time.perf_counter()
    for done in range(samples):
        if seconds is not None and done >= 2 and time.perf_counter() - begun > seconds:
            break
        for name, f in arms.items():
            count = counts[name]
            time.sleep(SETTLE)
            if short[name]:
                f()
            start = time.perf_counter()
            for _ in range(count):
                f()
            times[name].append((time.perf_counter() - start) * 1e3 / count)
    return {name: summary(t) for name, t in times.items()}


def summary(times: list[float]) -> dict[str, float]:
    """Median, 10th and 90th percentile, fastest."""
    t = sorted(times)
    return {
        "median": statistics.median(t),
        "p10": t[len(t) // 10],
        "p90": t[-1 - len(t) // 10],
        "min": t[0],
        "samples": len(t),
    }


def high_water() -> int:
    """Bytes that this process has had in memory at most.

    Not getrusage's ru_maxrss: that of a process begins at what its parent had.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("bench: /proc/self/status must have VmHWM (Linux)")


def _git(*arguments: str) -> str:
    """What git says of this checkout; nothing where there is no git or no history."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return out.stdout.strip() if out.returncode == 0 else ""


def machine() -> dict[str, Any]:
    """What ran: CPU, tier, threads, versions, commit."""
    from sentei import _core

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [
            x.split(":", 1)[1].strip()
            for x in info.read_text().splitlines()
            if x.startswith("model name")
        ]
        cpu = lines[0] if lines else cpu
    commit = _git("rev-parse", "--short", "HEAD") or os.environ.get("SENTEI_COMMIT", "")
    return {
        "cpu": cpu,
        "isa": _core.isa_info()["active"],
        "threads": _core.threads(),
        "sentei": _core.__version__,
        "python": platform.python_version(),
        "commit": commit,
        "dirty": bool(_git("status", "--porcelain", "-uno")),
    }


def record(folder: str, name: str, data: Mapping[str, Any]) -> Path:
    """Append one line to bench/results/<folder>/<name>.jsonl, or below `folder` if that is absolute."""
    path = RESULTS / folder / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    line = {"date": now, "machine": machine(), **data}
    with path.open("a") as f:
        f.write(json.dumps(line) + "\n")
    return path
