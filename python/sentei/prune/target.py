"""How small: a target in FLOPs, MACs or parameters; a percentage always means what REMAINS."""

from __future__ import annotations

from dataclasses import dataclass

from sentei.passes import Costs

__all__ = ["Target"]

KINDS = ("flops", "macs", "params")


@dataclass(frozen=True)
class Target:
    """Stop at the first state at or below a budget. Give exactly one of the three.

    flops, macs, params: an absolute number, or text such as "30%": the share that REMAINS.

    >>> Target(flops="30%").describe()
    '30 % of FLOPs remain (70 % removed)'

    Raises:
        ValueError: none or several given, or out of range.
    """

    flops: float | str | None = None
    macs: float | str | None = None
    params: float | str | None = None

    def __post_init__(self) -> None:
        given = [k for k in KINDS if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(
                f"Target: exactly one of flops, macs, params must be given, got {given or 'none'}"
            )
        self._parse()

    @property
    def kind(self) -> str:
        return next(k for k in KINDS if getattr(self, k) is not None)

    def _parse(self) -> tuple[float, bool]:
        value = getattr(self, self.kind)
        text = str(value).strip()
        try:
            number = float(text.removesuffix("%").replace("_", "").replace(",", ""))
        except ValueError:
            raise ValueError(
                f"Target: {self.kind} must be a number or a percentage like '30%', got {value!r}"
            ) from None
        if text.endswith("%"):
            if not 0 < number <= 100:
                raise ValueError(
                    f"Target: {self.kind} must remain between 0% and 100%, got {value!r}"
                )
            return number / 100, True
        if not (0 < number < float("inf")):
            raise ValueError(f"Target: {self.kind} must be positive, got {value!r}")
        if number < 1:
            raise ValueError(
                f"Target: {self.kind} must be an absolute number or a percentage, got {value!r}; "
                f"write '{number * 100:g}%' for the share that remains"
            )
        return number, False

    def budget(self, original: Costs) -> float:
        """Largest allowed count."""
        number, relative = self._parse()
        return number * self.measure(original) if relative else number

    def measure(self, costs: Costs) -> int:
        """The count that this target is about."""
        return int(getattr(costs, self.kind))

    def reached(self, costs: Costs, original: Costs) -> bool:
        return self.measure(costs) <= self.budget(original)

    def describe(self, original: Costs | None = None) -> str:
        """In words, with both what remains and what is removed."""
        number, relative = self._parse()
        name = {"flops": "FLOPs", "macs": "MACs", "params": "parameters"}[self.kind]
        if relative:
            return f"{number * 100:g} % of {name} remain ({(1 - number) * 100:g} % removed)"
        if original is None:
            return f"at most {number:,.0f} {name}"
        share = number / self.measure(original)
        return f"at most {number:,.0f} {name}: {share:.1%} remain ({1 - share:.1%} removed)"
