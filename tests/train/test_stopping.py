"""Callbacks, run folders, interrupts, numbers that are not finite."""

from __future__ import annotations

import csv
import json
import os
import signal

import numpy as np
import pytest

from sentei import optim
from sentei.errors import DataError, NonFiniteError
from sentei.io import load
from sentei.train import (
    BestWeights,
    Callback,
    Checkpoint,
    EarlyStopping,
    Trainer,
)
from sentei.train.interrupt import Interrupt
from toys import mlp, same_bits, toy_data, toy_net
from train_settings import OPTIMIZERS, everything, timeless

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
        toy_net(),
        OPTIMIZERS["momentum"],
        batch=20,
        callbacks=[Feigned([3, 2, 1.97, 1.96, 1, 0]), Keep(), stop],
    )
    t.fit(data, epochs=6, progress="none")
    assert t.epoch == 4 and "has not improved for 2 epochs" in t.stopped
    assert (stop.best, stop.best_epoch) == (2.0, 2)
    same_bits(t.model.tensors, kept[2])


def test_early_stopping_is_resumed(tmp_path):
    def calls():
        stop = EarlyStopping(3)
        return [Feigned([3, 2, 4, 4, 4, 4]), stop, BestWeights("loss"), Checkpoint(tmp_path / "c")]

    data = toy_data()
    whole = Trainer(toy_net(), OPTIMIZERS["adam"], batch=20, callbacks=calls())
    whole.fit(data, epochs=6, progress="none")
    part = Trainer(toy_net(), OPTIMIZERS["adam"], batch=20, callbacks=calls())
    part.fit(data, epochs=3, progress="none")
    again = Trainer.resume(tmp_path / "c", callbacks=calls())
    again.fit(data, epochs=6, progress="none")
    assert (whole.epoch, again.epoch) == (5, 5)
    assert again.callbacks[1].state() == whole.callbacks[1].state()
    assert again.callbacks[2].best == whole.callbacks[2].best
    same_bits(again.model.tensors, whole.model.tensors)


def test_monitor_must_exist():
    t = Trainer(toy_net(), OPTIMIZERS["adam"], batch=20, callbacks=[EarlyStopping(2)])
    with pytest.raises(
        DataError, match=r"monitor must be one of .*got 'val_loss' \(fit needs val\)"
    ):
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
    assert [e["event"] for e in events] == [
        "fit",
        "epoch",
        "epoch",
        "fit_end",
        "fit",
        "epoch",
        "fit_end",
    ]
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


@pytest.mark.parametrize("at", [3, 4, 6])  # in an epoch, and at the very end of one
def test_interrupt_writes_a_checkpoint(tmp_path, at):
    data = toy_data()
    whole = Trainer(toy_net(), OPTIMIZERS["semi_sync"], batch=20)
    whole.fit(data, data, epochs=3, progress="none")
    t = Trainer(
        toy_net(), OPTIMIZERS["semi_sync"], batch=20, callbacks=[InterruptAt(at)], run_dir=tmp_path
    )
    with pytest.raises(KeyboardInterrupt):
        t.fit(data, data, epochs=3, progress="none")
    assert t.step == at
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = Trainer.resume(tmp_path / "checkpoint.safetensors", run_dir=tmp_path)
    assert again.step == at
    again.fit(data, data, epochs=3, progress="none")
    same_bits(everything(again), everything(whole))
    assert timeless(again.history) == timeless(whole.history)


def test_second_interrupt_is_at_once():
    def twice():
        with Interrupt() as asked:
            for expected in (True, None):
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(10**6):
                    if asked.asked is expected:
                        break
                assert asked.asked

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_not_finite_names_step_and_layer(tmp_path):
    data = toy_data()
    t = Trainer(toy_net(dropout=False), optim.SGD(0.01), batch=20, run_dir=tmp_path)
    t.fit(data, epochs=1, progress="none")
    good = (tmp_path / "checkpoint.safetensors").read_bytes()
    t.model.tensors["fc1.weight"].copy_from(
        np.full(t.model.tensors["fc1.weight"].shape, 3e38, np.float32)
    )
    before = {k: v for k, v in t.model.arrays().items() if "running" not in k}
    with pytest.raises(
        NonFiniteError, match=r"step 3 .*the layer 'fc1' is the first.*checkpoint\.safetensors"
    ) as e:
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
