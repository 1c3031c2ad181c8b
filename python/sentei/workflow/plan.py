"""Reads what `sentei plan` is told, asks the model of scaling, and draws."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentei.distributed.scaling import (
    STRATEGIES,
    Forecast,
    Workload,
    counts_up_to,
    forecast,
    worth,
)
from sentei.errors import DataError
from sentei.report.scaling import write_speedups

__all__ = ["Speedups", "read_workload", "speedups"]

_FACTORS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_NUMBER = re.compile(r"\s*([0-9.]+(?:e[+-]?\d+)?)\s*([KMGT]?)\s*(bit|byte|b)?(?:/s)?\s*", re.I)


@dataclass(frozen=True)
class Speedups:
    """rows: every strategy with 1, 2, 4, ... workers; verdict: what to do, in a sentence."""

    workload: Workload
    rows: tuple[Forecast, ...]
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "workload": dict(self.workload.__dict__),
            "forecasts": [r.to_json() for r in self.rows],
            "verdict": self.verdict,
        }


def _number(name: str, text: str, bits: bool = False) -> float:
    """42M, 1.5e6, and with bits 10Gbit; DataError otherwise."""
    match = _NUMBER.fullmatch(str(text))
    unit = (match[3] or "").lower() if match else ""
    try:
        if match is None or (unit and not bits):
            raise ValueError
        value = float(match[1]) * _FACTORS[match[2].upper()]
    except ValueError:
        example = "10Gbit or 1.2e9 (bytes/s)" if bits else "42M or 1.5e6"
        raise DataError(f"plan: {name} must be a number like {example}, got {text!r:.40}") from None
    return value / 8 if unit == "bit" else value


def read_workload(
    *,
    params: str,
    bandwidth: str,
    flops: str | None,
    speed: str | None,
    batch: int,
    seconds: float | None,
    width: str,
    **others: Any,
) -> Workload:
    """The workload of a command line.

    Raises:
        DataError, ValueError: a number cannot be read, or there is no time of a mini-batch, or two.
    """
    if (seconds is None) == (flops is None) or (flops is None) != (speed is None):
        raise DataError("plan: either --seconds or both --flops and --speed must be given")
    if seconds is None:
        assert flops is not None and speed is not None
        rate = _number("--speed", speed)
        if not rate:
            raise DataError("plan: --speed must be above 0, got 0")
        seconds = _number("--flops", flops) * batch / rate
    return Workload(
        _number("--params", params),
        seconds,
        _number("--bandwidth", bandwidth, bits=True),
        width=_number("--width", width),
        **others,
    )


def speedups(workload: Workload, workers: int, plot: Path | None = None) -> Speedups:
    """Forecasts of all strategies for 1, 2, 4, ... workers, drawn when a file is named.

    Raises:
        DataError: the picture is neither .svg nor .png, or matplotlib is missing.
    """
    names = [s for s in STRATEGIES if s != "split" or workload.width]
    rows = tuple(forecast(workload, s, n) for s in names for n in counts_up_to(workers))
    if plot is not None:
        if plot.suffix not in (".svg", ".png"):
            raise DataError(f"plan: plot must be an .svg or .png file, got {str(plot)!r}")
        curves = {s: [(r.workers, r.speedup) for r in rows if r.strategy == s] for s in names}
        if not write_speedups(plot, curves):
            raise DataError('plan: plot needs matplotlib: pip install "sentei[plot]"')
    return Speedups(workload, rows, worth(rows))
