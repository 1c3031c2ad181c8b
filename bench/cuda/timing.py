"""Time on a CUDA device: captured calls on rotated buffers, replayed, arms in turn; ceilings of the same run.

An arm is a list of calls that do the same work on different buffers, together at least three times the
second-level cache, so that every call finds its inputs in device memory. They are captured once and
replayed between two events: neither Python nor launching is in the time. A dry run does all this on
the emulator, with a clock of the host, to exercise the code: its numbers mean nothing.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from harness import summary
from sentei import _core, device

Call = Callable[[], object]
try:
    import torch
except ImportError:  # the peer is optional
    torch = None  # type: ignore[assignment]


@dataclass
class Arm:
    """calls: one per set of buffers. notes: what a record must say of it (layout, precision, storage).
    around: what holds while it is prepared and runs, outside the time that is taken."""

    calls: Sequence[Call]
    torch: bool = False
    capture: bool = True
    notes: dict[str, Any] = field(default_factory=dict)
    around: Callable[[], AbstractContextManager[object]] = nullcontext


class Machine:
    """The device to measure on: a real one, or the emulator when dry."""

    def __init__(self, dry: bool = False) -> None:
        self.dry = dry
        if dry:
            from sentei import _cusim

            _core.install_backend(_cusim.backend())
            self.l2 = 1 << 12
        else:
            device.require("cuda")
            from sentei import _cuda

            self.cuda = _cuda
            self.l2 = max(_cuda.l2_bytes(), 50_000_000)
        self.peer = torch is not None and (dry or torch.cuda.is_available())
        self.torch_device = "cpu" if dry or not self.peer else "cuda"

    def wait(self) -> None:
        _core.synchronize()
        if self.peer and not self.dry:
            torch.cuda.synchronize()

    def time(self, f: Call, on_torch: bool) -> float:
        """Milliseconds of one call of f, the device idle before."""
        self.wait()
        if self.dry:
            start = time.perf_counter()
            f()
            self.wait()
            return (time.perf_counter() - start) * 1e3
        if on_torch:
            a, b = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            a.record()
            f()
            b.record()
            b.synchronize()
            return float(a.elapsed_time(b))
        before, after = self.cuda.Event(), self.cuda.Event()
        before.record()
        f()
        after.record()
        return after.milliseconds_since(before)

    def captured(self, calls: Sequence[Call], on_torch: bool) -> Call:
        """All calls as one replay."""
        if on_torch:
            if self.dry:
                return lambda: [f() for f in calls]
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for f in calls:
                    f()
            return graph.replay
        capture = _core.Capture()
        try:
            for f in calls:
                f()
            capture.end()
        except BaseException:
            del capture  # ends it; the traceback would keep it open
            raise
        return capture.replay

    def ceilings(self) -> dict[str, float]:
        """Measured now: bytes per second of a plain copy, multiply-adds x 2 per second of torch.mm."""
        found: dict[str, float] = {}
        if not self.dry:
            size = 1 << 30
            found["copy"] = (
                2 * size / statistics.median(self.cuda.copy_milliseconds(size, 15)) * 1e3
            )
        if not self.peer:
            return found
        n = 64 if self.dry else 8192
        a, b = (torch.randn(n, n, device=self.torch_device) for _ in range(2))
        for name in ("float32", "tf32", "bfloat16"):
            x, y = (a.bfloat16(), b.bfloat16()) if name == "bfloat16" else (a, b)
            with flags(tf32=name == "tf32"):
                ms = [self.time(lambda x=x, y=y: torch.mm(x, y), True) for _ in range(8)][2:]
            found[name] = 2 * n**3 / statistics.median(ms) * 1e3
        return found

    def describe(self) -> dict[str, Any]:
        """Device, clocks, driver, versions, for a record."""
        told: dict[str, Any] = {"dry": self.dry}
        if not self.dry:
            state = device.cuda_state()
            told |= {
                "gpu": state.devices[0]["name"],
                "driver": state.driver,
                "runtime": state.runtime,
                "l2_bytes": self.l2,
            }
            told["clocks"] = clocks()
        if torch is not None:
            told["torch"] = torch.__version__
        return told


def clocks() -> str:
    """SM and memory clock, power and temperature as the driver's tool tells them."""
    query = "--query-gpu=clocks.sm,clocks.mem,power.draw,temperature.gpu"
    command = ["nvidia-smi", query, "--format=csv,noheader"]
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return out.stdout.strip()


@contextmanager
def flags(tf32: bool, benchmark: bool = False) -> Iterator[None]:
    """PyTorch's switches while an arm is prepared or captured."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, cudnn.benchmark, matmul.allow_tf32
    cudnn.allow_tf32, cudnn.benchmark, matmul.allow_tf32 = tf32, benchmark, tf32
    try:
        yield
    finally:
        cudnn.allow_tf32, cudnn.benchmark, matmul.allow_tf32 = before


def sets_for(moved: int, l2: int, most: int = 96) -> int:
    """Sets of buffers so that a call finds nothing of its last turn in the cache."""
    return max(1, min(most, math.ceil(3 * l2 / max(moved, 1))))


def interleaved(
    machine: Machine, arms: Mapping[str, Arm], samples: int, at_least_ms: float = 0.4
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Microseconds per call of every arm, a sample of each in turn; and why an arm was not captured."""
    ready: dict[str, tuple[Call, int]] = {}
    notes: dict[str, str] = {}
    for name, arm in arms.items():
        with arm.around():
            ready[name] = _ready(machine, arm, at_least_ms, notes, name)
    times: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(-1 if machine.dry else -2, samples):
        for name, (replay, count) in ready.items():
            with arms[name].around():
                ms = machine.time(replay, arms[name].torch)
            if turn >= 0:
                times[name].append(ms * 1e3 / count)
    return {name: summary(t) for name, t in times.items()}, notes


def _ready(
    machine: Machine, arm: Arm, at_least_ms: float, notes: dict[str, str], name: str
) -> tuple[Call, int]:
    """One replay of enough calls, and how many they are."""
    for f in arm.calls:  # lazily made parts of other libraries; not in a capture
        f()
    once = min(machine.time(arm.calls[0], arm.torch) for _ in range(1 if machine.dry else 3))
    turns = 1 if machine.dry else math.ceil(at_least_ms / max(once, 1e-3) / len(arm.calls))
    calls = list(arm.calls) * max(1, min(turns, 64))
    if arm.capture:
        try:
            return machine.captured(calls, arm.torch), len(calls)
        except Exception as e:
            notes[name] = f"not captured: {str(e).splitlines()[0][:100]}"
            machine.wait()
    return lambda: [f() for f in calls], len(calls)
