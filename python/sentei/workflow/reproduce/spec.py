"""What a published table is: networks, settings and figures, as data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sentei.losses import CrossEntropy, Loss
from sentei.optim import Constant, Optimizer, Schedule
from sentei.regularizers import Regularizer

__all__ = ["Arm", "Data", "Figure", "Gates", "Scores", "Setting", "Table", "figures"]

LEVELS = {"-50 %": "50%", "-70 %": "30%", "-90 %": "10%"}  # removed, and what remains


@dataclass(frozen=True)
class Figure:
    """A published figure in percent. deviation: over the runs; None: not given."""

    mean: float
    deviation: float | None = None


def figures(
    columns: Sequence[str], *values: float | tuple[float, float] | None
) -> dict[str, Figure]:
    """Figures by column: a mean, or (mean, deviation); None: not published."""
    made: dict[str, Figure] = {}
    for column, value in zip(columns, values, strict=True):
        if value is not None:
            made[column] = Figure(*value) if isinstance(value, tuple) else Figure(value)
    return made


@dataclass(frozen=True)
class Data:
    """The data set of a table.

    name: of sentei.data.load, or "folder": images of one folder per class in the data folder.
    images: for training; None: as many as the user's folder has. size: images are resampled to this
    (bicubic). split: a folder is cut so.
    """

    name: str
    shape: tuple[int, int, int]
    classes: int
    images: int | None
    standardize: Literal["unit", "fit", "signed"] = "unit"
    size: int | None = None
    split: tuple[float, float] = (3.0, 1.0)
    how: str = ""  # in words: how to get it, when `sentei data download` cannot

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) as the network takes it."""
        return self.shape if self.size is None else (self.size, self.size, self.shape[2])


@dataclass(frozen=True)
class Setting:
    """How a network is built and trained. epochs: as published."""

    network: str
    epochs: int
    optimizer: Optimizer
    options: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 100
    schedule: Schedule = field(default_factory=Constant)
    loss: Loss = field(default_factory=CrossEntropy)
    regularizers: tuple[Regularizer, ...] = ()
    init: str = "kaiming"
    classes_per_batch: int | None = None

    def key(self) -> str:
        """Short text that two settings share only when they are the same."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Scores:
    """Pruning by a score, one filter a round. retrain: steps after each; images: scored on."""

    criterion: str
    normalize: float | None = None
    retrain: int = 60
    images: int = 2000
    levels: Mapping[str, str] = field(default_factory=lambda: dict(LEVELS))
    optimizer: Optimizer | None = None  # None: that of the training


@dataclass(frozen=True)
class Gates:
    """Pruning by auxiliary variables. options: of attach_gates or attach_blocks."""

    method: Literal["autoprune", "sigmoid", "block"]
    epochs: int
    lam: float
    gates_lr: float
    optimizer: Optimizer
    gates_momentum: float = 0.0
    threshold: float = 1e-3
    model_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One row of a table. group: arms are compared with those of their own group."""

    name: str
    setting: Setting
    published: Mapping[str, Figure]
    prune: Scores | Gates | None = None
    group: str = ""


@dataclass(frozen=True)
class Table:
    """A published table.

    name: on the command line. source: paper and number of the table. columns: of figures, in percent.
    compared: columns whose ordering of the arms is judged. runs: how many the source made.
    statistic: "mean", or "quartiles" of the runs. settled: what the source leaves open, and what is
    done here. needs: a method that is not there yet; "": none.
    """

    name: str
    source: str
    title: str
    data: Data
    columns: tuple[str, ...]
    arms: tuple[Arm, ...]
    runs: int = 3
    statistic: Literal["mean", "quartiles"] = "mean"
    compared: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()
    needs: str = ""

    def __post_init__(self) -> None:
        names = [a.name for a in self.arms]
        if len(set(names)) != len(names):
            raise ValueError(f"reproduce: arms of {self.name} must have names of their own")
        for arm in self.arms:
            if unknown := set(arm.published) - set(self.columns):
                raise ValueError(f"reproduce: {self.name} has no column {min(unknown)!r}")

    @property
    def judged(self) -> tuple[str, ...]:
        """Columns whose ordering is judged."""
        return self.compared or self.columns
