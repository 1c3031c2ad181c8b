"""sentei search: the space, the same results for any number of jobs, stopped and gone on with."""

from __future__ import annotations

import builtins
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from command import sentei

pytest.importorskip("optuna")

from sentei.workflow.search import (
    Choice,
    Range,
    plan_search,
    read_space,
    resume_search,
    run_search,
)
from sentei.workflow.session import InterruptedRunError
from sentei.workflow.settings import ConfigError, load_config

PARAMS = ("train.lr=log:1e-3..3e-2", "train.batch=20,40", "train.optimizer=sgd,adam")


@pytest.fixture
def settings(digits):
    pairs = [f'data.name="{digits}"', "data.split=[5, 1]", "train.epochs=2", "data.limit=120"]
    return lambda folder: load_config(None, pairs, {"run.run_dir": str(folder), "run.seed": 3})


def scores(result):
    return [(t.number, t.values, t.score, t.state) for t in result.trials]


# -- the space ---------------------------------------------------------------------------------


def test_reads_values():
    got = read_space(
        ["train.lr=log:1e-4..1e-1", "train.batch=16,32", "train.momentum=0..0.9/4"],
        {"train": {"epochs": "int:1..5", "optimizer": ["sgd", "adam"]}, "data.flip": [True, False]},
    )
    assert got == {
        "train.lr": Range(1e-4, 1e-1, log=True),
        "train.batch": Choice((16, 32)),
        "train.momentum": Range(0, 0.9, count=4),
        "train.epochs": Range(1, 5, whole=True),
        "train.optimizer": Choice(("sgd", "adam")),
        "data.flip": Choice((True, False)),
    }
    assert np.allclose(got["train.momentum"].points(), [0, 0.3, 0.6, 0.9])
    assert Range(1, 100, log=True, whole=True, count=3).points() == (1, 10, 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train.lr", "must have the form block.key=values, got 'train.lr'"),
        ("train.learning=1,2", "param must be one of"),
        ("prune.floor=1,2", "must be a setting of model, data or train, or run.seed"),
        ("train.lr=1e-1..1e-4", "must go from a lower to a higher number"),
        ("train.lr=log:0..1", "must be above 0 with log:"),
        ("train.batch=int:1.5..3", "must have whole ends with int:"),
        ("train.lr=a..b", "must be low..high"),
        ("train.lr=0.1..0.2/1", "2 to 1000 points"),
        ("train.batch=16,16", "must differ from one another"),
    ],
)
def test_refuses_values(text, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        read_space([text])
    with pytest.raises(ConfigError, match="given once"):
        read_space(["train.lr=0.1,0.2", "train.lr=0.1..0.2"])


def test_trials_depend_on_seed_and_number_alone(settings, tmp_path):
    few = plan_search(settings(tmp_path / "a"), PARAMS, trials=3)
    many = plan_search(settings(tmp_path / "a"), PARAMS, trials=30)
    assert many.assignments()[:3] == few.assignments()
    other = settings(tmp_path / "a")
    other.run.seed = 4
    assert plan_search(other, PARAMS, trials=3).assignments() != few.assignments()
    values = many.assignments()
    assert all(1e-3 <= v["train.lr"] <= 3e-2 for v in values)
    assert {v["train.batch"] for v in values} == {20, 40}
    assert np.median([v["train.lr"] for v in values]) < 1e-2  # over the logarithm
    assert not (tmp_path / "a").exists()


def test_a_grid_has_every_point_once(settings, tmp_path):
    made = plan_search(
        settings(tmp_path / "a"), ("train.lr=log:1e-3..1e-1/3", "train.batch=20,40"), method="grid"
    )
    got = [(round(v["train.lr"], 9), v["train.batch"]) for v in made.assignments()]
    assert got == [(a, b) for a in (1e-3, 1e-2, 1e-1) for b in (20, 40)]
    assert made.trials == 6
    with pytest.raises(ValueError, match=r"train.lr must have points for a grid"):
        plan_search(settings(tmp_path / "a"), PARAMS, method="grid")


# -- searches ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory):
    """A search that nothing stopped, one trial at a time."""
    pairs = [f'data.name="{digits}"', "data.split=[5, 1]", "train.epochs=2", "data.limit=120"]
    folder = tmp_path_factory.mktemp("search") / "whole"
    config = load_config(None, pairs, {"run.run_dir": str(folder), "run.seed": 3})
    return run_search(plan_search(config, PARAMS, trials=4))


def model_of(result) -> bytes:
    folder = result.run_dir / "trials" / f"{result.best.number:04d}"
    return (folder / "model.safetensors").read_bytes()


def test_what_a_search_leaves(whole):
    folder = whole.run_dir
    assert [t.state for t in whole.trials] == ["done"] * 4
    assert whole.best.score == max(t.score for t in whole.trials)
    models = sorted(p.parent.name for p in folder.glob("trials/*/model.safetensors"))
    assert models == [f"{whole.best.number:04d}"]
    rows = (folder / "results.csv").read_text().splitlines()
    assert len(rows) == 5 and rows[0].startswith("trial,train.lr,train.batch,train.optimizer")
    page = (folder / "report.html").read_text()
    assert page.count("<svg") == 4 and "Best val_accuracy" in page
    best = load_config(folder / "best.toml")
    assert best.train.lr == whole.best.values["train.lr"] and best.run.run_dir is None
    report = json.loads((folder / "report.json").read_text())
    assert report["best"]["score"] == whole.best.score


def test_jobs_change_nothing(whole, settings, tmp_path):
    two = run_search(plan_search(settings(tmp_path / "a"), PARAMS, trials=4), jobs=2)
    assert scores(two) == scores(whole)
    assert model_of(two) == model_of(whole)


@pytest.mark.parametrize("jobs", [1, 2])
def test_stopped_and_gone_on_with(whole, settings, tmp_path, jobs):
    stopped = []

    def stop(done, total, text):
        if text.startswith("trial 1: epoch 1") and not stopped:
            stopped.append(text)
            os.kill(os.getpid(), signal.SIGINT)

    made = plan_search(settings(tmp_path / "a"), PARAMS, trials=4)
    with pytest.raises(InterruptedRunError):
        run_search(made, jobs, stop)
    assert stopped and not (tmp_path / "a" / "results.csv").exists()
    # what a process that was killed just then would leave
    journal = tmp_path / "a" / "study.journal"
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "wor')
    Path(f"{journal}.lock").touch()
    again = resume_search(tmp_path / "a")
    assert scores(again) == scores(whole)
    assert model_of(again) == model_of(whole)
    more = resume_search(tmp_path / "a", trials=5)
    assert scores(more)[:4] == scores(whole) and more.trials[4].state == "done"


def test_a_trial_that_fails_does_not_stop_the_search(settings, tmp_path):
    made = plan_search(
        settings(tmp_path / "a"), ("train.batch=20,90",), method="grid", metric="val_loss"
    )
    made.config.data.split = [1, 1]  # 60 training images are left
    result = run_search(made)
    assert [t.state for t in result.trials] == ["done", "failed"]
    assert (
        "batch must be at most the number of training images, 60, got 90" in result.trials[1].error
    )
    assert "failed" in (tmp_path / "a" / "results.csv").read_text()


# -- the command -------------------------------------------------------------------------------


def words(digits, folder):
    data = ["--data", digits, "--set", "data.split=[5, 1]", "--set", "data.limit=120"]
    return ["search", *data, "--epochs", 1, "--run-dir", folder, "--param", "train.lr=0.01,0.02"]


def test_the_command(digits, tmp_path):
    folder = tmp_path / "s"
    dry = sentei(*words(digits, folder), "--method", "grid", "--dry-run")
    assert dry.code == 0 and "2 trials, grid" in dry.out and not folder.exists()
    result = sentei(*words(digits, folder), "--method", "grid")
    assert result.code == 0 and "val_accuracy" in result.out and "best.toml" in result.out, (
        result.err
    )
    again = sentei("resume", folder, "--json")
    assert again.code == 0 and again.json()["best"]["values"].keys() == {"train.lr"}
    space = tmp_path / "space.toml"
    space.write_text('[train]\nmomentum = "0.5..0.9"\n"train.x" = 1\n')
    bad = sentei(*words(digits, tmp_path / "t"), "--space", space)
    assert bad.code == 2 and "param must be one of" in bad.err and not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--param", "train.lr=0.1"], "every param must be given once, got 'train.lr' twice"),
        (["--param", "train.momentum=0.5,1.5"], "train.momentum must be below 1"),
        (["--method", "bayes"], "method must be random or grid, got 'bayes'"),
        (["--metric", "speed"], "metric must be val_accuracy"),
        (["--jobs", "0"], "jobs must lie in [1, 256], got 0"),
        (["--trials", "0"], "trials must lie in [1, 10000], got 0"),
        (["--resume", "nowhere"], "may be given, got --param, --data, --epochs, --set, --run-dir"),
    ],
)
def test_one_sentence(digits, tmp_path, more, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = sentei(*words(digits, tmp_path / "s"), *more)
    assert result.code == 2 and message in result.err and result.err.count("\n") == 1, result.err
    assert not (tmp_path / "s").exists()


def test_without_optuna(digits, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kw):
        if name.startswith("optuna"):
            raise ImportError(name)
        return real(name, *args, **kw)

    monkeypatch.setattr(builtins, "__import__", without)
    result = sentei(*words(digits, tmp_path / "s"))
    assert result.code == 2 and 'pip install "sentei[search]"' in result.err
    assert not (tmp_path / "s").exists()


def test_resume_of_a_run_that_is_no_search(trained):
    result = sentei("search", "--resume", trained)
    assert result.code == 2 and "must hold a search, got 'train'" in result.err


@pytest.mark.parametrize(
    ("more", "names"),
    [
        (["--dry-run"], "--dry-run"),
        (["--method", "random", "--jobs", 2], "--method"),  # its default, and given all the same
        (["--trials", 9, "--set", "train.lr=0.1", "--metric", "loss"], "--metric, --set"),
        (["--seed", 1, "--threads", 1], "--seed, --threads"),
    ],
)
def test_resume_stands_alone(whole, more, names):
    before = (whole.run_dir / "run.json").read_bytes()
    result = sentei("search", "--resume", whole.run_dir, *more)
    allowed = "--trials, --jobs, --cluster, --json, --quiet"
    said = f"sentei: search: with --resume only {allowed} may be given, got {names}\n"
    assert (result.code, result.err, result.out) == (2, said, "")
    assert (whole.run_dir / "run.json").read_bytes() == before
    nowhere = sentei("search", "--resume", whole.run_dir / "no", "--jobs", 2, "-q", "--json")
    assert nowhere.code == 2 and "must hold run.json and config.resolved.toml" in nowhere.err
