"""Read the events of a run back: events.jsonl holds one JSON object per line, appended as it goes."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from sentei.errors import DataError

from .schema import Report, clean, number, table

__all__ = ["read_events", "summarise_events"]

_LONGEST_LINE = 16 * 2**20


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        count = 0
        while line := file.readline(_LONGEST_LINE + 1):
            count += 1
            if len(line) > _LONGEST_LINE:
                raise DataError(
                    f"read_events: {path.name} line {count} must be at most {_LONGEST_LINE} bytes"
                )
            yield count, line


def _parse(line: bytes) -> tuple[dict[str, Any] | None, str]:
    try:
        event = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: bad JSON, bad UTF-8, huge ints
        return None, f"got {type(error).__name__}"
    if not isinstance(event, dict):
        return None, f"got {type(event).__name__}"
    return event, ""


def read_events(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read an events file.

    A last line that is not whole is what a killed run leaves; it is ignored. Empty lines are too.

    Args:
        path: events.jsonl.

    Returns:
        The events in the order written; NaN and infinities are None.

    Raises:
        DataError: a line before the last is not one JSON object; the message names the line.
        FileNotFoundError: there is no such file.
    """
    file = Path(path)
    events: list[dict[str, Any]] = []
    broken: tuple[int, str] | None = None
    for count, line in _lines(file):
        if not line.strip():
            continue
        if broken is not None:
            raise DataError(
                f"read_events: {file.name} line {broken[0]} must be one JSON object, {broken[1]}"
            )
        event, why = _parse(line)
        if event is None:
            broken = (count, why)
        else:
            events.append(clean(event, f"{file.name} line {count}"))
    return events


def _last_of_each(events: Iterable[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """Keep the last event of each epoch or step: a resumed run writes some of them again."""
    kept: dict[float, dict[str, Any]] = {}
    for event in events:
        place = number(event, key)
        if place is not None:
            kept[place] = {k: v for k, v in event.items() if k not in ("event", "phase", "time")}
    return [kept[place] for place in sorted(kept)]


def summarise_events(events: Iterable[Mapping[str, Any]]) -> Report:
    """Gather the parts of a report that a run writes as it goes.

    `event` names the kind of each: "epoch" (fields of `schema.TrainingEpoch`; counted unless its
    `phase` is other than "train"), "prune_step" (fields of `schema.Step`), "skipped" (fields of
    `schema.Skipped`), "trust" (fields of `schema.Trust`), "cluster" (fields of `schema.Cluster`). Other
    kinds are left alone.

    Args:
        events: as `read_events` returns them.

    Returns:
        `training`, `steps`, `skipped`, `trust` and `cluster` where there is one, the `seconds` spent
        in both, and `pruning_loop` where the steps say what their time went into; an epoch or step
        written twice (after a resume) counts once, the later one.
    """
    seen = list(events)
    epochs = [e for e in seen if e.get("event") == "epoch" and e.get("phase", "train") == "train"]
    training = _last_of_each(epochs, "epoch")
    steps = _last_of_each((e for e in seen if e.get("event") == "prune_step"), "step")
    skipped = {str(e.get("layer")): e for e in seen if e.get("event") == "skipped"}
    spent = [sum(number(e, "seconds") or 0.0 for e in part) for part in (training, steps)]
    summary: dict[str, Any] = {
        "training": training,
        "steps": steps,
        "skipped": [{"layer": k, "reason": str(e.get("reason", ""))} for k, e in skipped.items()],
        "seconds": {"train": spent[0], "prune": spent[1]},
    }
    trusts = [e for e in seen if e.get("event") == "trust"]
    if trusts:
        summary["trust"] = {k: v for k, v in trusts[-1].items() if k not in ("event", "time")}
    clusters = [e for e in seen if e.get("event") == "cluster"]
    if clusters:
        summary["cluster"] = {k: v for k, v in clusters[-1].items() if k not in ("event", "time")}
    if loop := _loop(steps):
        summary["pruning_loop"] = loop
    return cast("Report", summary)


def _loop(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Seconds per removed channel and their parts; empty where no step knows its parts."""
    known = [s for s in steps if table(s, "parts")]
    if not known:
        return {}
    names = dict.fromkeys(k for s in known for k in table(s, "parts"))
    parts = {k: sum(number(s, "parts", k) or 0.0 for s in known) / len(known) for k in names}
    return {"channels": len(known), "seconds_per_channel": sum(parts.values()), "parts": parts}
