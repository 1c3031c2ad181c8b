"""sentei search as tasks of Ray: the results of one process, also when a worker dies."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from command import sentei
from extras import need
from sentei.workflow.search import cluster as on_cluster
from sentei.workflow.search import plan_search, run_search
from sentei.workflow.settings import load_config

need("ray")
need("optuna")

PARAMS = ("train.lr=log:1e-3..3e-2", "train.batch=20,40")


@pytest.fixture
def digits(tmp_path):
    """A hundred noisy images of 12 x 12 in 2 classes."""
    rng, labels = np.random.default_rng(5), np.arange(100) % 2
    images = rng.integers(0, 60, (100, 12, 12, 1)) + 90 * labels[:, None, None, None]
    path = tmp_path / "digits.npz"
    pixels, classes = images.astype(np.uint8), labels.astype(np.int64)
    np.savez(path, train_images=pixels[:80], train_labels=classes[:80], test_images=pixels[80:],
             test_labels=classes[80:])  # fmt: skip
    return path


def dies_once(task):
    """The trial of number 1, whose process dies the first time."""
    mark = Path(task.folder).parent.parent / "died"
    if task.number == 1 and not mark.exists():
        mark.touch()
        os._exit(9)
    return on_cluster.run_trial(task, lambda text: None)


@pytest.mark.slow
def test_results_do_not_depend_on_the_cluster_nor_on_its_losses(tmp_path, digits, monkeypatch):
    pairs = [
        f'data.name="{digits}"',
        "data.split=[5, 1]",
        "train.epochs=1",
        "data.limit=60",
        "train.batch=20",
    ]

    def searched(name, **options):
        flags = {"run.run_dir": str(tmp_path / name), "run.seed": 3}
        made = plan_search(load_config(None, pairs, flags), PARAMS, trials=3)
        found = run_search(made, 2, **options)
        return [(t.number, t.values, t.score, t.state) for t in found.trials]

    monkeypatch.setattr(on_cluster, "_trial", dies_once)
    there = searched("there", cluster="local")
    assert (tmp_path / "there" / "died").exists()
    assert there == searched("here")
    events = [json.loads(x) for x in (tmp_path / "there" / "events.jsonl").read_text().splitlines()]
    assert sum(e.get("event") == "trial" for e in events) == 3


def test_refuses_an_address():
    found = sentei(
        "search", "--param", "train.batch=20,40", "--cluster", "nowhere", "--epochs", "1"
    )
    assert found.code == 2 and 'cluster must be local or "host:port", got' in found.err
