"""What pruning may cost: accuracy on held-out images, watched from round to round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sentei.errors import DataError
from sentei.prune.choice import Member

__all__ = ["NOTES", "Guard", "Rollback"]

NOTES = "pruning"  # in the meta of a model: where the loop stands besides its history
_ROUNDING = 1e-9  # points: a drop of exactly what is allowed is allowed


@dataclass(frozen=True)
class Rollback:
    """A round that was undone. members: what is protected from now on, numbered as in the original
    network; before, after: accuracy of the network without and with the cut; steps: removals that stand."""

    steps: int
    members: tuple[Member, ...]
    before: float
    after: float

    @property
    def drop(self) -> float:
        """Accuracy points lost."""
        return 100 * (self.before - self.after)

    def to_json(self) -> dict[str, Any]:
        """Plain data for an event."""
        members = [list(m) for m in self.members]
        layer, channel = self.members[0]
        return {
            "steps": self.steps, "layer": layer, "channel": channel, "members": members,
            "before": self.before, "after": self.after, "drop": self.drop,
        }  # fmt: skip


@dataclass
class Guard:
    """Where the accuracy stands. max_drop, rollback: points that the whole pruning, and a round, may cost.

    reference: accuracy before any removal. last: after the last round that stands. good: removals of
    the last network that keeps max_drop; bad: evaluations in a row since that did not.
    """

    max_drop: float | None = None
    rollback: float | None = None
    patience: int = 3
    reference: float | None = None
    last: float | None = None
    good: int = 0
    bad: int = 0
    undone: int = 0
    protected: set[Member] = field(default_factory=set)

    @property
    def watches(self) -> bool:
        """Whether there is anything to watch."""
        return self.max_drop is not None or self.rollback is not None

    def begin(self, accuracy: float) -> None:
        """The accuracy before any removal."""
        self.reference = self.last = accuracy

    def keeps(self, accuracy: float) -> bool:
        """Whether max_drop is kept."""
        assert self.reference is not None
        lost = 100 * (self.reference - accuracy)
        return self.max_drop is None or lost <= self.max_drop + _ROUNDING

    def too_much(self, accuracy: float) -> bool:
        """Whether a round cost too much."""
        assert self.last is not None
        lost = 100 * (self.last - accuracy)
        return self.rollback is not None and lost > self.rollback + _ROUNDING

    def to_json(self) -> dict[str, Any]:
        """What a checkpoint keeps, plain data."""
        return {
            "reference": self.reference, "last": self.last, "good": self.good, "bad": self.bad,
            "undone": self.undone, "protected": [list(m) for m in sorted(self.protected)],
        }  # fmt: skip

    def restore(self, notes: Any) -> None:
        """Go on from what `to_json` gave.

        Raises:
            DataError: it is something else.
        """
        try:
            if not isinstance(notes, Mapping):
                raise TypeError("no table")
            for key in ("reference", "last"):
                value = notes[key]
                setattr(self, key, None if value is None else float(value))
            for key in ("good", "bad", "undone"):
                if type(notes[key]) is not int or notes[key] < 0:
                    raise ValueError(f"{key} is {notes[key]!r:.40}")
                setattr(self, key, notes[key])
            self.protected = {(str(layer), int(channel)) for layer, channel in notes["protected"]}
        except (KeyError, TypeError, ValueError) as e:
            raise DataError(f"resume: the notes of pruning must be whole, got {e!r}") from None
