"""Trainer: it learns, stops, goes on with the same bits, and says what went wrong."""

from __future__ import annotations

import csv
import json
import os
import signal

import numpy as np
import pytest

from helpers import assert_close
from sentei import losses, metrics, nn, optim, regularizers
from sentei.data import Loader
from sentei.errors import DataError, NonFiniteError
from sentei.io import load
from sentei.prune import surgery, units
from sentei.train import BestWeights, Callback, Checkpoint, EarlyStopping, Trainer, evaluate, recalibrate_bn
from sentei.train.interrupt import Interrupt
from toys import mlp, same_bits, toy_data, toy_net

OPTIMIZERS = {
    "momentum": optim.SGD(0.05, momentum=0.9, weight_decay=1e-3),
    "adam": optim.Adam(0.01),
    "semi_sync": optim.SemiSync(optim.SGD(0.05, momentum=0.9), permute_seed=2),
    "adagrad": optim.AdaGrad(0.02),
}


def timeless(history):
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_s")} for row in history]


def everything(t: Trainer) -> dict:
    return {**t.model.tensors, **{f"state.{k}": v for k, v in t.state_tensors.items()}}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_learns(name):
    data = toy_data()
    t = Trainer(toy_net(dropout=False), OPTIMIZERS[name], batch=20, seed=1)
    before = t.evaluate(data)
    history = t.fit(data, data, epochs=25, progress="none")
    assert len(history) == 25 and t.step == 75
    after = t.evaluate(data)
    assert after["accuracy"] == 1.0
    assert after["loss"] < 0.02 < before["loss"]
    assert history[-1]["accuracy"] == 1.0 and history[-1]["val_loss"] == after["loss"]


def test_same_run_same_bits():
    runs = []
    for _ in range(2):
        t = Trainer(toy_net(), OPTIMIZERS["momentum"], batch=16, seed=4)
        t.fit(toy_data(), epochs=2, progress="none")
        runs.append(everything(t))
    same_bits(*runs)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_resumed_is_never_stopped(tmp_path, name, stop):
    data, val = toy_data(), toy_data(20, seed=8)
    make = {"batch": 20, "seed": 7, "schedule": optim.Step((1,), 0.5)}
    terms = (regularizers.LogActivity(0.1), regularizers.Discriminant(0.01))
    whole = Trainer(toy_net(), OPTIMIZERS[name], regularizers=terms, **make)
    whole.fit(data, val, epochs=3, progress="none")
    first = Trainer(toy_net(), OPTIMIZERS[name], regularizers=terms, **make)
    first.steps(data, stop)
    first.save_checkpoint(tmp_path / "c")
    first.steps(data, 2)  # must not matter
    again = Trainer.resume(tmp_path / "c")
    assert again.optimizer == whole.optimizer and again.regularizers == terms
    assert (again.step, again.epoch, again.cursor) == (stop, stop // 3, stop % 3)
    again.fit(data, val, epochs=3, progress="none")
    same_bits(everything(again), everything(whole))
    left = timeless(whole.history)[stop // 3 :]
    assert timeless(again.history) == left


def test_steps_equal_epochs():
    data = toy_data(50)
    a = Trainer(toy_net(), OPTIMIZERS["adam"], batch=16)
    a.fit(data, epochs=4, progress="none")
    b = Trainer(toy_net(), OPTIMIZERS["adam"], batch=16)
    for n in (1, 0, 4, 7):
        means = b.steps(data, n)
        assert set(means) == ({"loss", "accuracy"} if n else set())
    assert (b.step, b.epoch, b.cursor) == (12, 4, 0)
    same_bits(everything(a), everything(b))


def test_a_dropped_batch_and_a_loader():
    data = toy_data(50)
    loader = Loader(data, 16, shuffle=True, seed=3, prefetch=2)
    a = Trainer(toy_net(), OPTIMIZERS["momentum"], batch=16, seed=3)
    a.fit(data, epochs=2, progress="none")
    b = Trainer(toy_net(), OPTIMIZERS["momentum"], batch=16, seed=3)
    b.fit(loader, epochs=2, progress="none")
    assert a.step == 6
    same_bits(everything(a), everything(b))


# -- judging ----------------------------------------------------------------------------------


def test_evaluate_is_float64_over_all_samples():
    data, model = toy_data(47), toy_net()
    got = evaluate(model, data, batch=20)
    y = model.predict(data.images).astype(np.float64)
    p = np.exp(y) / np.exp(y).sum(1, keepdims=True)
    want = -np.log(p[np.arange(47), data.labels]).mean()
    assert abs(got["loss"] - want) <= 1e-6 * abs(want)
    assert got["accuracy"] == (y.argmax(1) == data.labels).mean()
    assert Trainer(model, optim.SGD(0.1)).predict(data.images).shape == (47, 3)


def test_regression():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4)).astype(np.float32)
    t = (x @ rng.standard_normal((4, 2)) + 0.5).astype(np.float32)
    trainer = Trainer(mlp([4, 2]), optim.SGD(0.1, momentum=0.5), losses.Squared(), batch=50)
    history = trainer.fit((x, t), (x, t), epochs=40, progress="none")
    got = trainer.evaluate((x, t))
    y = trainer.predict(x)
    assert got["r2"] > 0.999 and got["rmse"] == metrics.rmse(t, y)
    assert "accuracy" not in history[0] and history[-1]["val_mse"] == got["mse"]


