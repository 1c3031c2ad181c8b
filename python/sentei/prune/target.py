"""How small: FLOPs, MACs, parameters, memory or latency that REMAIN, or accuracy that may be lost."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from sentei.passes import Costs

__all__ = ["Target"]

COUNTS = ("flops", "macs", "params")
SIZES = (*COUNTS, "memory", "latency_ms")
NAMES = {
    "flops": "FLOPs",
    "macs": "MACs",
    "params": "parameters",
    "memory": "memory",
    "latency_ms": "latency",
    "max_drop": "accuracy",
}
_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_BYTES |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_TEXT = re.compile(r"\s*([-+]?[\d_,]*\.?\d*(?:e[-+]?\d+)?)\s*(%|[a-z]*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """Stop at the first state at or below a budget; or at the last that keeps the accuracy.

    Give one size, or max_drop, or both: then max_drop guards the way to the size.

    flops, macs, params: an absolute number, or text such as "30%": the share that REMAINS.
    memory: of inference at `batch` images, bytes ("4MB" too) or a share: what the plan lays out for
    activations, and the parameters of the folded network.
    latency_ms: of inference at `batch` images, milliseconds or a share of what the unpruned network
    takes on this machine, where the model is; measured (see prune.gauge).
    batch: images that memory and latency are of.
    max_drop: accuracy, in points of a hundred, that may be lost on the held-out images of the pruner.

    >>> Target(flops="30%").describe()
    '30 % of FLOPs remain (70 % removed)'

    Raises:
        ValueError: none or several sizes given, or out of range.
    """

    flops: float | str | None = None
    macs: float | str | None = None
    params: float | str | None = None
    memory: float | str | None = None
    latency_ms: float | str | None = None
    max_drop: float | None = None
    batch: int = 1

    def __post_init__(self) -> None:
        given = [k for k in SIZES if getattr(self, k) is not None]
        if len(given) > 1 or (not given and self.max_drop is None):
            raise ValueError(
                f"Target: exactly one of {', '.join(SIZES)} must be given (or max_drop), "
                f"got {', '.join(given) or 'none'}"
            )
        if self.batch < 1:
            raise ValueError(f"Target: batch must be at least 1, got {self.batch}")
        if self.max_drop is not None and not 0 <= self.max_drop < 100:
            raise ValueError(
                f"Target: max_drop must lie in [0, 100) accuracy points, got {self.max_drop!r}"
            )
        if self.sized:
            self._parse()

    @property
    def sized(self) -> bool:
        """Whether it names a size; else max_drop alone decides."""
        return self.kind != "max_drop"

    @property
    def kind(self) -> str:
        """flops, macs, params, memory, latency_ms; max_drop where it stands alone."""
        return next((k for k in SIZES if getattr(self, k) is not None), "max_drop")

    def _parse(self) -> tuple[float, bool]:
        value, kind = getattr(self, self.kind), self.kind
        found = _TEXT.fullmatch(str(value))
        try:
            number, unit = (float("x" if found is None else found[1].replace("_", "").replace(",", "")),
                            "" if found is None else found[2].lower())  # fmt: skip
        except ValueError:
            if not isinstance(value, float):
                raise ValueError(
                    f"Target: {kind} must be a number or a percentage like '30%', got {value!r}"
                ) from None
            number, unit = value, ""  # nan, inf
        if unit == "%":
            if not 0 < number <= 100:
                raise ValueError(f"Target: {kind} must remain between 0% and 100%, got {value!r}")
            return number / 100, True
        units = {"memory": _BYTES, "latency_ms": {"": 1, "ms": 1}}.get(kind, {"": 1})
        if unit not in units:
            known = ", ".join(repr(u) for u in units if u)
            raise ValueError(
                f"Target: {kind} must be a number or a percentage like '30%'"
                f"{f' (units: {known})' if known else ''}, got {value!r}"
            )
        if not 0 < number < math.inf:
            raise ValueError(f"Target: {kind} must be positive, got {value!r}")
        if number < 1 and kind != "latency_ms":
            raise ValueError(
                f"Target: {kind} must be an absolute number or a percentage, got {value!r}; "
                f"write '{number * 100:g}%' for the share that remains"
            )
        return number * units[unit], False

    def budget_of(self, whole: float) -> float:
        """Largest allowed value, given that of the unpruned network; -1 for max_drop alone."""
        if not self.sized:
            return -1.0
        number, relative = self._parse()
        return number * whole if relative else number

    def budget(self, original: Costs) -> float:
        """Largest allowed count."""
        return self.budget_of(self.measure(original))

    def measure(self, costs: Costs) -> int:
        """The count that this target is about; FLOPs for max_drop alone.

        Raises:
            ValueError: memory and latency are not counts of a graph (prune.gauge has them).
        """
        if self.sized and self.kind not in COUNTS:
            raise ValueError(
                f"Target: {self.kind} must be measured on a network, it is not among its costs"
            )
        return int(getattr(costs, self.kind if self.sized else "flops"))

    def reached(self, costs: Costs, original: Costs) -> bool:
        """Whether these costs are within the budget; never for max_drop alone."""
        return self.measure(costs) <= self.budget(original)

    def describe(self, original: Costs | None = None, whole: float | None = None) -> str:
        """In words, with both what remains and what is removed.

        original, whole: the unpruned network's costs, or its value where they do not have it.
        """
        if whole is None and original is not None and self.kind in COUNTS:
            whole = self.measure(original)
        words = self._size_words(whole) if self.sized else "the smallest network"
        if self.max_drop is None:
            return words
        unit = "accuracy point" if self.max_drop == 1 else "accuracy points"
        lost = f"at most {self.max_drop:g} {unit} lost on held-out training images"
        return f"{words}, {lost}" if self.sized else f"{words} with {lost}"

    def _size_words(self, whole: float | None) -> str:
        number, relative = self._parse()
        name, kind = NAMES[self.kind], self.kind
        if kind not in COUNTS:
            name = f"{name} at batch {self.batch}"
        if relative:
            return f"{number * 100:g} % of {name} remain ({(1 - number) * 100:g} % removed)"
        unit = {"memory": "bytes of ", "latency_ms": "ms of "}.get(kind, "")
        shown = (
            f"{number:,.3f}".rstrip("0").rstrip(".") if kind == "latency_ms" else f"{number:,.0f}"
        )
        if whole is None:
            return f"at most {shown} {unit}{name}"
        share = number / max(whole, 1e-12)
        return f"at most {shown} {unit}{name}: {share:.1%} remain ({1 - share:.1%} removed)"
