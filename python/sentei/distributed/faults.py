"""Faults at named points, so that what must survive them can be tried on purpose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

__all__ = ["POINTS", "REPLICA_POINTS", "SHARD_POINTS", "Action", "Fault", "Faults", "schedule"]

Action = Literal["exit", "stop", "delay", "drop_reply", "duplicate"]

REPLICA_POINTS = ("after_lease", "after_fetch", "after_gradient", "before_push", "after_push")
SHARD_POINTS = (
    "before_apply",
    "after_apply_before_reply",
    "before_snapshot",
    "mid_snapshot",
    "after_snapshot",
)
POINTS = (*REPLICA_POINTS, *SHARD_POINTS, "in_portion")


@dataclass(frozen=True)
class Fault:
    """What happens to a worker when it comes to a point for the `nth` time of its first life.

    who: name of the worker ("replica 0", "shard 1"). point: one of POINTS. nth: from 1.
    what: exit: the process ends there. stop: it stands still and does not answer. delay: it waits
    `seconds`. drop_reply: the answer to what it is doing never arrives. duplicate: its next message is
    sent twice.
    """

    who: str
    point: str
    nth: int
    what: Action
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.point not in POINTS:
            raise ValueError(
                f"Fault: point must be one of {', '.join(POINTS)}, got {self.point!r:.40}"
            )
        if self.what not in get_args(Action):
            raise ValueError(
                f"Fault: what must be one of {', '.join(get_args(Action))}, got {self.what!r:.40}"
            )
        if self.nth < 1 or self.seconds < 0:
            raise ValueError(
                f"Fault: nth must be at least 1 and seconds 0, got {self.nth} and {self.seconds}"
            )


class Faults:
    """The faults of one worker in its first life; later lives have none."""

    def __init__(self, faults: Iterable[Fault] = (), who: str = "") -> None:
        self._due = {(f.point, f.nth): f for f in faults if f.who == who}
        self._seen: Counter[str] = Counter()

    def at(self, point: str) -> Fault | None:
        """The fault that is due here and now."""
        self._seen[point] += 1
        return self._due.get((point, self._seen[point]))


def schedule(
    seed: int,
    replicas: Sequence[str],
    shards: Sequence[str],
    most: int = 4,
    reach: int = 12,
    delay: float = 1.0,
) -> tuple[Fault, ...]:
    """Draw 1 to `most` faults: who, where, at which occurrence (up to `reach`), what.

    The same seed gives the same faults.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(int(rng.integers(1, most + 1))):
        of_shard = bool(rng.integers(2))
        names, points = (shards, SHARD_POINTS) if of_shard else (replicas, REPLICA_POINTS)
        point = str(rng.choice(points))
        nth = int(rng.integers(1, 4 if "snapshot" in point else reach + 1))
        what: Action = get_args(Action)[int(rng.integers(5))]
        found.append(Fault(str(rng.choice(names)), point, nth, what, delay * float(rng.random())))
    return tuple(found)
