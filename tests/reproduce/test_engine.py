"""Runs of small tables: the same bits again, gone on with, refused; all three kinds of arms."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sentei.errors import DataError, NonFiniteError
from sentei.io import load
from sentei.losses import SigmoidCrossEntropy
from sentei.optim import SGD, SemiSync, Step
from sentei.regularizers import Discriminant, LogActivity
from sentei.workflow.reproduce import engine, plan_table, reproduce, table
from sentei.workflow.reproduce.data import load_parts
from sentei.workflow.reproduce.scale import Scale
from sentei.workflow.reproduce.spec import Arm, Gates, Scores, Setting, Table, figures
from small_files import write_cifar

MNIST = table("t2.6").data
PLAIN = Setting("lenet5_sparse", 2, SGD(0.1), batch=50)


def two_arms() -> Table:
    sparse = replace(PLAIN, regularizers=(LogActivity(0.1, ("relu*", "pool*")),))
    columns = ("accuracy",)
    arms = (
        Arm("plain", PLAIN, figures(columns, 98.0)),
        Arm("sparse", sparse, figures(columns, 99.0)),
    )
    return Table("x", "source", "X", MNIST, columns, arms, runs=2)


def values(result):
    return [(t.arm, t.seed, t.state, dict(t.values)) for t in result.trials]


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory):
    """A run that was never stopped."""
    out = tmp_path_factory.mktemp("whole")
    return reproduce(plan_table(two_arms(), data_dir=digits, out=out, device="cpu"))


def test_run(whole):
    assert [(a, s) for a, s, _, _ in values(whole)] == [
        ("plain", 0),
        ("sparse", 0),
        ("plain", 1),
        ("sparse", 1),
    ]
    seen = {a: v["accuracy"] for a, s, _, v in values(whole) if s == 0}
    assert 30 < min(seen.values()) < 100  # bars in ten places can be learnt, not at once
    of = {arm: [v for a, _, _, v in values(whole) if a == arm] for arm in ("plain", "sparse")}
    assert of["plain"] != of["sparse"]
    out = whole.what.out
    report = json.loads((out / "report.json").read_text())
    assert [f["published"] for r in report["rows"] for f in r["figures"]] == [98.0, 99.0]
    assert len(report["trials"]) == 4
    assert (out / "results.csv").read_text().startswith("arm,figure,published,")
    page = (out / "report.html").read_text()
    assert "X: source" in page
    assert "<svg" in page
    assert not (out / "training").exists()
    assert whole.scaled == ()


def test_stopped_and_gone_on_with(whole, digits, tmp_path, monkeypatch):
    made, calls = engine.run_trial, []

    def stopping(*args):
        calls.append(args[1].name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return made(*args)

    plan = plan_table(two_arms(), data_dir=digits, out=tmp_path / "run", device="cpu")
    monkeypatch.setattr(engine, "run_trial", stopping)
    with pytest.raises(KeyboardInterrupt):
        reproduce(plan)
    path = tmp_path / "run" / engine.TRIALS
    with path.open("a") as file:
        file.write('{"arm": "pl')  # of a process that was killed
    again = plan_table(two_arms(), data_dir=digits, out=tmp_path / "run", device="cpu")
    assert again.done == 2
    assert values(reproduce(again)) == values(whole)
    assert calls == ["plain", "sparse", "plain", "plain", "sparse"]


def test_stopped_within_a_training(whole, digits, tmp_path, monkeypatch):
    """The checkpoint of the first epoch is gone on from."""
    from sentei.workflow.reproduce import trial

    told = trial._Teller.on_step_end

    def stopping(self, trainer):
        told(self, trainer)
        if trainer.epoch == 1 and trainer.step == 15:
            raise KeyboardInterrupt

    plan = plan_table(two_arms(), data_dir=digits, out=tmp_path / "run", device="cpu")
    with monkeypatch.context() as m:
        m.setattr(trial._Teller, "on_step_end", stopping)
        with pytest.raises(KeyboardInterrupt):
            reproduce(plan)
    assert list((tmp_path / "run" / "training").glob("*/checkpoint.safetensors"))
    assert values(reproduce(plan)) == values(whole)


def test_more_seeds(whole, digits, tmp_path):
    out = tmp_path / "run"
    reproduce(plan_table(two_arms(), seeds=1, data_dir=digits, out=out, device="cpu"))
    more = plan_table(two_arms(), seeds=2, data_dir=digits, out=out, device="cpu")
    assert more.done == 2
    assert values(reproduce(more)) == values(whole)


def test_refuses(whole, digits, tmp_path):
    out = whole.what.out
    with pytest.raises(DataError, match=r"out must hold x with the same scale and images"):
        plan_table(two_arms(), images=200, data_dir=digits, out=out, device="cpu")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(DataError, match=r"out must be new, empty or of this command"):
        plan_table(two_arms(), data_dir=digits, out=tmp_path / "other", device="cpu")
    with pytest.raises(DataError, match=r"out must be a folder, got the file"):
        plan_table(two_arms(), data_dir=digits, out=tmp_path / "other" / "file", device="cpu")
    with pytest.raises(DataError, match=r"seeds must lie in \[1, 1000\], got 0"):
        plan_table(two_arms(), seeds=0, data_dir=digits, out=tmp_path, device="cpu")
    with pytest.raises(DataError, match=r"x must wait, it needs the method y"):
        plan_table(replace(two_arms(), needs="the method y"), data_dir=digits, device="cpu")


def test_refuses_fewer_images_than_a_mini_batch(digits, tmp_path):
    out = tmp_path / "run"
    message = r"images must be at least the largest mini-batch of x, 50, got 49 for training"
    with pytest.raises(DataError, match=message):
        plan_table(two_arms(), images=49, data_dir=digits, out=out, device="cpu")
    with pytest.raises(DataError, match=r"50, got 30 for training"):
        plan_table(two_arms(), scale=0.00025, data_dir=digits, out=out, device="cpu")
    assert plan_table(two_arms(), images=50, data_dir=digits, out=out, device="cpu").done == 0
    # the table says 60,000 images, the files hold 600
    made = plan_table(two_arms(), scale=0.001, data_dir=digits, out=out, device="cpu")
    with pytest.raises(DataError, match=r"50, got 1 for training"):
        reproduce(made)
    assert not out.exists()


def test_a_folder_without_a_trial_is_taken_over(whole, digits, tmp_path, monkeypatch):
    """What other settings left there must not be gone on from: networks carry no number of images."""
    from sentei.workflow.reproduce import trial

    out = tmp_path / "run"

    def stopping(self, trainer):
        if trainer.epoch == 1 and trainer.step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(trial._Teller, "on_step_end", stopping)
        with pytest.raises(KeyboardInterrupt):
            reproduce(plan_table(two_arms(), images=200, data_dir=digits, out=out, device="cpu"))
    assert (out / engine.PLAN).is_file() and list(out.glob("training/*/checkpoint.safetensors"))
    (out / engine.TRIALS).write_text('{"arm": "pl')
    plan = plan_table(two_arms(), data_dir=digits, out=out, device="cpu")
    assert plan.done == 0
    assert values(reproduce(plan)) == values(whole)
    with pytest.raises(DataError, match=r"got other settings in"):
        plan_table(two_arms(), images=200, data_dir=digits, out=out, device="cpu")


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        '{"arm": "a"}',
        '{"arm": "a", "seed": 0, "state": "done", "values": 3}',
        '{"arm": "a", "seed": 0, "state": "done", "values": {"accuracy": "high"}}',
        '{"arm": "a", "seed": "0", "state": "done", "values": {}}',
        '{"arm": "a", "seed": 0, "state": "perhaps", "values": {}}',
    ],
)
def test_damaged_trials(line, tmp_path):
    (tmp_path / engine.TRIALS).write_text(line + "\n")
    with pytest.raises(DataError, match=r"trials.jsonl must hold one trial a line, got"):
        engine.read_trials(tmp_path / engine.TRIALS)


def test_a_loss_that_is_not_finite_is_a_result(digits, tmp_path):
    wild = Arm("wild", replace(PLAIN, optimizer=SGD(1e30), epochs=1), figures(("accuracy",), 9.0))
    t = replace(two_arms(), arms=(wild,))
    result = reproduce(plan_table(t, seeds=1, data_dir=digits, out=tmp_path / "r", device="cpu"))
    (trial,) = result.trials
    assert trial.state == "diverged"
    assert "must stay finite" in trial.error
    assert NonFiniteError.__name__ not in trial.error


def test_pruning_by_scores(digits, tmp_path):
    setting = Setting("lenet5_prune", 1, SGD(0.05), batch=50)
    columns = ("0 %", "-50 %", "-70 %")
    levels = {"-50 %": "50%", "-70 %": "30%"}
    arms = tuple(
        Arm(k, setting, figures(columns, 99.0, 98.0, 97.0), Scores(k, None, 1, 100, levels))
        for k in ("robust", "l1_std")
    )
    t = Table("p", "source", "P", MNIST, columns, arms, runs=1)
    plan = plan_table(t, images=300, data_dir=digits, out=tmp_path / "r", device="cpu")
    robust, norm = reproduce(plan).trials
    assert set(robust.values) == set(columns)
    assert robust.values["0 %"] == norm.values["0 %"]  # one network, trained once
    assert robust.images_per_s is not None
    assert norm.images_per_s is None
    assert len(list((tmp_path / "r" / "networks").iterdir())) == 1


@pytest.mark.parametrize("method", ["autoprune", "sigmoid", "block"])
def test_pruning_by_gates(method, digits, tmp_path):
    columns = ("0 %", "accuracy", "FLOPs removed")
    setting = Setting("lenet5_prune", 1, SGD(0.05), batch=50)
    gates = Gates(method, 2, 5.0, 0.5, SGD(0.01), threshold=0.0 if method == "autoprune" else 1e-3)
    arm = Arm(method, setting, figures(columns, 99.0, 98.0, 50.0), gates)
    t = Table("g", "source", "G", MNIST, columns, (arm,), runs=1)
    plan = plan_table(t, images=300, data_dir=digits, out=tmp_path / "r", device="cpu")
    (trial,) = reproduce(plan).trials
    assert set(trial.values) == set(columns)
    assert 50 < trial.values["FLOPs removed"] < 100  # this price closes most


def test_settings_go_on_from_a_checkpoint(digits, tmp_path, monkeypatch):
    """Semi-synchronous update, sigmoid, discriminant, falling step size: what checkpoints must keep."""
    from sentei.workflow.reproduce import trial

    setting = replace(
        PLAIN,
        optimizer=SemiSync(SGD(0.05, momentum=0.9)),
        loss=SigmoidCrossEntropy(),
        regularizers=(Discriminant(0.1),),
        schedule=Step((1,), 0.5),
    )
    arm = Arm("all", setting, figures(("accuracy",), 9.0))
    t = replace(two_arms(), arms=(arm,), runs=1)
    want = reproduce(plan_table(t, data_dir=digits, out=tmp_path / "a", device="cpu"))

    def stopping(self, trainer, row):
        raise KeyboardInterrupt

    plan = plan_table(t, data_dir=digits, out=tmp_path / "b", device="cpu")
    with monkeypatch.context() as m:
        m.setattr(trial._Teller, "on_epoch_end", stopping)
        with pytest.raises(KeyboardInterrupt):
            reproduce(plan)
    assert values(reproduce(plan)) == values(want)
    a, b = (next((tmp_path / k / "networks").iterdir()) for k in "ab")
    assert a.name == b.name
    left, right = load(a).arrays(), load(b).arrays()
    assert all(np.array_equal(left[k], right[k]) for k in left)


def test_cifar100_files(tmp_path):
    write_cifar(tmp_path, "cifar100", 400, 200)
    parts = load_parts(table("t2.3"), tmp_path, Scale(1.0, 300))
    assert (len(parts.train), len(parts.test), parts.there) == (300, 200, (400, 200))
    assert parts.train.num_outputs == 100
    assert parts.train.class_counts().tolist() == [3] * 100


def test_upscaled_and_few_classes(tmp_path):
    write_cifar(tmp_path, "cifar10", 500, 100)
    parts = load_parts(table("s1"), tmp_path, Scale())
    loader = parts.training(table("s1").arms[0].setting, 0)
    x, _ = loader.batch(0, 0)
    assert x.shape == (32, 224, 224, 3)
    assert abs(x.mean()) < 0.2  # standardised, not in [0, 1]
    parts = load_parts(table("t2.13"), tmp_path, Scale())
    setting = replace(table("t2.13").arms[3].setting, batch=20)
    assert setting.classes_per_batch == 2
    _, y = parts.training(setting, 0).batch(0, 0)
    assert len(np.unique(y)) == 2
    x, y = parts.sample(50)
    assert x.shape == (50, 32, 32, 3)
    assert np.bincount(y).tolist() == [5] * 10


def test_fungi_folder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for k in range(10):
        (tmp_path / f"fungus{k}").mkdir()
        for i in range(8):
            pixels = rng.integers(0, 256, (20, 30, 3), np.uint8)
            image.fromarray(pixels).save(tmp_path / f"fungus{k}" / f"{i}.png")
    parts = load_parts(table("i4"), tmp_path, Scale())
    assert (len(parts.train), len(parts.test)) == (60, 20)
    assert parts.train.shape == (224, 224, 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("t2.10", r"its data set cifar100 in .*, got none; `sentei data download cifar100 --data-"),
        ("i4", r"got none; it takes the first ten fungi of iNaturalist 2019"),
        ("t2.6", r"`sentei data download mnist"),
    ],
)
def test_missing_data(name, words, tmp_path):
    with pytest.raises(DataError, match=words):
        plan_table(table(name), data_dir=tmp_path, device="cpu")
