"""Training on a cluster from the command line, and the settings that it refuses."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest

import sentei.distributed as sd
from extras import need
from sentei.cli.app import app
from sentei.distributed.engine import using
from sentei.distributed.strategies import STRATEGIES, Paced
from sentei.optim import Step
from sentei.workflow import runs
from sentei.workflow.settings import load_config
from sentei.workflow.watch import Watch
from virtual_time import VirtualCluster

need("ray")


def config(tmp_path, *pairs):
    given = (
        "distributed.cluster='local'", "data.limit=200", "train.batch=20", "train.epochs=2",
        "run.latency_seconds=0", "train.lr=0.1", "distributed.shards=2", *pairs,
    )  # fmt: skip
    return load_config(None, given, {"run.run_dir": str(tmp_path / "run")})


@pytest.fixture
def virtual(monkeypatch):
    """Workers in virtual time in place of Ray: the workflow is the same."""

    @contextlib.contextmanager
    def cluster(address=None):
        assert address is None
        with using(VirtualCluster(1)) as engine:
            yield engine

    monkeypatch.setitem(sd._NAMES, "cluster", "sentei.distributed.ray_cluster")
    monkeypatch.setattr(sd, "cluster", cluster, raising=False)


@pytest.mark.parametrize("strategy", ["sync", "downpour"])
def test_a_run_on_a_cluster(tmp_path, virtual, strategy):
    seen = []

    class Looker(Watch):
        def workers(self, status):
            seen.append(status)

    made = config(tmp_path, f"distributed.strategy='{strategy}'")
    found = runs.train(made, Looker())
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    told = report["cluster"]
    assert told["strategy"] == strategy and told["planned"] == 18 and told["updates"] == [18, 18]
    assert [row["epoch"] for row in report["training"]] == [1, 2]
    assert report["training"][1]["loss"] < report["training"][0]["loss"]
    assert 0 <= report["training"][1]["val_accuracy"] <= 1 and found.ok
    assert seen and seen[-1].done == 18
    assert not (tmp_path / "run" / "shards").exists()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "18 of 18 mini-batches counted" in page


def test_a_stopped_run_goes_on(tmp_path, virtual):
    class Stopper(Watch):
        def workers(self, status):
            if status.done >= 10:
                raise KeyboardInterrupt

    made = config(tmp_path, "distributed.snapshot_every=2")
    with pytest.raises(KeyboardInterrupt):
        runs.train(made, Stopper())
    again = runs.resume(tmp_path / "run")
    assert again.report["cluster"]["updates"] == [18, 18]
    whole = runs.train(config(tmp_path / "whole"))
    for name, t in whole.model.tensors.items():
        np.testing.assert_array_equal(np.asarray(t), np.asarray(again.model.tensors[name]), name)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["distributed.strategy='downpur'"], "did you mean 'downpour'"),
        (
            ["train.optimizer='adam'"],
            "sgd or adagrad with --cluster and --strategy sync, got 'adam'",
        ),
        (["train.semi_sync=true"], "got semi_sync"),
        (["train.patience=3"], "patience must be left out"),
        (["distributed.backups=2"], "backups must be below replicas, 2, got 2"),
        (["distributed.cluster='host:1'"], "store must be a folder"),
    ],
)
def test_settings_that_are_refused(tmp_path, pairs, words):
    with pytest.raises(ValueError, match=words):
        runs.plan(config(tmp_path, *pairs), "train")


def test_the_page_of_help_names_what_there_is(capsys):
    with pytest.raises(SystemExit):
        app(["train", "--help"])
    text = capsys.readouterr().out
    assert "--cluster" in text and "--strategy" in text
    assert {"sync", "downpour"} <= set(STRATEGIES)


def test_epochs_of_a_schedule_are_counted_in_updates():
    paced = Paced(Step((2,), 0.1), 10)
    assert paced(1.0, 19, 0) == 1.0
    assert paced(1.0, 20, 0) == pytest.approx(0.1)
