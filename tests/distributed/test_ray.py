"""Under real Ray: messages, errors, and workers that die, hang, or are told twice."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import sentei
import sentei.distributed as sd
from distributed_toys import Logistic, LogisticRecipe, chunks_of, correlated
from extras import need
from sentei.distributed.engine import ClusterError, LostError, Wait

ray = need("ray")
ROOT = Path(__file__).resolve().parents[2]
X, Y = correlated(1200, 12)
DATA = chunks_of(X, Y, 6, 10)  # 20 chunks, 120 updates
RECIPE = LogisticRecipe(12)


class Toy:
    def __init__(self, k):
        self.k = k

    def add(self, x):
        return self.k + x

    def bad(self):
        raise ValueError("no such thing")

    def end(self):
        os._exit(3)

    def threads(self):
        from sentei import _core

        return _core.threads(), self.k.flags.writeable if isinstance(self.k, np.ndarray) else None


class Asker:
    def __init__(self, other):
        self.other = other

    def ask(self, n):
        port = yield
        futures = [port.send(self.other, "add", i) for i in range(n)]
        ready, pending = yield Wait(futures, n, 10)
        assert not pending
        return [port.take(f) for f in ready]


class Broken:
    def __init__(self):
        raise OSError("no disk")


def take(c, worker, method, *args):
    future = c.call(worker, method, *args)
    assert c.wait([future], 1, 30)[0]
    return c.take(future)


def loss(weights):
    return Logistic(12).loss_grad(weights, (X, Y))[0]


def test_messages_errors_and_losses(ray_cluster):
    c = ray_cluster
    toy = c.spawn("toy", Toy, 3)
    asker = c.spawn("asker", Asker, toy)
    assert take(c, toy, "add", 4) == 7
    assert take(c, asker, "ask", 5) == [3, 4, 5, 6, 7]
    with pytest.raises(ValueError, match="no such thing"):
        take(c, toy, "bad")
    with pytest.raises(LostError):
        take(c, toy, "end")
    for _ in range(100):  # it comes back by itself
        try:
            assert take(c, toy, "add", 1) == 4
            break
        except LostError:
            time.sleep(0.1)
    else:
        pytest.fail("the worker did not come back")
    with pytest.raises(ClusterError, match="cannot start: OSError: no disk"):
        take(c, c.spawn("broken", Broken), "beat")
    for w in (toy, asker):
        c.kill(w, again=False)


def test_threads_are_set_and_large_arguments_survive(ray_cluster):
    w = ray_cluster.spawn("large", Toy, np.ones(1 << 18, np.float32), threads=1)
    assert take(ray_cluster, w, "threads")[0] == 1
    assert take(ray_cluster, w, "add", 1)[5] == 2
    with pytest.raises(ValueError, match="name must be new"):
        ray_cluster.spawn("large", Toy, 1)
    ray_cluster.kill(w, again=False)


def divided(a, b):
    return divmod(a, b)


def test_tasks(ray_cluster):
    future = ray_cluster.submit(divided, 7, 2)
    assert ray_cluster.wait([future], 1, 30)[0] and ray_cluster.take(future) == (3, 1)


def run(strategy=sd.downpour, **options):
    settings = {"replicas": 2, "shards": 2, "rule": sd.AdaGrad(0.3), "wait": 2.0, "seed": 1}
    return strategy(RECIPE, DATA, **settings | options)


def test_downpour_without_faults(ray_cluster):
    seen = []
    found = run(show=seen.append)
    c = found.counters
    assert c.planned == 120 and c.updates == [120, 120]
    assert (c.repeats, c.gaps, c.replays, c.restarts, c.shard_restarts) == (0, 0, 0, 0, 0)
    assert loss(found.weights) < 0.35 < loss(RECIPE.start())
    assert len(found.history) == 20 and found.history[-1]["updates"] == 120
    assert seen[-1].done == 120 and set(seen[-1].workers) == {
        "replica 0", "replica 1", "shard 0", "shard 1",
    }  # fmt: skip


FAULTS = {
    "replica killed, message repeated": {
        "restarts": sd.Fault("replica 0", "after_push", 9, "exit"),
        "repeats": sd.Fault("replica 1", "before_push", 3, "duplicate"),
    },
    "shard killed": {"shard_restarts": sd.Fault("shard 0", "after_apply_before_reply", 31, "exit")},
    "shard killed mid-snapshot, worker hung": {
        "shard_restarts": sd.Fault("shard 1", "mid_snapshot", 3, "exit"),
        "restarts": sd.Fault("replica 1", "after_fetch", 12, "stop"),
    },
    "shard hung": {"shard_restarts": sd.Fault("shard 1", "before_apply", 20, "stop")},
}


@pytest.mark.parametrize("name", FAULTS)
def test_downpour_with_faults(ray_cluster, name):
    found = run(snapshot_every=10, faults=tuple(FAULTS[name].values()), wait=1.0)
    assert found.counters.updates == [120, 120]
    for counter in FAULTS[name]:
        assert getattr(found.counters, counter) >= 1, counter
    assert loss(found.weights) < 0.35


@pytest.mark.parametrize("name", ["replica killed", "shard killed", "worker hung"])
def test_synchronous_gives_the_same_bits_whatever_dies(ray_cluster, name):
    fault, counters = {
        "replica killed": (
            sd.Fault("replica 0", "after_gradient", 9, "exit"), ("restarts", "doubled")
        ),
        "shard killed": (sd.Fault("shard 0", "before_apply", 25, "exit"), ("rolled_back",)),
        "worker hung": (
            sd.Fault("replica 1", "after_fetch", 12, "stop"), ("restarts", "doubled")
        ),
    }[name]  # fmt: skip
    found = run(sd.synchronous, snapshot_every=10, faults=(fault,), rule=sd.SGD(0.5))
    assert found.counters.updates == [120, 120]
    assert any(getattr(found.counters, c) for c in counters)
    np.testing.assert_array_equal(found.weights, reference())


def reference():
    """The same steps in this process: means of two mini-batches, in the order of the run."""
    objective, w = Logistic(12), RECIPE.start()
    flat = [b for chunk in DATA for b in chunk]
    order = np.random.default_rng([1, 0]).permutation(len(flat))
    for i in range(0, len(flat), 2):
        first, second = sorted(order[i : i + 2], key=order.tolist().index)
        g = objective.loss_grad(w, flat[first])[1] + objective.loss_grad(w, flat[second])[1]
        w = w - np.float32(0.5) * (g * np.float32(0.5))
    return w


def test_an_error_in_the_objective_reaches_the_caller(ray_cluster):
    with pytest.raises(ValueError, match="mismatch in its core dimension"):
        sd.downpour(LogisticRecipe(5), DATA, rule=sd.SGD(0.1))


def test_a_run_goes_on_from_its_store(ray_cluster, tmp_path):
    class Stop(Exception):
        pass

    def show(status):
        if status.done >= 30:
            raise Stop

    def slow(name, nth):
        return sd.Fault(name, "after_gradient", nth, "delay", 0.3)

    late = tuple(slow(f"replica {i}", n) for i in (0, 1) for n in (20, 24, 28, 32))
    with pytest.raises(Stop):
        run(store=tmp_path, snapshot_every=5, show=show, faults=late)
    with pytest.raises(ValueError, match="no snapshots unless resume"):
        run(store=tmp_path, snapshot_every=5)
    found = run(store=tmp_path, snapshot_every=5, resume=True)
    assert found.counters.updates == [120, 120]
    assert len(found.history) < 20


def test_one_cluster_at_a_time(ray_cluster):
    with pytest.raises(ClusterError, match="one must be closed"), sd.cluster():
        pass


SCRIPT = """
import os, sys
sys.path.insert(0, {tests!r})
import sentei.distributed as sd
from distributed_toys import LogisticRecipe, chunks_of, correlated
from sentei.errors import SenteiError
fault = sd.Fault("replica 0", "after_push", 3, "stop")
with sd.cluster(cpus=2, memory=80 << 20) as c:
    data = chunks_of(*correlated(100, 4), 5, 10)
    found = sd.downpour(LogisticRecipe(4), data, replicas=1, rule=sd.SGD(0.1), wait=1.0, faults=(fault,))
    assert found.counters.updates == [10], found.counters
    assert found.counters.restarts == 1
print(sorted(k for k in os.environ if "AUTH" in k))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")
def test_nothing_is_left_behind(tmp_path):
    before = set(os.listdir("/dev/shm"))
    script = textwrap.dedent(SCRIPT).format(tests=str(ROOT / "tests"))
    mine = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    env = {**mine, "HOME": str(tmp_path), "SENTEI_MARK": str(tmp_path)}
    env["PYTHONPATH"] = os.pathsep.join(
        [str(Path(sentei.__file__).resolve().parents[1]), env.get("PYTHONPATH", "")]
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=50,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
    for _ in range(50):
        left = [p for p in Path("/proc").iterdir() if p.name.isdigit() and marked(p, str(tmp_path))]
        if not left:
            break
        time.sleep(0.1)
    assert not left
    assert set(os.listdir("/dev/shm")) <= before
    assert not (tmp_path / ".ray").exists()


def marked(folder, mark):
    try:
        return f"SENTEI_MARK={mark}".encode() in (folder / "environ").read_bytes()
    except OSError:
        return False
