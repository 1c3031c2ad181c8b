#!/usr/bin/env python3
"""Cut a machine off in the middle of a Downpour run; see namespaces.sh, which makes two machines of one."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench_machinery import Sleeper

import sentei.distributed as sd
from harness import record


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("address", help="host:port of the cluster")
    p.add_argument("--cut", required=True, help="command that cuts the second machine off")
    p.add_argument("--after", type=float, default=4.0, help="seconds of training before that")
    p.add_argument("--wait", type=float, default=3.0, help="seconds of patience")
    p.add_argument("--record", metavar="FOLDER", help="append to bench/results/FOLDER")
    args = p.parse_args()
    times: dict[str, float] = {}

    def show(status: Any) -> None:
        now = time.monotonic()
        if status.done and "first" not in times:
            times["first"] = now
        if "first" in times and "cut" not in times and now - times["first"] > args.after:
            subprocess.run(args.cut.split(), check=True)
            times["cut"] = time.monotonic()
        for note in status.notes:
            if "cut" in times:
                times.setdefault("noticed", now)
                print(f"{now - times['cut']:6.2f} s after the cut: {note}", flush=True)

    chunks = [[0.0] * 5 for _ in range(60)]
    with tempfile.TemporaryDirectory() as store, sd.cluster(args.address) as c:
        print(f"{c.cores} cores in the cluster", flush=True)
        found = sd.downpour(
            Sleeper(10_000, 0.1), chunks, replicas=2, shards=2, rule=sd.AdaGrad(0.01),
            snapshot_every=20, store=store, wait=args.wait, show=show,
        )  # fmt: skip
    done = time.monotonic()
    row = {
        "noticed_s": round(times["noticed"] - times["cut"], 2),
        "finished_s": round(done - times["cut"], 2),
        "wait_s": args.wait,
        "counters": found.counters.to_json(),
    }
    print(row)
    assert found.counters.updates == [300, 300]
    if args.record:
        record(args.record, "distributed_machine_loss", row)


if __name__ == "__main__":
    main()
