"""What a coordinator remembers of its last iterations, so that all can be sent back to one of them."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sentei.distributed.directions import Directions
from sentei.errors import DataError
from sentei.io.atomic import replacing

__all__ = ["Known"]

_KEPT = 3  # states; shards keep two


class Known:
    """States of a Sandblaster run by iteration, also in a file.

    Args:
        folder: of the run's snapshots. run: its name; a file of another run is refused. resume: go on
            from the file; else what lies there of an older run is removed.
    Raises:
        DataError: the file is damaged, or of another run.
    """

    def __init__(self, folder: Path, run: str, resume: bool) -> None:
        self.run, self.path = run, folder / "coordinator.json"
        self.states: dict[int, dict[str, Any]] = {}
        if resume and self.path.exists():
            self.states = self._read()
        elif not resume:
            self.path.unlink(missing_ok=True)

    def put(self, state: dict[str, Any]) -> None:
        """Keep the state of an iteration, and forget those before the last few and all after it."""
        at = state["iteration"]
        self.states = {k: v for k, v in self.states.items() if k < at} | {at: state}
        for old in sorted(self.states)[:-_KEPT]:
            del self.states[old]
        with replacing(self.path) as file:
            data = {"run": self.run, "states": list(self.states.values())}
            file.write(json.dumps(data).encode())

    def newest(self, common: Collection[int]) -> int | None:
        """The last iteration that the shards have too; None: there is none."""
        return max((k for k in common if k in self.states), default=None)

    def _read(self) -> dict[int, dict[str, Any]]:
        try:
            data = json.loads(self.path.read_text())
            if data["run"] != self.run:
                raise ValueError("it is of another run")
            found = {int(x["iteration"]): x for x in data["states"]}
            for x in found.values():
                float.fromhex(x["loss"]), float.fromhex(x["size"])
                Directions.from_json(x["directions"])
                list(x["history"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise DataError(f"sandblaster: {self.path} must be whole, got: {e}") from e
        return found
