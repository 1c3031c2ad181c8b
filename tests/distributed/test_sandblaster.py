"""Sandblaster L-BFGS in virtual time: against SciPy and the plain recursion, and with workers that die."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from distributed_toys import Logistic, LogisticRecipe, chunks_of, correlated
from helpers import assert_close
from sentei.distributed import faults, sandblaster
from sentei.distributed.directions import Directions
from sentei.distributed.engine import ClusterError, using
from sentei.errors import DataError, NonFiniteError
from sentei.optim import LBFGS
from virtual_time import Died, VirtualCluster

WIDTH = 12
X, Y = correlated(600, WIDTH)
DATA = chunks_of(X, Y, 1, 20)  # 30 portions
WORKERS, SHARDS = [f"replica {i}" for i in range(3)], ["shard 0", "shard 1"]


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def run(data=DATA, seed=0, injected=(), **options):
    engine = VirtualCluster(seed, lambda name, rng: 0.05 * (1 + rng.exponential()), faults=injected)
    settings = {"workers": 3, "shards": 2, "iterations": 12, "wait": 1.0}
    with using(engine):
        found = sandblaster(LogisticRecipe(WIDTH), data, **settings | options)
    return engine, found


def losses(found):
    return np.array([row["loss"] for row in found.history])


def test_reaches_the_minimum_that_scipy_finds():
    optimize = pytest.importorskip("scipy.optimize")

    def value(w):
        z = X.astype(np.float64) @ w
        g = X.T @ (1 / (1 + np.exp(-z)) - Y) / len(Y)
        return float(np.mean(np.logaddexp(0, z) - Y * z)), g

    best = optimize.minimize(
        value, np.zeros(WIDTH), jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9}
    )
    _, found = run(iterations=100)
    assert found.history[-1]["iteration"] < 100, "it must notice that it has arrived"
    assert_close(np.float32(found.history[-1]["loss"]), best.fun, terms=len(Y))
    w, g = found.weights, value(found.weights.astype(np.float64))[1]
    assert np.abs(g).max() < 1e-4 * max(1, np.abs(w).max())


def recursion(pairs, g):
    """-H g by the two loops of Liu and Nocedal, on the vectors themselves."""
    q, a = g.copy(), []
    for s, y in reversed(pairs):
        a.append(s @ q / (s @ y))
        q -= a[-1] * y
    if pairs:
        s, y = pairs[-1]
        q *= s @ y / (y @ y)
    for (s, y), ai in zip(pairs, reversed(a), strict=True):
        q += (ai - y @ q / (s @ y)) * s
    return -q


@pytest.mark.parametrize("steps", [0, 1, 3, 4, 9])
def test_direction_from_products_is_that_of_the_recursion(steps, rng):
    memory, n = 4, 30
    half = rng.normal(size=(n, n))
    hessian = half @ half.T + np.eye(n)
    d = Directions(memory)
    basis = np.zeros((2 * memory + 1, n))
    w = rng.normal(size=n)
    basis[-1] = hessian @ w
    d.learn(basis[-1] @ basis[-1])
    pairs = []
    for _ in range(steps):
        s = rng.normal(size=n)
        w, at = w + s, d.at
        basis[at], basis[memory + at], basis[-1] = s, hessian @ s, hessian @ w
        assert d.put(basis[[at, memory + at, 2 * memory]] @ basis.T)
        pairs = [*pairs, (s, hessian @ s)][-memory:]
    factors = Directions.from_json(json.loads(json.dumps(d.to_json()))).factors()
    expected = recursion(pairs, basis[-1])
    np.testing.assert_allclose(factors @ basis, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(d.slope(factors), expected @ basis[-1], rtol=1e-9)
    assert d.slope(factors) < 0


def test_a_pair_without_curvature_does_not_count(rng):
    d = Directions(2)
    rows = np.zeros((3, 5))
    rows[0, 0], rows[1, 2] = 1.0, 1.0  # s.y = 0
    assert not d.put(rows) and (d.count, d.at) == (0, 0)


def test_the_same_run_gives_the_same_bits():
    assert run()[1].weights.tobytes() == run()[1].weights.tobytes()


@pytest.mark.parametrize(("workers", "shards"), [(1, 1), (5, 3), (2, WIDTH)])
def test_workers_and_shards_change_nothing_but_rounding(workers, shards):
    _, one = run()
    _, other = run(workers=workers, shards=shards, seed=workers)
    np.testing.assert_allclose(losses(other), losses(one), rtol=1e-6)


def test_gradient_is_the_mean_over_samples_where_they_can_be_counted():
    class Counting(Logistic):
        def samples(self, batch):
            return len(batch[1])

    class Recipe(LogisticRecipe):
        def build(self):
            return Counting(self.size)

    uneven = [[(X[:500], Y[:500])], [(X[500:510], Y[500:510])], [(X[510:], Y[510:])]]
    with using(VirtualCluster()):
        found = sandblaster(Recipe(WIDTH), uneven, iterations=6)
    np.testing.assert_allclose(losses(found), losses(run(iterations=6)[1]), rtol=1e-5)


@pytest.mark.parametrize("decade", range(10))
def test_faults_change_nothing_but_rounding(decade):
    short = {"data": chunks_of(X, Y, 1, 75), "iterations": 6}
    clean = losses(run(**short)[1])
    happened = 0
    for seed in range(10 * decade, 10 * decade + 10):
        injected = faults.schedule(seed, WORKERS, SHARDS)
        engine, found = run(seed=seed, injected=injected, **short)
        happened += sum(engine.happened.values())
        assert found.counters.updates == [6, 6]
        np.testing.assert_allclose(losses(found), clean, rtol=1e-6, err_msg=str(injected))
    assert happened


def test_every_fault_is_told():
    injected = [
        faults.Fault("replica 0", "in_portion", 5, "exit"),
        faults.Fault("replica 1", "in_portion", 9, "stop"),
        faults.Fault("replica 2", "before_push", 3, "duplicate"),
        faults.Fault("shard 1", "before_apply", 200, "exit"),
    ]
    engine, found = run(injected=injected)
    c = found.counters
    assert sum(engine.happened.values()) == 4
    assert c.restarts == 2 and c.shard_restarts == 1 and c.leases_lost >= 2 and c.repeats >= 2
    assert [row["iteration"] for row in found.history] == list(range(13))


def test_a_hung_worker_is_overtaken_by_a_backup():
    injected = [faults.Fault("replica 0", "in_portion", 3, "stop")]
    engine, found = run(injected=injected, wait=60.0)
    assert found.counters.restarts == 0 and engine.time < 60
    assert len(found.history) == 13


def test_resumed_is_never_stopped(tmp_path):
    _, whole = run(store=tmp_path / "a")
    _, part = run(store=tmp_path / "b", iterations=5)
    assert part.counters.updates == [5, 5]
    _, rest = run(store=tmp_path / "b", resume=True)
    np.testing.assert_array_equal(losses(rest), losses(whole))
    assert rest.weights.tobytes() == whole.weights.tobytes()


def test_stops_at_the_minimum():
    _, found = run(rule=LBFGS(tolerance=1e-2), iterations=100)
    assert len(found.history) < 20 and found.history[-1]["gradient"] < 0.1


def test_refuses():
    with using(VirtualCluster()):
        for options, text in (
            ({"workers": 0}, "workers must be at least 1, got 0"),
            ({"iterations": 0}, "iterations must be at least 1"),
            ({"rule": LBFGS(l2=0.1)}, "l2 must be given to the model"),
            ({"resume": True}, "store must be given"),
            ({"shards": 100}, r"shards must be in \[1, 12\]"),
        ):
            with pytest.raises(ValueError, match=text):
                sandblaster(LogisticRecipe(WIDTH), DATA, **options)
        with pytest.raises(ValueError, match="chunks must hold mini-batches"):
            sandblaster(LogisticRecipe(WIDTH), [[]])


def test_a_loss_that_is_not_finite_at_the_start():
    bad = chunks_of(X * np.float32(np.nan), Y, 1, 100)
    with np.errstate(invalid="ignore"), pytest.raises(NonFiniteError, match="finite to start"):
        run(data=bad)


def test_a_damaged_store(tmp_path):
    run(store=tmp_path, iterations=3)
    with pytest.raises(ValueError, match="must hold no snapshots unless resume"):
        run(store=tmp_path)
    (tmp_path / "coordinator.json").write_text('[{"iteration": 3}]')
    with pytest.raises(DataError, match="must be whole"):
        run(store=tmp_path, resume=True)


def test_a_worker_that_computes_for_ever_is_given_up():
    """It gives signs of life all the while; the others do its portions."""
    engine = VirtualCluster(0, lambda name, rng: 1e6 if name == "replica 0" else 0.05)
    with using(engine):
        found = sandblaster(LogisticRecipe(WIDTH), DATA, workers=3, iterations=12, wait=1.0)
    assert found.counters.restarts >= 1
    np.testing.assert_allclose(losses(found), losses(run()[1]), rtol=1e-6)


def test_a_shard_lost_at_the_very_end(monkeypatch):
    from sentei.distributed import coordinator

    reached, lost = coordinator._Run._reached, []

    def then_lose(self, iteration, point, seconds):
        reached(self, iteration, point, seconds)
        if iteration == 6 and not lost:
            lost.append(1)
            self.engine.kill(self.shards[1])

    clean = run(iterations=6)[1]
    monkeypatch.setattr(coordinator._Run, "_reached", then_lose)
    _, found = run(iterations=6)
    assert lost and found.counters.shard_restarts == 1
    assert found.weights.tobytes() == clean.weights.tobytes()


def test_a_shard_that_dies_again_and_again_ends_the_run(monkeypatch):
    from sentei.distributed.vectors import VectorShard

    def dying(self, evaluation, t):
        raise Died

    monkeypatch.setattr(VectorShard, "trial", dying)
    with pytest.raises(ClusterError, match="25 times"):
        run()


def test_what_an_older_run_left_is_not_read(tmp_path):
    run(store=tmp_path, iterations=9)
    for file in tmp_path.glob("*.safetensors"):
        file.unlink()
    injected = [faults.Fault("shard 0", "before_apply", n, "exit") for n in (3, 90)]
    _, found = run(store=tmp_path, injected=injected)
    np.testing.assert_allclose(losses(found), losses(run()[1]), rtol=1e-6)
    other = {"run": "other", "states": []}
    (tmp_path / "coordinator.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match="of another run"):
        run(store=tmp_path, resume=True)


def test_a_gradient_that_is_not_finite_at_the_start():
    class Broken(Logistic):
        def loss_grad(self, w, batch):
            loss, g = super().loss_grad(w, batch)
            g[3] = np.nan
            return loss, g

    class Recipe(LogisticRecipe):
        def build(self):
            return Broken(self.size)

    with using(VirtualCluster()), pytest.raises(NonFiniteError, match="gradient must be finite"):
        sandblaster(Recipe(WIDTH), DATA)
