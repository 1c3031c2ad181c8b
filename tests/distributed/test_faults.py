"""200 fault schedules in virtual time: every planned update is applied exactly once."""

from __future__ import annotations

import os

import numpy as np
import pytest

from distributed_toys import LogisticRecipe, chunks_of, correlated
from sentei.distributed import downpour, faults
from sentei.distributed.engine import using
from sentei.optim import AdaGrad
from virtual_time import VirtualCluster

REPLICAS, SHARDS = ["replica 0", "replica 1", "replica 2"], ["shard 0", "shard 1"]
DATA = chunks_of(*correlated(480, 6), 4, 10)  # 12 chunks of 4 mini-batches


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def run(seed, tmp_path, injected, **options):
    engine = VirtualCluster(seed, lambda name, rng: 0.05 * (1 + rng.exponential()), faults=injected)
    settings = {"replicas": 3, "shards": 2, "rule": AdaGrad(0.3), "snapshot_every": 7, "wait": 1.0}
    with using(engine):
        found = downpour(LogisticRecipe(6), DATA, store=tmp_path, seed=seed, **settings | options)
    return engine, found


@pytest.mark.parametrize("decade", range(20))
def test_every_update_is_applied_exactly_once(decade, tmp_path):
    for seed in range(10 * decade, 10 * decade + 10):
        injected = faults.schedule(seed, REPLICAS, SHARDS)
        _, found = run(seed, tmp_path / str(seed), injected)
        assert found.counters.planned == 48
        assert found.counters.updates == [48, 48], (seed, injected)
        assert np.isfinite(found.weights).all()