def test_squared_loss_of_classes():
    data = toy_data()
    t = Trainer(toy_net(dropout=False), optim.SGD(0.05, momentum=0.9), losses.Squared(), batch=20)
    t.fit(data, epochs=20, progress="none")
    assert t.evaluate(data)["accuracy"] == 1.0


def test_recalibration():
    model = toy_net(dropout=False)
    data = toy_data(60)
    model.tensors["bn1.running_mean"].copy_from(np.full(5, 9, np.float32))
    assert recalibrate_bn(model, data, batches=3, batch=20) == 3
    conv = nn.build(nn.Sequential(nn.Conv2d(5, 3, padding=1, bias=False)), (6, 6, 2))
    conv.load_arrays({"conv1.weight": model.tensors["conv1.weight"].numpy()})
    feed = Loader(data, 20, shuffle=True, seed=0)
    ys = [conv.predict(feed.batch(0, i)[0]).astype(np.float64).reshape(-1, 5) for i in range(3)]
    assert_close(model.tensors["bn1.running_mean"], np.mean([y.mean(0) for y in ys], 0), 1000, 1.0)
    assert_close(model.tensors["bn1.running_var"], np.mean([y.var(0) for y in ys], 0), 1000)
    assert recalibrate_bn(mlp([3, 2]), (np.zeros((4, 3), np.float32), np.zeros(4, int)), 1, 2) == 0


# -- callbacks --------------------------------------------------------------------------------


class Feigned(Callback):
    """Replaces the validation loss of each epoch."""

    def __init__(self, values):
        self.values = list(values)

    def on_epoch_end(self, trainer, row):
        row["val_loss"] = self.values[row["epoch"] - 1]


def test_early_stopping_keeps_the_best():
    data = toy_data()
    kept = {}

    class Keep(Callback):
        def on_epoch_end(self, trainer, row):
            kept[row["epoch"]] = trainer.model.arrays()

    stop = EarlyStopping(2, min_delta=0.05)
    t = Trainer(
        toy_net(), OPTIMIZERS["momentum"], batch=20,
        callbacks=[Feigned([3, 2, 1.97, 1.96, 1, 0]), Keep(), stop],
    )  # fmt: skip
    t.fit(data, epochs=6, progress="none")
    assert t.epoch == 4 and "has not improved for 2 epochs" in t.stopped
    assert (stop.best, stop.best_epoch) == (2.0, 2)
    same_bits(t.model.tensors, kept[2])


def test_early_stopping_is_resumed(tmp_path):
    data, values = toy_data(), [3, 2, 4, 4, 4, 4]
    for part in (False, True):
        calls = [Feigned(values), EarlyStopping(3), BestWeights("loss"), Checkpoint(tmp_path / "c")]
        if part:
            t = Trainer(toy_net(), OPTIMIZERS["adam"], batch=20, callbacks=calls)
            t.callbacks[1].restore_best_weights = False
            t.fit(data, epochs=3, progress="none")
            calls = [Feigned(values), EarlyStopping(3), BestWeights("loss"), Checkpoint(tmp_path / "c")]
            t = Trainer.resume(tmp_path / "c", callbacks=calls)
        else:
            t = Trainer(toy_net(), OPTIMIZERS["adam"], batch=20, callbacks=calls)
        t.fit(data, epochs=6, progress="none")
        assert t.epoch == 5 and calls[1].best_epoch == 2
        if part:
            same_bits(t.model.tensors, want)
        want = t.model.arrays()


def test_monitor_must_exist():
    t = Trainer(toy_net(), OPTIMIZERS["adam"], batch=20, callbacks=[EarlyStopping(2)])
    with pytest.raises(DataError, match=r"monitor must be one of .*got 'val_loss' \(fit needs val\)"):
        t.fit(toy_data(), epochs=1, progress="none")


