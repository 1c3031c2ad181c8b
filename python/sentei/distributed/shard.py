"""A parameter server's share: a range of the weights, the state of their rule, and what it has seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sentei import ops
from sentei.distributed.snapshot import Snapshot, newest, read_snapshot, write_snapshot
from sentei.errors import DTypeError, ShapeError
from sentei.optim import SGD, AdaGrad, Constant, Optimizer, Schedule

__all__ = ["Ack", "ParameterShard", "Weights", "check_rule", "no_point"]

COUNTERS = ("applied", "repeats", "gaps", "replayed", "snapshots", "late_sum", "late_max", "bytes")


class Ack(NamedTuple):
    """Answer to a push. fate: applied, repeat (known already, dropped) or gap (one before is missing).

    life, version: of the shard. safe: version of its last snapshot.
    """

    life: int
    version: int
    safe: int
    fate: str


class Weights(NamedTuple):
    """Answer to a fetch: values of a version."""

    life: int
    version: int
    values: NDArray[np.float32]


def no_point(name: str) -> str | None:
    """Where no faults are injected, nothing happens at a named point."""
    return None


def check_rule(rule: Optimizer) -> None:
    """ValueError unless a shard can apply it: AdaGrad or SGD, without decay (the gradient's affair)."""
    if type(rule) not in (AdaGrad, SGD):
        raise ValueError(f"distributed: rule must be AdaGrad or SGD, got {type(rule).__name__}")
    if rule.weight_decay or rule.l2:
        raise ValueError(
            "distributed: weight_decay and l2 must be given to the model, not to the rule"
        )


class ParameterShard:
    """Holds weights[first:last] of a run and applies gradients to them, each exactly once.

    A push is known by (chunk, sequence): the shard drops what it has applied and refuses what leaves a
    gap. A shard that is started again goes on from its last snapshot; the senders send what came after.

    Args:
        run: name of the run. number: of the shard.
        weights: (size,) float32, as they start; a snapshot goes before them.
        rule: AdaGrad or SGD. schedule: of its step size, by the number of the update.
        store: folder of snapshots. every: updates between two; 0: only by `save`.
    """

    point: Callable[[str], str | None] = staticmethod(no_point)

    def __init__(
        self,
        run: str,
        number: int,
        weights: NDArray[np.float32],
        rule: Optimizer,
        store: str,
        every: int,
        schedule: Schedule | None = None,
    ) -> None:
        check_rule(rule)
        self.run, self.number, self.rule, self.every = run, number, rule, every
        self.schedule = schedule or Constant()
        self.folder = Path(store)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.w = np.array(weights, np.float32)
        has_sums = isinstance(rule, AdaGrad) or bool(getattr(rule, "momentum", 0))
        self.sums = np.zeros_like(self.w) if has_sums else None
        self.life, self.version, self.safe = 1, 0, 0
        self.positions: dict[int, int] = {}
        self.counters = dict.fromkeys(COUNTERS, 0)
        self._restore(None)
        self.save()  # from here on an older process of this shard writes in vain

    def _restore(self, version: int | None) -> bool:
        path = newest(self.folder, self.number, version)
        if path is None:
            return False
        s = read_snapshot(path, self.run, self.number, self.w.size, self.sums is not None)
        last = newest(self.folder, self.number)
        assert last is not None
        self.life = max(self.life, int(last.name.split(".")[1])) + 1
        self.w, self.sums, self.version, self.safe = s.weights, s.sums, s.version, s.version
        self.positions = s.positions
        self.counters = {k: s.counters.get(k, 0) for k in COUNTERS}
        return True

    # -- asynchronous ----------------------------------------------------------------------------
    def push(
        self, chunk: int, sequence: int, gradient: NDArray[np.float32], version: int, again: bool
    ) -> Ack:
        """Apply gradient `sequence` of a chunk, once.

        Args:
            gradient: (size,) float32. version: that of the weights that it was computed with.
            again: it is sent anew because the shard may have lost it.
        Raises:
            DTypeError, ShapeError: the gradient is not of this shard.
        """
        self.point("before_apply")
        self._check(gradient)
        self.counters["bytes"] += gradient.nbytes
        due = self.positions.get(chunk, 0)
        if sequence != due:
            fate = "repeat" if sequence < due else "gap"
            self.counters["repeats" if sequence < due else "gaps"] += 1
            return Ack(self.life, self.version, self.safe, fate)
        late = 0 if again else max(self.version - version, 0)
        self._apply(gradient)
        self.positions[chunk] = due + 1
        c = self.counters
        c["late_sum"], c["late_max"] = c["late_sum"] + late, max(c["late_max"], late)
        c["applied"], c["replayed"] = c["applied"] + 1, c["replayed"] + bool(again)
        if self.every and self.version - self.safe >= self.every:
            self.save()
        self.point("after_apply_before_reply")
        return Ack(self.life, self.version, self.safe, "applied")

    def exchange(
        self, chunk: int, sequence: int, gradient: NDArray[np.float32], version: int, again: bool
    ) -> tuple[Ack, Weights]:
        """A push and a fetch in one message."""
        return self.push(chunk, sequence, gradient, version, again), self.fetch()

    def fetch(self) -> Weights:
        """The weights as they are now."""
        self.counters["bytes"] += self.w.nbytes
        return Weights(self.life, self.version, self.w)

    def places(self, chunks: Sequence[int]) -> tuple[int, int, int, dict[int, int]]:
        """(life, version, version of the last snapshot, {chunk: next push})."""
        return self.life, self.version, self.safe, {c: self.positions.get(c, 0) for c in chunks}

    # -- synchronous -----------------------------------------------------------------------------
    def step(
        self, step: int, numbers: Sequence[int], *gradients: NDArray[np.float32]
    ) -> tuple[tuple[int, int], Weights]:
        """Apply the mean of the gradients of step `step`, added in their order.

        A step that was made already changes nothing; with no gradient the weights come as they are.

        Args:
            numbers: of the mini-batches, one a gradient.
        Returns:
            (life, version) and the weights after it.
        """
        if gradients and step == self.version:
            self.point("before_apply")
            for g in gradients:
                self._check(g)
            total = np.array(gradients[0], np.float32)
            for g in gradients[1:]:
                total += g
            total *= np.float32(1 / len(gradients))
            self.counters["bytes"] += total.nbytes * (len(gradients) + 1)
            self._apply(total)
            for n in numbers:
                self.positions[n] = self.positions.get(n, 0) + 1
            self.counters["applied"] += len(gradients)
            if self.every and self.version % self.every == 0:
                self.save()
            self.point("after_apply_before_reply")
        elif gradients and step < self.version:
            self.counters["repeats"] += 1
        return (self.life, self.version), Weights(self.life, self.version, self.w)

    def snapshots(self) -> list[int]:
        """Versions that the shard can go back to."""
        pattern = f"shard-{self.number}.*.safetensors"
        return sorted({int(p.name.split(".")[2]) for p in self.folder.glob(pattern)})

    def back_to(self, version: int) -> int:
        """Go back to a snapshot of this version; return the life that begins."""
        if not self._restore(version):
            raise LookupError(f"shard {self.number} has no snapshot of version {version}")
        self.save()
        return self.life

    # -- both ------------------------------------------------------------------------------------
    def status(self) -> dict[str, Any]:
        """life, version, safe and the counters."""
        return {
            "life": self.life,
            "version": self.version,
            "safe": self.safe,
            "counters": dict(self.counters),
        }

    def save(self) -> tuple[int, dict[int, int]]:
        """Write a snapshot; return (life, {chunk: next push} that are in it)."""
        self.point("before_snapshot")
        self.counters["snapshots"] += 1
        write_snapshot(
            self.folder,
            Snapshot(
                self.run,
                self.number,
                self.life,
                self.version,
                self.w,
                self.sums,
                self.positions,
                self.counters,
            ),
            lambda: self.point("mid_snapshot"),
        )
        self.safe = self.version
        self.point("after_snapshot")
        return self.life, dict(self.positions)

    def _apply(self, gradient: NDArray[np.float32]) -> None:
        lr = np.array([self.schedule(self.rule.lr, self.version, 0)], np.float32)
        if isinstance(self.rule, AdaGrad):
            assert self.sums is not None
            ops.adagrad_update(self.w, gradient, self.sums, lr, eps=self.rule.eps)
        else:
            momentum = getattr(self.rule, "momentum", 0.0)
            ops.sgd_update(self.w, gradient, self.sums, lr, momentum=momentum)
        self.version += 1

    def _check(self, g: NDArray[np.float32]) -> None:
        if g.dtype != np.float32 or not g.flags.c_contiguous:
            raise DTypeError(
                f"push: gradient must be contiguous float32, got {g.dtype}"
                + ("" if g.flags.c_contiguous else " with gaps")
            )
        if g.shape != self.w.shape:
            raise ShapeError(f"push: gradient must have shape {self.w.shape}, got {g.shape}")
