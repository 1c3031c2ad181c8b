"""Trainer: it learns, goes on with the same bits, judges, and is made anew for a pruned network."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close
from sentei import losses, metrics, nn, optim, regularizers
from sentei.data import Loader
from sentei.device import set_threads
from sentei.errors import DataError
from sentei.prune import surgery, units
from sentei.train import (
    Trainer,
    evaluate,
    recalibrate_bn,
)
from toys import mlp, same_bits, toy_data, toy_net
from train_settings import OPTIMIZERS, everything, timeless


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


def test_same_run_same_bits_for_any_threads(threads):
    runs = []
    for n in (1, 3):
        set_threads(n)
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
    t = Trainer(toy_net(dropout=False), optim.SGD(0.02, momentum=0.5), losses.Squared(), batch=20)
    t.fit(data, epochs=30, progress="none")
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


# -- pruning ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n != "lbfgs"])  # which begins anew
def test_replaced(name):
    data = toy_data()
    t = Trainer(toy_net(), OPTIMIZERS[name], batch=20, seed=2)
    t.steps(data, 4)
    pruning = units.pruning_map(t.model.graph, include=("conv2d", "linear"))
    gone = [
        u
        for u in pruning.units
        if any(m in (("conv1", 2), ("fc1", 0), ("fc1", 7)) for m in u.members)
    ]
    assert len(gone) == 3
    smaller, keep = surgery.remove(t.model, pruning, gone)
    new = t.replaced(smaller, keep)
    assert (new.step, new.epoch, new.cursor, new.seed) == (4, 1, 1, 2)
    slot = {
        "momentum": "momentum",
        "adam": "square_mean",
        "semi_sync": "momentum",
        "semi_sync_lazy": "momentum",
        "semi_sync_adam": "square_mean",
        "adagrad": "square_sum",
    }[name]
    old = t.state_tensors[f"fc1.weight.{slot}"].numpy()
    assert old.any()
    want = old[keep[("fc1.weight", 0)]]
    assert new.state_tensors[f"fc1.weight.{slot}"].numpy().tobytes() == want.tobytes()
    narrow = t.state_tensors[f"conv2.weight.{slot}"].numpy()[..., [0, 1, 3, 4]]
    assert np.array_equal(new.state_tensors[f"conv2.weight.{slot}"].numpy(), narrow)
    if name.startswith("semi_sync"):
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
    with pytest.raises(DataError, match="mini-batches of 64 samples, got 60"):
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


def test_evaluation_refuses_samples_that_are_not_finite():
    model = nn.models.build("lenet5_prune", (28, 28, 1), classes=10, seed=0)
    images = np.zeros((3, 28, 28, 1), np.float32)
    images[1, 2, 3] = np.inf
    with pytest.raises(DataError, match="samples must be finite"):
        evaluate(model, (images, np.arange(3)))
    with pytest.raises(DataError, match="at least one sample"):
        evaluate(model, (images[:0], np.arange(0)))
