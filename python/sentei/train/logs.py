"""metrics.csv (a row per epoch) and events.jsonl (an object per line) of a run folder."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["CsvLog", "EventLog", "plain"]


def plain(x: Any) -> Any:
    """JSON data: numbers that are not finite become null."""
    if isinstance(x, Mapping):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [plain(v) for v in x]
    if isinstance(x, float):
        return float(x) if math.isfinite(x) else None
    return x


class EventLog:
    """Appends {"event": ..., "time": seconds since 1970, ...} to events.jsonl."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, event: str, **fields: Any) -> None:
        """Append one line and hand it to the system at once."""
        line = json.dumps(plain({"event": event, "time": round(time.time(), 3), **fields}))
        with self.path.open("a+b") as file:
            if file.tell():  # what a killed run left of a line must not spoil this one
                file.seek(-1, 2)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(line.encode() + b"\n")


class CsvLog:
    """Keeps metrics.csv equal to the history: a resumed run does not write an epoch twice."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns: list[str] = []
        path.parent.mkdir(parents=True, exist_ok=True)

    def rewrite(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write all rows anew."""
        self._columns = list(dict.fromkeys(k for row in rows for k in row))
        lines: list[list[Any]] = [list(self._columns)]
        lines += [[row.get(k) for k in self._columns] for row in rows]
        self.path.write_bytes(_csv(lines if self._columns else []))

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the last of all rows."""
        if not self._columns or set(rows[-1]) - set(self._columns):
            self.rewrite(rows)
            return
        with self.path.open("ab") as file:
            file.write(_csv([[rows[-1].get(k) for k in self._columns]]))


def _csv(lines: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [["" if x is None else x for x in line] for line in lines]
    )
    return text.getvalue().encode()
