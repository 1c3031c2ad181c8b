"""How a report writes numbers: three significant digits, a unit, and never a flattering rounding."""

import math
from collections.abc import Mapping

from .schema import number, table

__all__ = [
    "MISSING",
    "bytes_text",
    "count",
    "duration",
    "exact",
    "general",
    "loop",
    "milliseconds",
    "percent",
    "points",
    "tick",
    "times",
]

MISSING = "\u2013"
_THIN = "\u00a0"
_SI = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def general(value: float | None) -> str:
    """Write three significant digits: 0.0512, 3.14, 128, 1.2e-09."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-3 or size >= 1e6:
        return f"{value:.2e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    size = float(f"{size:.2e}")  # 0.9996 is written 1.00, not 1.000
    digits = max(0, 2 - math.floor(math.log10(size)))
    return f"{value:,.{min(digits, 5)}f}"


def tick(value: float) -> str:
    """Write a number on an axis, without the zeros that only pad it: 0.3, 1e-5, 2,000."""
    shown = f"{value:.6g}" if abs(value) < 1000 else f"{value:,.6g}"
    return shown.replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")


def exact(value: float | None) -> str:
    """Write a whole number with thousands separators: 2,293,000."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{round(value):,}" if abs(value) < 1e15 else f"{value:.3e}"


def _scaled(value: float, units: tuple[tuple[float, str], ...], base: str) -> str:
    size = abs(value)
    for scale, unit in units:
        if size >= scale * 0.9995:
            return f"{general(value / scale)}{_THIN}{unit}{base}"
    plain = exact(value) if value == round(value) else general(value)
    return f"{plain}{_THIN}{base}" if base else plain


def count(value: float | None) -> str:
    """Write a count with an SI prefix: 812, 40.6 k, 2.29 M, 15.5 G."""
    if value is None or not math.isfinite(value):
        return MISSING
    return _scaled(value, _SI, "")


def bytes_text(value: float | None) -> str:
    """Write a size in decimal bytes: 812 B, 1.73 MB."""
    if value is None or not math.isfinite(value):
        return MISSING
    return _scaled(value, _SI, "B")


def percent(fraction: float | None, digits: int = 1) -> str:
    """Write a fraction as a percentage; only an exact 0 or 1 is written 0 % or 100 %."""
    if fraction is None or not math.isfinite(fraction):
        return MISSING
    value = 100 * fraction
    if not math.isfinite(value) or abs(value) >= 1e6:
        return f"{general(value)}{_THIN}%"
    unit = 10.0**-digits
    if 0 < value < unit / 2:
        return f"<{unit:.{digits}f}{_THIN}%"
    if 100 - unit / 2 <= value < 100:
        return f">{100 - unit:.{digits}f}{_THIN}%"
    return f"{value:,.{digits}f}{_THIN}%"


def points(difference: float | None) -> str:
    """Write a difference of two fractions in percentage points with its sign."""
    if difference is None or not math.isfinite(difference):
        return MISSING
    value = 100 * difference
    sign = "+" if value >= 0.005 else "\u2212" if value <= -0.005 else "\u00b1"
    shown = f"{abs(value):.2f}" if abs(value) < 1e6 else general(abs(value))
    return f"{sign}{shown}{_THIN}points"


def times(ratio: float | None) -> str:
    """Write a ratio: 2.4x with two or three significant digits and a multiplication sign."""
    if ratio is None or not math.isfinite(ratio):
        return MISSING
    shown = f"{ratio:.2f}" if 0.1 <= ratio < 10 else general(ratio)
    return f"{shown}\u00d7"


def milliseconds(value: float | None) -> str:
    """Write a latency given in ms with the unit that suits it."""
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) >= 1000:
        return f"{general(value / 1000)}{_THIN}s"
    if value != 0 and abs(value) < 0.1:
        return f"{general(value * 1000)}{_THIN}\u00b5s"
    return f"{general(value)}{_THIN}ms"


def loop(report: Mapping[str, object]) -> str:
    """Write what a removed channel cost: 0.35 s per removed channel: ...; "" if unknown."""
    known = table(report, "pruning_loop")
    whole = number(known, "seconds_per_channel")
    if whole is None or whole <= 0:
        return ""
    parts = [(k, number(known, "parts", k) or 0.0) for k in table(known, "parts")]
    shares = ", ".join(f"{k} {percent(v / whole)}" for k, v in parts if v > 0)
    return f"{duration(whole)} per removed channel" + (f": {shares}" if shares else "")


def duration(seconds: float | None) -> str:
    """Write seconds: 0.42 s, 42.1 s, 2 min 05 s, 3 h 10 min."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 59.95:
        shown = general(seconds) if seconds < 0.1 else f"{seconds:.{1 if seconds >= 1 else 2}f}"
        return f"{shown}{_THIN}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{_THIN}min {whole % 60:02d}{_THIN}s"
    if whole < 360_000:
        return f"{whole // 3600}{_THIN}h {whole % 3600 // 60:02d}{_THIN}min"
    return f"{general(seconds / 3600)}{_THIN}h"
