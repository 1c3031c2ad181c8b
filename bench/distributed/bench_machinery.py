#!/usr/bin/env python3
"""What Downpour's and synchronous SGD's machinery costs: updates a second against the ideal.

The computation of a mini-batch is a sleep, so that more replicas than cores tell something. Ideal: every
replica makes one update per sleep. Gradients are those of correlated features, so that weights move.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import sentei.distributed as sd
from harness import record


@dataclass
class Sleeper:
    """An objective that takes `seconds` and gives a gradient of `size` parameters."""

    size: int
    seconds: float

    def start(self) -> NDArray[np.float32]:
        return np.zeros(self.size, np.float32)

    def build(self) -> Sleeper:
        steps = np.random.default_rng(0).normal(size=self.size)
        self.g = (np.cumsum(steps) / np.sqrt(self.size)).astype(
            np.float32
        )  # neighbours hang together
        return self

    def loss_grad(self, w: NDArray[np.float32], batch: Any) -> tuple[float, NDArray[np.float32]]:
        time.sleep(self.seconds)
        return float(batch), self.g


def rate(strategy: str, replicas: int, args: argparse.Namespace) -> dict[str, Any]:
    """Updates a second in the middle of a run, and what was counted."""
    model = Sleeper(int(args.mb * 1e6) // 4, args.compute)
    count = max(2, round(replicas * args.seconds / args.compute / args.chunk))
    chunks = [[0.0] * args.chunk for _ in range(count)]
    seen: list[tuple[float, int]] = []
    common: dict[str, Any] = {
        "replicas": replicas,
        "shards": args.shards,
        "show": lambda s: seen.append((time.perf_counter(), s.done)),
    }
    if strategy == "sync":
        found = sd.synchronous(model, chunks, rule=sd.SGD(0.01), **common)
    else:
        ahead = strategy == "downpour, ahead"
        found = sd.downpour(model, chunks, rule=sd.AdaGrad(0.01), ahead=ahead, **common)
    planned = found.counters.planned
    middle = [(t, n) for t, n in seen if 0.15 * planned < n < 0.9 * planned]
    (t0, n0), (t1, n1) = middle[0], middle[-1]
    per_second = (n1 - n0) / (t1 - t0)
    ideal = replicas / args.compute
    return {
        "updates_per_s": round(per_second, 2),
        "share_of_ideal": round(per_second / ideal, 4),
        "staleness_mean": round(found.counters.staleness_mean, 2),
        "counters": found.counters.to_json(),
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4, 8])
    p.add_argument("--shards", type=int, default=2)
    p.add_argument("--mb", type=float, nargs="+", default=[4.0], help="megabytes of parameters")
    p.add_argument("--compute", type=float, default=0.1, help="seconds of a mini-batch")
    p.add_argument("--chunk", type=int, default=10, help="mini-batches of a lease")
    p.add_argument("--seconds", type=float, default=6.0, help="of a run, about")
    p.add_argument(
        "--strategy", nargs="+", default=["downpour", "downpour, ahead", "sync"],
        choices=["downpour", "downpour, ahead", "sync"],
    )  # fmt: skip
    p.add_argument("--record", metavar="FOLDER", help="append to bench/results/FOLDER")
    args = p.parse_args()
    sizes = args.mb
    with sd.cluster(cpus=2, memory=600 << 20):
        for args.mb in sizes:
            for n in args.replicas:
                for strategy in args.strategy:
                    found = rate(strategy, n, args)
                    about = {
                        "strategy": strategy,
                        "replicas": n,
                        "shards": args.shards,
                        "mb": args.mb,
                        "compute_s": args.compute,
                        "chunk": args.chunk,
                    }
                    print(
                        f"{strategy:16} {n} replicas {args.mb:g} MB  "
                        f"{found['updates_per_s']:6.1f}/s  {found['share_of_ideal']:.1%} of ideal  "
                        f"staleness {found['staleness_mean']:.2f}",
                        flush=True,
                    )
                    if args.record:
                        record(args.record, "distributed", {**about, **found})


if __name__ == "__main__":
    main()
