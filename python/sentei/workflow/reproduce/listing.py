"""What can be reproduced, what it costs and what it still needs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

from sentei.nn import models
from sentei.passes import costs
from sentei.workflow.reproduce.data import how_to_get, is_there
from sentei.workflow.reproduce.spec import Setting, Table
from sentei.workflow.reproduce.tables import TABLES

__all__ = ["Entry", "entries", "training_flops"]

RECORDS = Path("bench") / "results" / "methods"


@dataclass(frozen=True)
class Entry:
    """A line of the list. flops: of all training; epoch: measured seconds of one, None: no record."""

    table: Table
    status: str
    flops: float | None
    epoch: float | None


@cache
def _forward(network: str, shape: tuple[int, int, int], classes: int, options: str) -> int:
    graph = models.graph(network, shape, classes, **dict(json.loads(options)))
    return int(costs(graph).flops)


def _flops(table: Table, setting: Setting) -> int:
    options = json.dumps(dict(setting.options), sort_keys=True)
    return _forward(setting.network, table.data.input_shape, table.data.classes, options)


def training_flops(table: Table) -> float | None:
    """Of the published epochs, images and runs: 3 times forward; pruning is not counted.

    Settings that several arms share are trained once. None: the number of images is not known.
    """
    if table.data.images is None:
        return None
    settings = {a.setting.key(): a.setting for a in table.arms}.values()
    steps = sum(_flops(table, s) * s.epochs for s in settings)
    return 3.0 * steps * table.data.images * table.runs


def _measured(table: Table, records: Path) -> float | None:
    """Seconds of an epoch with all images, median over the arms of the table's record."""
    path = records / f"{table.name}.jsonl"
    if table.data.images is None or not path.is_file():
        return None
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rates = [float(x["images_per_s"]) for x in lines[1:] if x.get("images_per_s")]
    except (ValueError, TypeError, AttributeError):
        return None
    return table.data.images / median(rates) if rates else None


def status(table: Table, data_dir: str | os.PathLike[str] | None) -> str:
    """runnable, or what is missing."""
    if table.needs:
        return f"needs {table.needs}"
    if is_there(table.data, data_dir):
        return "runnable"
    if table.data.name == "folder":
        return f"needs {table.data.how}"
    return f"needs {table.data.name}: {how_to_get(table.data, data_dir)}"


def entries(data_dir: str | os.PathLike[str] | None = None, records: Path = RECORDS) -> list[Entry]:
    """All tables. records: folder with the records that `--record` wrote."""
    return [
        Entry(t, status(t, data_dir), training_flops(t), _measured(t, records))
        for t in TABLES.values()
    ]
