"""Training on a device: as on the CPU, with the same bits however it is cut, and as clear when it fails."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from helpers import assert_close
from sentei import losses, nn, optim, regularizers
from sentei.data import Dataset, Loader, RandomCrop, RandomFlip
from sentei.errors import NonFiniteError
from sentei.prune import CRITERIA, IterativePruner, Target, pruning_map, score_layers, verify
from sentei.prune.surgery import remove
from sentei.run.recorded import Recorded
from sentei.train import BestWeights, Callback, Trainer, evaluate, recalibrate_bn
from toys import mlp, same_bits, toy_data, toy_net
from train_settings import OPTIMIZERS, everything, timeless

pytestmark = pytest.mark.devices


def bits(t: Trainer) -> dict:
    return {k: v.numpy() for k, v in everything(t).items()}


def lenet(n: int = 24):
    net = nn.Sequential(
        nn.Conv2d(4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(10), nn.ReLU(), nn.Linear(3)
    )  # fmt: skip
    rng = np.random.default_rng(3)
    labels = np.arange(n) % 3
    images = rng.integers(0, 90, (n, 8, 8, 1)) + 60 * labels[:, None, None, None]
    return net.build((8, 8, 1), seed=1), Dataset(images.astype(np.uint8), labels.astype(np.int64))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_as_on_the_cpu(device, name):
    model, data = lenet()
    both = []
    for where in ("cpu", device):
        t = Trainer(model.copy().to(where), OPTIMIZERS[name], batch=8, seed=2)
        history = t.fit(data, data, epochs=2, progress="none")
        both.append((t, history))
    (a, first), (b, second) = both
    assert b.model.device == device and b.step == 6
    for k, t in a.model.tensors.items():
        assert_close(b.model.tensors[k], t.numpy(), 3000, max(1.0, float(np.abs(t.numpy()).max())))
    for x, y in zip(first, second, strict=True):
        assert abs(x["loss"] - y["loss"]) < 1e-4 and x["accuracy"] == y["accuracy"]
        assert abs(x["val_loss"] - y["val_loss"]) < 1e-4


def test_norm_dropout_and_penalties_as_on_the_cpu(device):
    terms = (regularizers.LogActivity(0.1), regularizers.Discriminant(0.01))
    means = []
    for where in ("cpu", device):
        t = Trainer(
            toy_net().to(where), OPTIMIZERS["momentum"], batch=20, seed=3, regularizers=terms
        )
        means.append(t.steps(toy_data(), 4))
    assert set(means[0]) == {"loss", "accuracy", "objective"} == set(means[1])
    for k, value in means[0].items():
        assert abs(means[1][k] - value) < 1e-3 * max(1, abs(value))


def test_replayed_is_uncaptured(device, monkeypatch):
    runs = []
    for replayed in (True, False):
        if not replayed:
            monkeypatch.setattr(Recorded, "__call__", Recorded.plain)
        t = Trainer(toy_net().to(device), OPTIMIZERS["adam"], batch=20, seed=4)
        t.fit(toy_data(), toy_data(20), epochs=2, progress="none")
        runs.append((bits(t), timeless(t.history)))
    same_bits(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]


@pytest.mark.parametrize("name", ["momentum", "semi_sync"])
def test_resumed_is_never_stopped(device, tmp_path, name):
    data = toy_data()
    make = {"batch": 20, "seed": 7, "schedule": optim.Step((1,), 0.5)}
    whole = Trainer(toy_net().to(device), OPTIMIZERS[name], **make)
    whole.fit(data, data, epochs=3, progress="none")
    first = Trainer(toy_net().to(device), OPTIMIZERS[name], **make)
    first.steps(data, 4)
    first.save_checkpoint(tmp_path / "c")
    first.steps(data, 2)  # must not matter
    again = Trainer.resume(tmp_path / "c", device=device)
    assert again.model.device == device and again.step == 4
    again.fit(data, data, epochs=3, progress="none")
    same_bits(bits(again), bits(whole))
    assert timeless(again.history) == timeless(whole.history)[1:]


def test_from_the_device_to_the_cpu_and_back(device, tmp_path):
    t = Trainer(toy_net().to(device), OPTIMIZERS["adam"], batch=20)
    t.steps(toy_data(), 3)
    t.save_checkpoint(tmp_path / "c")
    on_cpu = Trainer.resume(tmp_path / "c")
    assert on_cpu.model.device == "cpu"
    same_bits(bits(on_cpu), bits(t))
    on_cpu.steps(toy_data(), 1)


class Saves(Callback):
    """Checkpoints in the middle of what a device has not yet told."""

    def __init__(self, path, every):
        self.path, self.every = path, every

    def on_step_end(self, trainer):
        if trainer.step % self.every == 0:
            trainer.save_checkpoint(self.path)


def test_reading_figures_more_often_changes_nothing(device, tmp_path):
    runs = []
    for every in (1, 2, 100):
        t = Trainer(
            toy_net().to(device),
            OPTIMIZERS["momentum"],
            batch=20,
            callbacks=[Saves(tmp_path / "c", every), BestWeights("loss")],
        )
        t.fit(toy_data(), epochs=3, progress="none")
        runs.append((bits(t), timeless(t.history)))
    for other in runs[1:]:
        same_bits(runs[0][0], other[0])
        assert runs[0][1] == other[1]


class InterruptAt(Callback):
    def on_step_end(self, trainer):
        if trainer.step == 4:
            os.kill(os.getpid(), signal.SIGINT)


def test_interrupted_between_two_readings(device, tmp_path):
    data = toy_data()
    whole = Trainer(toy_net().to(device), OPTIMIZERS["adam"], batch=20)
    whole.fit(data, data, epochs=3, progress="none")
    t = Trainer(
        toy_net().to(device),
        OPTIMIZERS["adam"],
        batch=20,
        callbacks=[InterruptAt()],
        run_dir=tmp_path,
    )
    with pytest.raises(KeyboardInterrupt):
        t.fit(data, data, epochs=3, progress="none")
    assert t.step == 4 and t.sums["steps"] == 1
    again = Trainer.resume(tmp_path / "checkpoint.safetensors", device=device)
    again.fit(data, data, epochs=3, progress="none")
    same_bits(bits(again), bits(whole))
    assert timeless(again.history) == timeless(whole.history)


def test_more_steps_than_the_log_has_rows(device):
    x = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    y = np.array([0, 1] * 4)
    a = Trainer(mlp([3, 2]).to(device), optim.SGD(0.1), batch=4)
    means = a.steps((x, y), 140)
    b = Trainer(mlp([3, 2]).to(device), optim.SGD(0.1), batch=4)
    parts = [b.steps((x, y), n)["loss"] for n in [1] * 140]
    assert abs(means["loss"] - np.mean(parts)) < 1e-12
    same_bits(bits(a), bits(b))


def test_images_stay_on_the_device(device):
    model, data = lenet()
    transforms = (RandomCrop(1), RandomFlip())
    runs = []
    for batchwise in (False, True):
        loader = Loader(data, 8, shuffle=True, seed=5, transforms=transforms, drop_last=True)
        t = Trainer(model.copy().to(device), OPTIMIZERS["momentum"], batch=8)
        if batchwise:
            t._feed_of(loader).resident = None
        else:
            assert (t._feed_of(loader).resident is None) == (device == "cpu")
        t.fit(loader, epochs=2, progress="none")
        runs.append(bits(t))
    same_bits(*runs)


def test_not_finite_names_step_and_layer(device, tmp_path):
    data = toy_data()
    t = Trainer(toy_net(dropout=False).to(device), optim.SGD(0.01), batch=20, run_dir=tmp_path)
    t.fit(data, epochs=1, progress="none")
    good = (tmp_path / "checkpoint.safetensors").read_bytes()
    weight = t.model.tensors["fc1.weight"]
    weight.copy_from(np.full(weight.shape, 3e38, np.float32))
    before = {k: v for k, v in t.model.arrays().items() if "running" not in k}
    with pytest.raises(
        NonFiniteError, match=r"step 3 .*the layer 'fc1' is the first.*checkpoint\.safetensors"
    ) as e:
        t.fit(data, epochs=2, progress="none")
    assert (e.value.step, e.value.where) == (3, "the layer 'fc1'")
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == good
    same_bits({k: t.model.tensors[k].numpy() for k in before}, before)  # nothing was updated


def test_not_finite_after_some_good_steps(device):
    """The same step and parameters as on the CPU, though the device had gone on."""
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    y = np.arange(40) % 2
    x[
        np.random.Philox(key=np.array([0, 0], np.uint64)).random_raw(40).argsort(kind="stable")[25]
    ] = np.nan
    found = []
    for where in ("cpu", device):
        t = Trainer(mlp([3, 4, 2]).to(where), optim.SGD(0.1, momentum=0.9), batch=4)
        with pytest.raises(NonFiniteError, match=r"step 6 .*the input 'x' is the first") as e:
            t.steps((x, y), 10)
        assert e.value.step == 6 == t.step and t.cursor == 6
        found.append(t)
    for k, a in found[0].model.tensors.items():
        assert_close(found[1].model.tensors[k], a.numpy(), 100, 1.0)


def test_evaluation_and_recalibration(device):
    data, model = toy_data(47), toy_net(dropout=False)
    there = model.copy().to(device)
    a, b = evaluate(model, data, batch=20), evaluate(there, data, batch=20)
    assert abs(a["loss"] - b["loss"]) < 1e-5 and a["accuracy"] == b["accuracy"]
    for m in (model, there):
        assert recalibrate_bn(m, data, batches=2, batch=20) == 2
    for k in ("bn1.running_mean", "bn1.running_var"):
        assert_close(there.tensors[k], model.tensors[k].numpy(), 1000, 1.0)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_scores(device, criterion):
    model, data = lenet()
    images = data.images.astype(np.float32) / 255
    found = [
        score_layers(m, pruning_map(m.graph), criterion, images=images, labels=data.labels, batch=9)
        for m in (model, model.to(device))
    ]
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=2e-4, atol=1e-6)


def test_pruning(device):
    model, data = lenet()
    images = data.images.astype(np.float32) / 255
    pruning = pruning_map(model.graph)
    there = model.to(device)
    smaller, keep = remove(there, pruning, pruning.units[:2])
    assert smaller.device == device
    assert verify(there, smaller, pruning, pruning.units[:2], images[:4]).passed
    t = Trainer(there, OPTIMIZERS["momentum"], batch=8)
    t.steps(data, 2)
    slot = t.state_tensors["conv1.weight.momentum"].numpy()
    kept = keep[("conv1.weight", 0)]
    new = t.replaced(remove(t.model, pruning, pruning.units[:2])[0], keep)
    assert np.array_equal(new.state_tensors["conv1.weight.momentum"].numpy(), slot[kept])
    assert np.isfinite(new.steps(data, 3)["loss"]) and new.step == 5


def test_iterative_pruning_as_on_the_cpu(device):
    chosen = []
    for where in ("cpu", device):
        model, data = lenet()
        t = Trainer(model.to(where), optim.SGD(0.01), losses.CrossEntropy(), batch=8)
        result = IterativePruner(
            t.model,
            Target(flops="60%"),
            trainer=t,
            train=data,
            val=data,
            retrain_steps=2,
            score_images=data.images.astype(np.float32) / 255,
            score_labels=data.labels,
            score_batch=9,
        ).run()
        assert result.model.device == where and result.verified
        chosen.append([(s.layer, s.channel) for s in result.steps])
    assert chosen[0] == chosen[1]


def test_precision_is_for_cuda(device):
    opt = optim.SGD(0.1)
    if device == "cpu":
        with pytest.raises(ValueError, match=r"must be .* on cpu, got tf32"):
            Trainer(toy_net(), opt, precision="tf32")
        return
    exact = Trainer(toy_net().to(device), opt, batch=20).steps(toy_data(), 3)["loss"]
    for name, bound in (("tf32", 0.02), ("bfloat16", 0.1)):
        t = Trainer(toy_net().to(device), opt, batch=20, precision=name)
        loss = t.steps(toy_data(), 3)["loss"]
        assert 0 < abs(loss - exact) < bound
        rounded = {n.op.name for n in t._step.graph.nodes if n.attrs.get("precision") == name}
        passes = {f"{op}{p}" for op in ("conv2d", "linear") for p in ("", "_backward_weight")}
        more = {"conv2d_statistics", "conv2d_backward_input", "linear_backward_input"}
        assert rounded == passes | more


def test_updates_are_one_kernel(device):
    t = Trainer(toy_net().to(device), OPTIMIZERS["momentum"], batch=20)
    updates = [n.op.name for n in t._step.graph.nodes if "update" in n.op.name]
    one = device != "cpu"
    assert set(updates) == {"sgd_update_many" if one else "sgd_update"}
    assert (len(updates) == 1) == one


def test_scores_of_training(device):
    model, data = lenet()
    both = []
    for where in ("cpu", device):
        t = Trainer(
            model.copy().to(where), OPTIMIZERS["momentum"], batch=8, scores=("conv1", "fc1")
        )
        t.steps(data, 5)
        both.append(t.scores("first"))
    assert [s.layer for s in both[0]] == ["conv1", "fc1"] == [s.layer for s in both[1]]
    for a, b in zip(*both, strict=True):
        assert_close(b.raw, a.raw, 3000)
        assert_close(b.standard_error, a.standard_error, 3000)
