"""A Sandblaster shard: the same range of all vectors of L-BFGS; commands and scalars come and go."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from sentei.distributed.shard import no_point
from sentei.errors import DataError, DTypeError, ShapeError
from sentei.io.atomic import replacing

__all__ = ["VectorShard"]

_NAME = re.compile(r"vectors-(\d+)\.(\d+)\.safetensors")
_KEPT = 2  # snapshots: another shard may be one behind
_BLOCK = 1 << 16  # elements whose products are summed at a time

Vector = NDArray[np.float32]


def _dot(a: Vector, b: Vector) -> float:
    """a . b in float64, in blocks of a fixed size and order."""
    total = 0.0
    for i in range(0, a.size, _BLOCK):
        total += float(np.dot(a[i : i + _BLOCK].astype(np.float64), b[i : i + _BLOCK]))
    return total


class VectorShard:
    """Holds [first:last] of weights, gradient, direction and the last changes of both.

    A gradient is summed in float64 from portions, each known by its number and added once; so the sum
    does not depend on the order of arrival beyond the last bit of float64. Every answer begins with
    `born`, which tells this process from one before: a shard that was started again stands where its
    last snapshot was made, and the coordinator takes all shards back there.

    Args:
        run, number: of the run and the shard. weights: (n,) float32, as they start.
        memory: changes kept. store: folder of snapshots. every: iterations between two.
    """

    point: Callable[[str], str | None] = staticmethod(no_point)

    def __init__(
        self, run: str, number: int, weights: Vector, memory: int, store: str, every: int
    ) -> None:
        self.run, self.number, self.memory, self.every = run, number, memory, every
        self.folder, self.born = Path(store), secrets.token_hex(8)
        n = weights.size
        self.w: Vector = np.array(weights, np.float32)
        self.g: Vector = np.zeros(n, np.float32)
        self.s: Vector = np.zeros((memory, n), np.float32)
        self.y: Vector = np.zeros((memory, n), np.float32)
        self.d: Vector = np.zeros(n, np.float32)
        self.iteration = 0
        self.evaluation = -1  # which one gathers portions
        self.trial_w = self.w
        self.trial_g: Vector = self.g
        self.sum: NDArray[np.float64] = np.zeros(0)
        self.portions: set[int] = set()
        self.counters = {"repeats": 0, "late": 0, "snapshots": 0, "bytes": 0}
        kept = self.snapshots()[1]
        if kept:
            self._restore(kept[-1])
        else:
            self._save()

    # -- what workers call ---------------------------------------------------------------------
    def fetch(self, evaluation: int) -> Vector | None:
        """The weights of an evaluation; None: it is over, or has not begun here."""
        if evaluation != self.evaluation:
            return None
        self.counters["bytes"] += self.trial_w.nbytes
        return self.trial_w

    def add(self, evaluation: int, portion: int, gradient: Vector) -> str:
        """Add the gradient of a portion, once: "added", "repeat" or "late" (the evaluation is over)."""
        self.point("before_apply")
        if gradient.dtype != np.float32 or not gradient.flags.c_contiguous:
            raise DTypeError(f"add: gradient must be contiguous float32, got {gradient.dtype}")
        if gradient.shape != self.w.shape:
            raise ShapeError(f"add: gradient must have shape {self.w.shape}, got {gradient.shape}")
        self.counters["bytes"] += gradient.nbytes
        if evaluation != self.evaluation or portion in self.portions:
            fate = "late" if evaluation != self.evaluation else "repeat"
            self.counters["late" if fate == "late" else "repeats"] += 1
            return fate
        self.sum += gradient
        self.portions.add(portion)
        self.point("after_apply_before_reply")
        return "added"

    # -- what the coordinator calls --------------------------------------------------------------
    def status(self) -> tuple[str, dict[str, int]]:
        return self.born, dict(self.counters)

    def weights(self) -> tuple[str, Vector]:
        return self.born, self.w

    def direct(self, iteration: int, factors: NDArray[np.float64]) -> tuple[str, bool]:
        """d = sum of factors times (s_0 .. y_0 .. g); False: this shard stands at another iteration."""
        if iteration != self.iteration:
            return self.born, False
        total = factors[-1] * self.g.astype(np.float64)
        for i in range(self.memory):
            for factor, vector in ((factors[i], self.s[i]), (factors[self.memory + i], self.y[i])):
                if factor:
                    total += factor * vector
        self.d = total.astype(np.float32)
        return self.born, True

    def trial(self, evaluation: int, t: float) -> tuple[str, bool]:
        """Begin an evaluation at w + t d."""
        self.trial_w = (self.w + t * self.d.astype(np.float64)).astype(np.float32)
        self.sum = np.zeros(self.w.size)
        self.portions = set()
        self.evaluation = evaluation
        return self.born, True

    def close(
        self, evaluation: int, weight: float, portions: int
    ) -> tuple[str, list[float] | None]:
        """End an evaluation: [d . g, g . g] at the trial; None: portions are missing here.

        weight: of all portions, by which their sum is divided.
        """
        if evaluation != self.evaluation or len(self.portions) != portions:
            return self.born, None
        self.trial_g = (self.sum / weight).astype(np.float32)
        return self.born, [_dot(self.d, self.trial_g), _dot(self.trial_g, self.trial_g)]

    def accept(
        self, iteration: int, slot: int
    ) -> tuple[str, tuple[NDArray[np.float64], float] | None]:
        """Step to the last trial: products (3, 2 m + 1) of the new s, y, g with all vectors; w . w.

        slot: of the new pair; below 0: this is where L-BFGS starts, there is no pair.
        """
        if iteration != self.iteration + (slot >= 0):
            return self.born, None
        if slot >= 0:
            np.subtract(self.trial_w, self.w, out=self.s[slot])
            np.subtract(self.trial_g, self.g, out=self.y[slot])
        self.w, self.g, self.iteration = self.trial_w, self.trial_g, iteration
        self.evaluation = -1
        rows = np.zeros((3, 2 * self.memory + 1))
        news = ((0, self.s[slot]), (1, self.y[slot]), (2, self.g)) if slot >= 0 else ((2, self.g),)
        for row, new in news:
            for i in range(self.memory):
                rows[row, i] = _dot(new, self.s[i])
                rows[row, self.memory + i] = _dot(new, self.y[i])
            rows[row, -1] = _dot(new, self.g)
        if iteration % self.every == 0:
            self._save()
        return self.born, (rows, _dot(self.w, self.w))

    # -- snapshots -------------------------------------------------------------------------------
    def snapshots(self) -> tuple[str, list[int]]:
        """Iterations that the shard can go back to."""
        names = self.folder.glob(f"vectors-{self.number}.*.safetensors")
        return self.born, sorted(int(p.name.split(".")[1]) for p in names)

    def back_to(self, iteration: int) -> tuple[str, bool]:
        """Stand where the snapshot of this iteration was made."""
        self._restore(iteration)
        return self.born, True

    def _path(self, iteration: int) -> Path:
        return self.folder / f"vectors-{self.number}.{iteration:09d}.safetensors"

    def _save(self) -> None:
        self.point("before_snapshot")
        self.counters["snapshots"] += 1
        tensors = {"w": self.w, "g": self.g, "s": self.s, "y": self.y}
        data = to_bytes(tensors, {"run": self.run, "shard": str(self.number)})
        with replacing(self._path(self.iteration)) as file:
            file.write(data[: len(data) // 2])
            self.point("mid_snapshot")
            file.write(data[len(data) // 2 :])
        for old in self.snapshots()[1][:-_KEPT]:
            with suppress(OSError):
                self._path(old).unlink()
        self.point("after_snapshot")

    def _restore(self, iteration: int) -> None:
        path, m, n = self._path(iteration), self.memory, self.w.size
        shapes = {"w": [n], "g": [n], "s": [m, n], "y": [m, n]}
        try:
            with safe_open(str(path), framework="numpy") as file:
                about = file.metadata() or {}
                found = {
                    name: (list(part.get_shape()), str(part.get_dtype()))
                    for name in file.keys()  # noqa: SIM118
                    for part in [file.get_slice(name)]
                }
                if found != {name: (shape, "F32") for name, shape in shapes.items()}:
                    raise ValueError(f"its tensors are {found}")
                if about.get("run") != self.run or about.get("shard") != str(self.number):
                    raise ValueError("it is of another run")
                tensors: dict[str, Any] = {k: file.get_tensor(k).copy() for k in shapes}
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as e:
            raise DataError(f"sandblaster: {path} must be a whole snapshot, got: {e}") from e
        self.w, self.g, self.s, self.y = (tensors[k] for k in ("w", "g", "s", "y"))
        self.iteration, self.evaluation = iteration, -1
