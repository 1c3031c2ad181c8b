"""Our figures beside the published ones, and whether the ordering of the source holds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from sentei.workflow.reproduce.spec import Arm, Table
from sentei.workflow.reproduce.trial import Trial

__all__ = ["Cell", "Order", "Row", "orders", "rows"]

_FAR = 2.0  # standard errors of a difference that is not taken for noise
_QUARTILES = {"first quartile": 0.25, "median": 0.5, "third quartile": 0.75, "max": 1.0}


@dataclass(frozen=True)
class Cell:
    """One figure in percent; deviation: of the sample, None with one run; None: no run."""

    column: str
    published: float | None
    published_deviation: float | None
    mean: float | None
    deviation: float | None
    runs: int

    @property
    def difference(self) -> float | None:
        """Ours less the published one."""
        if self.mean is None or self.published is None:
            return None
        return self.mean - self.published


@dataclass(frozen=True)
class Row:
    """An arm with all its figures."""

    arm: str
    group: str
    cells: tuple[Cell, ...]
    done: int
    diverged: int

    def cell(self, column: str) -> Cell:
        """The figure of a column."""
        return next(c for c in self.cells if c.column == column)


@dataclass(frozen=True)
class Order:
    """Pairs of arms of a column and a group: in the published order, against it, or too close.

    judged: pairs that could be: both have two runs at least.
    """

    column: str
    group: str
    same: int
    against: tuple[tuple[str, str], ...]  # (published better, better here)
    close: int
    judged: int

    @property
    def verdict(self) -> str:
        """holds, does not hold, not contradicted, not decided, or not judged."""
        if not self.judged:
            return "not judged"
        if self.against:
            return "does not hold"
        if not self.same:
            return "not decided"
        return "holds" if self.same == self.judged else "not contradicted"

    @property
    def words(self) -> str:
        """One sentence."""
        where = self.column + (f", {self.group}" if self.group else "")
        if not self.judged:
            return f"{where}: the ordering cannot be judged, it takes two runs of each arm"
        parts = [f"{self.same} of {self.judged} pairs in the published order"]
        if self.close:
            parts.append(f"{self.close} too close to tell")
        said = f"{where}: the ordering {self._has()} ({', '.join(parts)}"
        if self.against:
            pairs = "; ".join(f"{b} above {a}" for a, b in self.against)
            said += f"; the other way round: {pairs}"
        return said + ")"

    def _has(self) -> str:
        return f"is {self.verdict}" if self.verdict.startswith("not") else self.verdict

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "verdict": self.verdict, "words": self.words}


def rows(table: Table, trials: Sequence[Trial]) -> tuple[Row, ...]:
    """All arms, in the order of the source."""
    return tuple(_row(table, arm, [t for t in trials if t.arm == arm.name]) for arm in table.arms)


def _row(table: Table, arm: Arm, trials: Sequence[Trial]) -> Row:
    done = [t for t in trials if t.state == "done"]
    cells = []
    for column in table.columns:
        figure = arm.published.get(column)
        if table.statistic == "quartiles":
            found = sorted(t.values["accuracy"] for t in done)
            mean, deviation = _quantile(found, _QUARTILES[column]), None
        else:
            found = [t.values[column] for t in done if column in t.values]
            mean = statistics.fmean(found) if found else None
            deviation = statistics.stdev(found) if len(found) > 1 else None
        cells.append(
            Cell(
                column,
                None if figure is None else figure.mean,
                None if figure is None else figure.deviation,
                mean,
                deviation,
                len(found),
            )
        )
    return Row(arm.name, arm.group, tuple(cells), len(done), len(trials) - len(done))


def _quantile(values: Sequence[float], share: float) -> float | None:
    """By linear interpolation between the sorted values."""
    if not values:
        return None
    at = share * (len(values) - 1)
    low = math.floor(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (at - low) * (values[high] - values[low])


def orders(table: Table, found: Sequence[Row]) -> tuple[Order, ...]:
    """The ordering in every judged column and group."""
    return tuple(
        _order(column, group, [r for r in found if r.group == group])
        for column in table.judged
        for group in dict.fromkeys(r.group for r in found)
    )


def _order(column: str, group: str, found: Sequence[Row]) -> Order:
    same, close, judged = 0, 0, 0
    against: list[tuple[str, str]] = []
    for a, b in combinations(found, 2):
        p, q = a.cell(column), b.cell(column)
        if p.published is None or q.published is None or p.published == q.published:
            continue
        if p.mean is None or q.mean is None or min(p.runs, q.runs) < 2:
            continue
        judged += 1
        difference = p.mean - q.mean
        if abs(difference) <= _FAR * _standard_error(p, q):
            close += 1
        elif (difference > 0) == (p.published > q.published):
            same += 1
        else:
            against.append((a.arm, b.arm) if p.published > q.published else (b.arm, a.arm))
    return Order(column, group, same, tuple(against), close, judged)


def _standard_error(p: Cell, q: Cell) -> float:
    """Of the difference of two means; 0 for quartiles, which have none here."""
    return math.sqrt(sum((c.deviation or 0.0) ** 2 / c.runs for c in (p, q)))