def test_run_folder(tmp_path, capsys):
    data = toy_data()
    t = Trainer(toy_net(), OPTIMIZERS["adam"], batch=20, run_dir=tmp_path / "run")
    t.fit(data, data, epochs=2, progress="plain")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("epoch 1/2  loss ") and "images/s" in lines[0]
    again = Trainer.resume(tmp_path / "run" / "checkpoint.safetensors", run_dir=tmp_path / "run")
    again.fit(data, data, epochs=3, progress="none")
    with (tmp_path / "run" / "metrics.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [r["epoch"] for r in rows] == ["1", "2", "3"]
    assert [float(r["val_loss"]) for r in rows] == [r["val_loss"] for r in again.history]
    events = [json.loads(x) for x in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events] == ["fit", "epoch", "epoch", "fit_end", "fit", "epoch", "fit_end"]
    load(tmp_path / "run" / "checkpoint.safetensors")


def test_rich_progress(capsys):
    t = Trainer(toy_net(), OPTIMIZERS["adam"], batch=20)
    t.fit(toy_data(), epochs=1, progress="rich")
    assert "epoch 1/1" in capsys.readouterr().err
    with pytest.raises(ValueError, match="progress must be"):
        t.fit(toy_data(), epochs=2, progress="loud")


# -- stopping ---------------------------------------------------------------------------------


class InterruptAt(Callback):
    def __init__(self, step):
        self.at = step

    def on_step_end(self, trainer):
        if trainer.step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def test_interrupt_writes_a_checkpoint(tmp_path):
    data = toy_data()
    whole = Trainer(toy_net(), OPTIMIZERS["semi_sync"], batch=20)
    whole.fit(data, data, epochs=3, progress="none")
    t = Trainer(toy_net(), OPTIMIZERS["semi_sync"], batch=20, callbacks=[InterruptAt(4)], run_dir=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        t.fit(data, data, epochs=3, progress="none")
    assert t.step == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = Trainer.resume(tmp_path / "checkpoint.safetensors", run_dir=tmp_path)
    assert (again.step, again.epoch, again.cursor) == (4, 1, 1)
    again.fit(data, data, epochs=3, progress="none")
    same_bits(everything(again), everything(whole))
    assert timeless(again.history) == timeless(whole.history)


def test_second_interrupt_is_at_once():
    with pytest.raises(KeyboardInterrupt), Interrupt() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            if asked.asked:
                break
        assert asked.asked
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10**6):
            pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_not_finite_names_step_and_layer(tmp_path):
    data = toy_data()
    t = Trainer(toy_net(dropout=False), optim.SGD(0.01), batch=20, run_dir=tmp_path)
    t.fit(data, epochs=1, progress="none")
    good = (tmp_path / "checkpoint.safetensors").read_bytes()
    t.model.tensors["fc1.weight"].copy_from(np.full(t.model.tensors["fc1.weight"].shape, 3e38, np.float32))
    before = {k: v for k, v in t.model.arrays().items() if "running" not in k}
    with pytest.raises(NonFiniteError, match=r"step 3 .*the layer 'fc1' is the first.*checkpoint\.safetensors") as e:
        t.fit(data, epochs=2, progress="none")
    assert (e.value.step, e.value.where) == (3, "the layer 'fc1'")
    assert e.value.checkpoint == tmp_path / "checkpoint.safetensors"
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == good
    same_bits({k: t.model.tensors[k] for k in before}, before)  # nothing was updated
    Trainer.resume(e.value.checkpoint).fit(data, epochs=2, progress="none")


def test_not_finite_parameter_and_input(tmp_path):
    t = Trainer(mlp([3, 4, 2]), optim.SGD(1e38, momentum=0.9), batch=4)
    x = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    y = np.array([0, 1] * 4)
    with pytest.raises(NonFiniteError, match="there is no checkpoint yet"):
        t.steps((x, y), 20)
    bad = x.copy()
    bad[:, 1] = np.nan
    t = Trainer(mlp([3, 4, 2]), optim.SGD(0.1), batch=4)
    with pytest.raises(NonFiniteError, match="the input 'x' is the first"):
        t.steps((bad, y), 1)
    t = Trainer(mlp([3, 4, 2]), optim.SGD(0.1), batch=4)
    t.model.tensors["fc2.weight"].copy_from(np.full((2, 4), np.nan, np.float32))
    with pytest.raises(NonFiniteError, match=r"the parameter 'fc2\.weight'"):
        t.steps((x, y), 1)
    with pytest.raises(NonFiniteError, match=r"fc2\.weight after step 0"):
        t.save_checkpoint(tmp_path / "c")
    assert not (tmp_path / "c").exists()


# -- pruning ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replaced(name):
    data = toy_data()
    t = Trainer(toy_net(), OPTIMIZERS[name], batch=20, seed=2)
    t.steps(data, 4)
    pruning = units.pruning_map(t.model.graph, include=("conv2d", "linear"))
    gone = [u for u in pruning.units if any(m in (("conv1", 2), ("fc1", 0), ("fc1", 7)) for m in u.members)]
    assert len(gone) == 3
    smaller, keep = surgery.remove(t.model, pruning, gone)
    new = t.replaced(smaller, keep)
    assert (new.step, new.epoch, new.cursor, new.seed) == (4, 1, 1, 2)
    slot = {"momentum": "momentum", "adam": "square_mean", "semi_sync": "momentum", "adagrad": "square_sum"}[name]
    old = t.state_tensors[f"fc1.weight.{slot}"].numpy()
    assert old.any()
    want = old[keep[("fc1.weight", 0)]]
    assert new.state_tensors[f"fc1.weight.{slot}"].numpy().tobytes() == want.tobytes()
    narrow = t.state_tensors[f"conv2.weight.{slot}"].numpy()[..., [0, 1, 3, 4]]
    assert np.array_equal(new.state_tensors[f"conv2.weight.{slot}"].numpy(), narrow)
    if name == "semi_sync":
        assert new.state_tensors["fc1.weight.rows"].shape == (9,)
        assert new.state_tensors["fc1.weight.offsets"].numpy().tolist() == [0, 3, 6, 9]
        assert int(new.state_tensors["fc1.weight.group"].numpy()[0]) == 4 % 3
    if name == "adam":
        assert int(new.state_tensors["optimizer.t"].numpy()[0]) == 5
    means = new.steps(data, 6)
    assert np.isfinite(means["loss"]) and new.step == 10


# -- refusals ---------------------------------------------------------------------------------


def test_refuses(tmp_path):
    data, opt = toy_data(), optim.SGD(0.1)
    for kw, message in (({"batch": 0}, "batch"), ({"seed": -1}, "seed"), ({"seed": 1.5}, "seed")):
        with pytest.raises(ValueError, match=f"Trainer: {message} must be"):
            Trainer(toy_net(), opt, **kw)
    t = Trainer(toy_net(), opt, batch=64)
    with pytest.raises(DataError, match="full mini-batch of 64|mini-batches of 64"):
        t.steps(data, 1)
    with pytest.raises(DataError, match="mini-batches of 64 samples, got 20"):
        t.steps(Loader(data, 20), 1)
    with pytest.raises(DataError, match="Dataset, a Loader or"):
        t.steps([1, 2], 1)
    with pytest.raises(ValueError, match="n must not be negative"):
        t.steps(data, -1)
    with pytest.raises(DataError, match="path must be given"):
        t.save_checkpoint()
    with pytest.raises(ValueError, match=r"lie in \[0, 3\), the outputs of the network, got 3"):
        Trainer(toy_net(), opt, batch=20).steps(toy_data(classes=4), 3)


def test_resume_refuses(tmp_path):
    from sentei.io import load_checkpoint, save

    model = toy_net()
    save(model, tmp_path / "m")
    with pytest.raises(DataError, match="must be a checkpoint, got a model alone"):
        Trainer.resume(tmp_path / "m")
    t = Trainer(model, OPTIMIZERS["semi_sync"], batch=20)
    t.save_checkpoint(tmp_path / "c")
    _, state, tensors = load_checkpoint(tmp_path / "c")
    assert state is not None
    changes = [
        ({"optimizer": {"kind": "os.system"}}, {}, "optimizer must be given again"),
        ({"optimizer": {"kind": "CrossEntropy"}}, {}, "optimizer must be a"),
        ({"step": -1}, {}, "step must be a whole number"),
        ({"batch": 0}, {}, "batch must be a whole number"),
        ({"history": 3}, {}, "history must be a list"),
        ({"sums": {}}, {}, "sums must hold"),
        ({}, {"fc1.weight.group": None}, r"'fc1\.weight\.group' differs"),
        ({}, {"fc1.weight.group": np.array([99], np.int32)}, r"fc1\.weight\.group must be in"),
        ({}, {"fc1.weight.momentum": np.zeros((2, 2), np.float32)}, r"momentum must be float32"),
    ]
    from sentei.tensor import Tensor

    for other, arrays, message in changes:
        spoiled = {k: v for k, v in tensors.items() if k not in arrays}
        spoiled |= {k: Tensor.from_numpy(a) for k, a in arrays.items() if a is not None}
        save(model, tmp_path / "s", {**state, **other}, spoiled)
        with pytest.raises(DataError, match=message):
            Trainer.resume(tmp_path / "s")
