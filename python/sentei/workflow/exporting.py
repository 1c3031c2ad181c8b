"""Export of a model, and its latency in ONNX Runtime beside ours."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sentei.device import using
from sentei.io.onnx_out import LAYOUTS, PIXELS, ExportError, ExportReport, export_onnx, session
from sentei.model import Model
from sentei.report.schema import Latency
from sentei.run.timing import EACH, Ratio, call_of, in_turns, ratio_of

__all__ = ["FORMATS", "RuntimeLatency", "beside_runtime", "default_path", "export"]

FORMATS = ("onnx",)
# The threads of ONNX Runtime stay awake for about 20 ms after a call and take the cores from whoever
# comes next: without this pause sentei looks up to 1.8 times slower beside it than alone.
_SETTLE = 0.05  # seconds of a turn that do not count


@dataclass(frozen=True)
class RuntimeLatency:
    """Milliseconds a call by batch size, in sentei and in ONNX Runtime, timed in turns on the CPU.

    ratios: how many times faster sentei is, with its 95 % interval. version: of ONNX Runtime.
    """

    sentei: dict[str, Latency]
    runtime: dict[str, Latency]
    ratios: dict[str, Ratio]
    version: str
    threads: int

    def to_json(self) -> dict[str, Any]:
        """The times as JSON data."""
        return {
            "sentei": self.sentei,
            "onnxruntime": self.runtime,
            "ratios": {k: asdict(r) for k, r in self.ratios.items()},
            "onnxruntime_version": self.version,
            "threads": self.threads,
        }


def default_path(source: str) -> Path:
    """Where the file goes unless told: beside the model file, or here for the name of a network."""
    path = Path(source)
    return path.with_suffix(".onnx") if path.suffix else Path(f"{source}.onnx")


def export(
    model: Model, to: str = "onnx", out: str | os.PathLike[str] = "model.onnx", **options: Any
) -> ExportReport:
    """Write a model in the format of other software.

    Args:
        to: "onnx". out: the file. options: as sentei.io.export_onnx takes them.
    Raises:
        ExportError: the format is unknown, the folder is missing; and what export_onnx raises.
    """
    if to not in FORMATS:
        raise ExportError(f"export: to must be one of {', '.join(FORMATS)}, got {to!r}")
    for what, allowed in (("layout", LAYOUTS), ("pixels", PIXELS)):
        if what in options and options[what] not in allowed:
            raise ExportError(
                f"export: {what} must be one of {', '.join(allowed)}, got {options[what]!r}"
            )
    folder = Path(out).resolve().parent
    if not folder.is_dir():
        raise ExportError(f"export: out must lie in a folder that is there, got {os.fspath(out)!r}")
    return export_onnx(model, out, **options)


def beside_runtime(
    model: Model,
    file: str | os.PathLike[str],
    batches: Sequence[int] = (1, 100),
    seconds: float = 1.0,
) -> RuntimeLatency:
    """Time a model in sentei and its exported file in ONNX Runtime, on the CPU, in turns.

    Both use the same number of threads and get the same number of random images, which lie in memory.

    Args:
        file: of this model, any layout. batches: sizes; a file with a fixed one takes only that.
        seconds: spent per batch size.
    Raises:
        ExportError: ONNX Runtime is missing or refuses the file, or a batch size it does not take.
    """
    from sentei.device import threads
    from sentei.io.onnx_out.failures import extra

    runner = session(os.fspath(file))
    wanted = runner.get_inputs()[0]
    fixed = wanted.shape[0] if isinstance(wanted.shape[0], int) else None
    if fixed is not None and any(n != fixed for n in batches):
        raise ExportError(
            f"export: batch must be {fixed}, which the file has fixed, got {list(batches)}"
        )
    found: tuple[dict[str, Latency], dict[str, Latency]] = ({}, {})
    ratios: dict[str, Ratio] = {}
    rng = np.random.default_rng(0)
    with using("cpu"):
        predictor = model.to("cpu").predictor(max(batches))
        for n in batches:
            ours = rng.standard_normal((n, *model.input_shape), dtype=np.float32)
            theirs = rng.standard_normal((n, *wanted.shape[1:]), dtype=np.float32)
            calls = (
                call_of(predictor.runner(n), {predictor.input: ours}),
                lambda x=theirs: runner.run(None, {wanted.name: x}),
            )
            taken = in_turns([_settling(c) for c in calls], seconds, warm=False)
            for times, t in zip(found, taken, strict=True):
                low, mid, high = np.percentile(t / 1e6, (10, 50, 90))
                times[str(n)] = {"median": float(mid), "p10": float(low), "p90": float(high)}
            ratios[str(n)] = ratio_of(taken[1], taken[0])
    version = str(extra("onnxruntime").__version__)
    return RuntimeLatency(*found, ratios, version, threads())


def _settling(call: Callable[[], object]) -> Callable[[], None]:
    """A call whose first one of every turn, which is not counted, goes on until the machine is its own."""
    made = 0

    def run() -> None:
        nonlocal made
        if made % (EACH + 1) == 0:
            end = time.perf_counter() + _SETTLE
            while time.perf_counter() < end:
                call()
        call()
        made += 1

    return run
