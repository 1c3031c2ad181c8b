#!/usr/bin/env python3
"""lenet5_prune on MNIST: one process, two ranks, and two ranks of which one is killed on the way.

usage: bench_mnist.py --data-dir DIR [--epochs N] [--images N] [--record FOLDER]
Real runs of the command line at equal samples, one thread a rank, step size falling to 0 by a cosine.
The third arm runs under `python -m sentei.distributed.launch --keep`; its rank 1 is killed after the
first checkpoint.
goal: accuracies within 0.3 point of one process; the killed run ends with the bits of the one that was not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import record

KILLER = """
import os, signal, threading, time
def watch():
    while not os.path.exists(os.environ["KILL_WHEN"]):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
if os.environ.get("PMI_RANK") == "1" and os.environ.get("SENTEI_RELAUNCHES") == "0":
    threading.Thread(target=watch, daemon=True).start()
"""
ARMS = ("one_process", "two_ranks", "two_ranks_one_killed")


def run(arm: str, words: list[str], folder: Path, beside: Path) -> dict:
    """Run one arm; its report."""
    python = [sys.executable, "-m"]
    start = {
        "one_process": [*python, "sentei"],
        "two_ranks": ["mpiexec", "-n", "2", *python, "sentei"],
        "two_ranks_one_killed": [
            *(*python, "sentei.distributed.launch", "-n", "2", "--keep", "--retries", "1", "--")
        ],
    }[arm]
    env = dict(os.environ)
    if arm == "two_ranks_one_killed":
        env["PYTHONPATH"] = os.pathsep.join([str(beside), env.get("PYTHONPATH", "")])
        env["KILL_WHEN"] = str(folder / "checkpoint.safetensors")
    begun = time.perf_counter()
    done = subprocess.run(
        [*start, *words, "--run-dir", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    if done.returncode:
        sys.exit(f"{arm}: {done.stderr.strip()[-600:]}")
    report = json.loads((folder / "report.json").read_text())
    report["wall_seconds"] = round(time.perf_counter() - begun, 2)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=60000, help="training images at most")
    parser.add_argument("--record", metavar="FOLDER")
    given = parser.parse_args()
    found, bits = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        beside = Path(scratch)
        (beside / "sitecustomize.py").write_text(KILLER)
        words = ["train", "--network", "lenet5_prune", "--data", "mnist", "-q", "--threads", "1"]
        words += [
            "--schedule",
            "cosine",
        ]  # ends at rest: what is left is not the noise of large steps
        words += ["--data-dir", given.data_dir, "--epochs", str(given.epochs)]
        words += ["--set", f"data.limit={given.images}", "--set", "run.latency_seconds=0"]
        for arm in ARMS:
            r = run(arm, words, beside / arm, beside)
            found[arm] = {
                "accuracy": r["accuracy"]["before"],
                "loss": r["loss"]["before"],
                "train_seconds": r["seconds"]["train"],
                "wall_seconds": r["wall_seconds"],
                "distributed": r.get("cluster"),
            }
            bits[arm] = (beside / arm / "model.safetensors").read_bytes()
            print(arm, json.dumps(found[arm]))
    same = bits["two_ranks"] == bits["two_ranks_one_killed"]
    points = max(
        100 * abs(found[a]["accuracy"] - found["one_process"]["accuracy"]) for a in ARMS[1:]
    )
    print(f"largest difference {points:.2f} points; killed run has the same bits: {same}")
    if given.record:
        about = {"network": "lenet5_prune", "dataset": "mnist", "epochs": given.epochs}
        about |= {"images": given.images, "goal": 0.3, "points": round(points, 3)}
        record(given.record, "mpi_mnist", {**about, "same_bits": same, "arms": found})
    return 0 if points <= 0.3 and same else 1


if __name__ == "__main__":
    sys.exit(main())
