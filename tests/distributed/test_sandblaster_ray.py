"""Sandblaster on real Ray: the losses of virtual time, whatever dies; and a whole run of the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import sentei
import sentei.distributed as sd
from distributed_toys import LogisticRecipe, chunks_of, correlated
from extras import need
from sentei.distributed.engine import using
from virtual_time import VirtualCluster

need("ray")
ROOT = Path(__file__).resolve().parents[2]
DATA = chunks_of(*correlated(600, 12), 1, 50)  # 12 portions
COMMON = {"workers": 2, "shards": 2, "iterations": 6}


def losses(found):
    return np.array([row["loss"] for row in found.history])


@pytest.fixture(scope="module")
def clean():
    with using(VirtualCluster(0)):
        found = sd.sandblaster(LogisticRecipe(12), DATA, **COMMON)
    assert losses(found)[-1] < 0.5 * losses(found)[0]
    return losses(found)


FAULTS = {
    "nothing": {},
    "worker killed": {"restarts": sd.Fault("replica 0", "in_portion", 9, "exit")},
    "worker hung": {"restarts": sd.Fault("replica 1", "before_push", 7, "stop")},
    "shard killed": {"shard_restarts": sd.Fault("shard 1", "before_apply", 30, "exit")},
}


@pytest.mark.parametrize("name", FAULTS)
def test_losses_are_those_of_virtual_time(ray_cluster, clean, name):
    faults = FAULTS[name]
    found = sd.sandblaster(
        LogisticRecipe(12),
        DATA,
        **COMMON,
        wait=1.0,
        backup_after=5.0,
        faults=tuple(faults.values()),
    )
    np.testing.assert_allclose(losses(found), clean, rtol=1e-6)
    assert found.counters.updates == [6, 6]
    happened = {k: getattr(found.counters, k) for k in ("restarts", "shard_restarts")}
    assert happened == {"restarts": 0, "shard_restarts": 0} | dict.fromkeys(faults, 1)


def started(folder, *words, **more):
    """The command in a process group of its own: its Ray is not that of this session."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    env["PYTHONPATH"] = os.pathsep.join(
        [str(Path(sentei.__file__).resolve().parents[1]), env.get("PYTHONPATH", "")]
    )
    return subprocess.Popen(
        [sys.executable, "-m", "sentei", *words], env=env, cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more,
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_stops_and_goes_on(tmp_path):
    """Ctrl-C after a few iterations; `resume` makes the rest."""
    rng, labels = np.random.default_rng(5), np.arange(60) % 2
    images = rng.integers(0, 200, (60, 12, 12, 1)) + 50 * labels[:, None, None, None]
    pixels, path = images.astype(np.uint8), tmp_path / "digits.npz"
    np.savez(path, train_images=pixels[:50], train_labels=labels[:50], test_images=pixels[50:],
             test_labels=labels[50:])  # fmt: skip
    flags = [
        "--network", "lenet5_prune", "--cluster", "local", "--strategy", "sandblaster",
        "--epochs", "8", "--run-dir", str(tmp_path / "run"),
    ]  # fmt: skip
    for pair in (
        'train.optimizer="lbfgs"', "train.lr=1.0", f'data.name="{path}"', "data.split=[4, 1]",
        "train.batch=10", "distributed.shards=2", "run.latency_seconds=0",
    ):  # fmt: skip
        flags += ["--set", pair]
    state = tmp_path / "run" / "shards" / "coordinator.json"
    command = started(tmp_path, "train", *flags)
    end = time.monotonic() + 60
    while not (state.exists() and json.loads(state.read_text())[-1]["iteration"] >= 2):
        assert command.poll() is None and time.monotonic() < end, command.communicate()[0]
        time.sleep(0.02)
    command.send_signal(signal.SIGINT)
    out = command.communicate(timeout=60)[0]
    assert command.returncode == 130, out
    stood = json.loads(state.read_text())[-1]
    assert stood["iteration"] < 8, "the run has ended before it was stopped"
    again = started(tmp_path, "resume", str(tmp_path / "run"))
    out = again.communicate(timeout=100)[0]
    assert again.returncode == 0, out
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    told = report["cluster"]
    assert told["strategy"] == "sandblaster" and told["planned"] == 8 and told["updates"] == [8, 8]
    assert {"restarts", "backups", "snapshots", "rolled_back"} <= set(told)
    rows = report["training"]
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    kept = [row["loss"] for row in stood["history"] if row["iteration"]]
    assert [row["loss"] for row in rows[: len(kept)]] == kept, "iterations made are not made again"
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert not (tmp_path / "run" / "shards").exists()
