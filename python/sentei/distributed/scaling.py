"""What several machines would gain, by a model with few numbers: before anything is rented or written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["STRATEGIES", "Forecast", "Workload", "counts_up_to", "forecast", "worth"]


@dataclass(frozen=True)
class Workload:
    """One mini-batch of one worker, and what lies between the workers.

    Args:
        parameters: of the model, 4 bytes each travel.
        seconds: a worker's own time for the gradient of its mini-batch.
        bandwidth: bytes/s of one worker's link, each way.
        overhead: seconds of one message beside its bytes; collective: of one step of an all-reduce.
        slow, factor: share of mini-batches that take `factor` times as long.
        shards: parameter servers; 0: one for every four workers. backups: workers beyond those waited
            for. every: mini-batches between exchanges (Downpour). width: activations that leave a worker
            per mini-batch when layers are split; 0: they are not.
        portions: mini-batches of a full gradient (Sandblaster).
    """

    parameters: float
    seconds: float
    bandwidth: float
    overhead: float = 3e-3
    collective: float = 1e-4
    slow: float = 0.01
    factor: float = 5.0
    shards: int = 0
    backups: int = 1
    every: int = 1
    width: float = 0.0
    portions: int = 1000

    def __post_init__(self) -> None:
        least = {"parameters": 1, "every": 1, "portions": 1, "factor": 1}
        for f in fields(self):
            value = getattr(self, f.name)
            low = least.get(f.name, 0)
            strict = f.name in ("seconds", "bandwidth")
            if not math.isfinite(value) or value < low or (strict and value <= 0):
                bound = "above 0" if strict else f"at least {low}"
                raise ValueError(f"plan: {f.name} must be {bound}, got {value!r}")
        if self.slow >= 1:
            raise ValueError(f"plan: slow must be a share below 1, got {self.slow!r}")

    @property
    def transfer(self) -> float:
        """Seconds of all parameters over one link."""
        return 4 * self.parameters / self.bandwidth

    def servers(self, workers: int) -> int:
        return self.shards or max(1, workers // 4)

    def slowest(self, workers: int, waited: int) -> float:
        """Mean seconds until `waited` of so many workers have their gradient.

        A worker is slow with probability p on its own, so the number of slow ones is binomial: the
        last one waited for is slow when more are slow than may be left out.
        """
        p = self.slow
        fast = sum(
            math.comb(workers, k) * p**k * (1 - p) ** (workers - k)
            for k in range(workers - waited + 1)
        )
        return self.seconds * (fast + (1 - min(fast, 1.0)) * self.factor)


@dataclass(frozen=True)
class Forecast:
    """workers at one strategy: seconds of a step, speed-up over one worker's mini-batches per second,
    efficiency (speed-up by workers and servers), staleness in updates, the share of time spent waiting.
    """

    strategy: str
    workers: int
    seconds: float
    speedup: float
    efficiency: float
    staleness: float
    waiting: float

    def to_json(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


def _all_reduce(w: Workload, n: int) -> tuple[float, float, float, int]:
    """A ring: 2 (n - 1) messages of P / n each."""
    steps = 2 * (n - 1)
    return w.slowest(n, n) + steps / n * w.transfer + steps * w.collective, n, 0.0, 0


def _synchronous(w: Workload, n: int) -> tuple[float, float, float, int]:
    """n gradients of n + backups workers count; servers receive and send over their own links."""
    b = min(w.backups, n - 1)
    k = w.servers(n)
    there = max(w.transfer, n * w.transfer / k) + w.overhead
    return w.slowest(n, n - b) + 2 * there, n - b, 0.0, k


def _downpour(w: Workload, n: int) -> tuple[float, float, float, int]:
    """Nobody waits, until the links of the servers are full."""
    k = w.servers(n)
    mean = w.seconds * (1 + w.slow * (w.factor - 1))
    exchange = 2 * (w.transfer + w.overhead)
    cycle = max(w.every * mean + exchange, n * w.transfer / k)
    late = (n - 1) * (cycle - exchange / 2) / cycle
    return cycle, n * w.every, late, k


def _sandblaster(w: Workload, n: int) -> tuple[float, float, float, int]:
    """A full gradient: portions to whoever is free; backups bound the end to two portions."""
    k = w.servers(n)
    mean = w.seconds * (1 + w.slow * (w.factor - 1))
    push = max(w.transfer, n * w.transfer / k) + w.overhead
    total = w.transfer + w.overhead + w.portions / n * (mean + push) + w.seconds
    return total, w.portions, 0.0, k


def _split(w: Workload, n: int) -> tuple[float, float, float, int]:
    """Layers cut over workers: activations go round, and their gradients back; one mini-batch at a time."""
    if n == 1:
        return w.seconds, 1, 0.0, 0
    exchange = 2 * (4 * w.width * (n - 1) / n / w.bandwidth + (n - 1) * w.collective)
    return w.slowest(n, n) / n + exchange, 1, 0.0, 0


STRATEGIES = {
    "all-reduce": _all_reduce,
    "sync": _synchronous,
    "downpour": _downpour,
    "sandblaster": _sandblaster,
    "split": _split,
}


def forecast(w: Workload, strategy: str, workers: int) -> Forecast:
    """Predict one strategy with so many workers.

    The speed-up counts mini-batches (or, split, the one that all work at); it says nothing of how many
    mini-batches the training needs, which grows with staleness and with the size of the whole batch.

    Raises:
        ValueError: an unknown strategy, or no worker.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"plan: strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
    if workers < 1:
        raise ValueError(f"plan: workers must be at least 1, got {workers}")
    alone = w.seconds * (1 + w.slow * (w.factor - 1))
    if workers == 1:
        batches = float(w.portions if strategy == "sandblaster" else 1)
        return Forecast(strategy, 1, alone * batches, 1.0, 1.0, 0.0, 0.0)
    seconds, batches, late, servers = STRATEGIES[strategy](w, workers)
    speedup = alone * batches / seconds
    machines = workers + servers
    return Forecast(
        strategy,
        workers,
        seconds,
        speedup,
        speedup / machines,
        late,
        max(0.0, 1 - speedup / workers),
    )


def counts_up_to(most: int) -> list[int]:
    """1, 2, 4, ... and the last one."""
    found = [2**i for i in range(most.bit_length()) if 2**i <= most]
    return found if found[-1] == most else [*found, most]


def worth(rows: Sequence[Forecast], least: float = 1.5) -> str:
    """In words: which strategy gains most, or that none does."""
    best = max(rows, key=lambda r: r.speedup)
    if best.speedup < least:
        return (
            f"None of these pays: the best, {best.strategy} with {best.workers} workers, is "
            f"{best.speedup:.2f} times one worker. Faster links, larger mini-batches or fewer "
            "parameters would help."
        )
    lean = min(
        (r for r in rows if r.speedup >= 0.9 * best.speedup), key=lambda r: (r.workers, -r.speedup)
    )
    words = (
        f"{best.strategy} with {best.workers} workers: {best.speedup:.1f} times one worker, "
        f"{best.efficiency:.0%} per machine."
    )
    if lean.workers < best.workers:
        words += f" {lean.strategy} with {lean.workers} comes within a tenth of it."
    return words

