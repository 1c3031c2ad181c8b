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
from sentei.workflow.reproduce.welch import welch

__all__ = ["Cell", "Order", "Row", "orders", "rows"]

_LEVEL = 0.05  # chance that equal arms give one pair or more that is not too close to tell
_NO_ACCURACY = {"FLOPs removed"}  # columns that are no share of the test images
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

    judged: pairs that could be: both have two runs at least. reason: why none could be.
    """

    column: str
    group: str
    same: int
    against: tuple[tuple[str, str], ...]  # (published better, better here)
    close: int
    judged: int
    reason: str = ""

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
            return f"{where}: the ordering cannot be judged, {self.reason}"
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


def orders(table: Table, found: Sequence[Row], test_images: int | None = None) -> tuple[Order, ...]:
    """The ordering in every judged column and group.

    Two arms differ where Welch's t test says so, two-sided, at 5 % divided by the judged pairs of the
    column and group (Bonferroni). Quartiles and single runs are not judged.

    Args:
        test_images: that accuracies are of; they bound from below how well a mean is known.
    """
    return tuple(
        _quartiles(column, group)
        if table.statistic == "quartiles"
        else _order(column, group, [r for r in found if r.group == group], test_images)
        for column in table.judged
        for group in dict.fromkeys(r.group for r in found)
    )


def _quartiles(column: str, group: str) -> Order:
    return Order(column, group, 0, (), 0, 0, "there is no test for quartiles of runs here")


def _order(column: str, group: str, found: Sequence[Row], test_images: int | None) -> Order:
    images = None if column in _NO_ACCURACY else test_images
    differ = [  # in the source: the better arm first
        (a, b) if p.published > q.published else (b, a)
        for a, b in combinations(found, 2)
        for p, q in [(a.cell(column), b.cell(column))]
        if p.published is not None and q.published is not None and p.published != q.published
    ]
    pairs = [(a, b) for a, b in differ if min(a.cell(column).runs, b.cell(column).runs) > 1]
    same, close = 0, 0
    against: list[tuple[str, str]] = []
    for a, b in pairs:
        difference, chance = _compared(a.cell(column), b.cell(column), images)
        if chance >= _LEVEL / len(pairs):
            close += 1
        elif difference > 0:
            same += 1
        else:
            against.append((a.arm, b.arm))
    reason = ""
    if not pairs:
        reason = (
            "it takes two runs of each arm" if differ else "no two published figures of it differ"
        )
    return Order(column, group, same, tuple(against), close, len(pairs), reason)


def _compared(p: Cell, q: Cell, images: int | None) -> tuple[float, float]:
    """The difference of two means, and the probability of such a one between equal arms."""
    assert p.mean is not None
    assert q.mean is not None
    variances = (_variance(p, images), _variance(q, images))
    return p.mean - q.mean, welch(p.mean - q.mean, variances, (p.runs, q.runs))


def _variance(cell: Cell, images: int | None) -> float:
    """Of the mean, in squared percent: of the sample, at least the binomial one of the test images.

    Few runs that agree by chance would count as certain without that floor.
    """
    assert cell.mean is not None
    sample = (cell.deviation or 0.0) ** 2
    binomial = cell.mean * (100 - cell.mean) / images if images else 0.0
    return max(sample, binomial) / cell.runs
