"""Targets, preview and the pruning loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from networks import networks, random_images, tensors_equal
from sentei import nn, optim, train
from sentei.data import load
from sentei.errors import DataError
from sentei.nn import models
from sentei.prune import IterativePruner, Target, TargetUnreachableError, preview
from sentei.prune.iterative import PARTS
from sentei.prune.surgery import remove
from sentei.prune.units import pruning_map


@pytest.fixture(scope="module")
def lenet():
    return models.build("lenet5_prune", (28, 28, 1), classes=10, seed=0)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"flops": "30%"}, "30 % of FLOPs remain (70 % removed)"),
        ({"params": "12.5 %"}, "12.5 % of parameters remain (87.5 % removed)"),
        ({"macs": 4_000_000}, "at most 4,000,000 MACs: 28.8% remain (71.2% removed)"),
    ],
)
def test_targets_say_both_shares(lenet, kwargs, words):
    assert Target(**kwargs).describe(lenet.costs()) == words


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "exactly one of flops, .* must be given .or max_drop., got none"),
        ({"flops": "30%", "macs": 3}, "exactly one"),
        ({"flops": "0%"}, "must remain between 0% and 100%, got '0%'"),
        ({"flops": "130%"}, "must remain between 0% and 100%"),
        ({"flops": "few"}, "must be a number or a percentage like '30%', got 'few'"),
        ({"flops": 0.3}, "write '30%' for the share that remains"),
        ({"params": -1}, "params must be positive, got -1"),
        ({"params": float("nan")}, "must be positive"),
    ],
)
def test_targets_refuse(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Target(**kwargs)


def test_budget_and_reached(lenet):
    costs = lenet.costs()
    assert Target(flops="50%").budget(costs) == costs.flops / 2
    assert Target(flops=costs.flops).reached(costs, costs)
    assert not Target(flops=costs.flops - 1).reached(costs, costs)


def test_preview_gives_reasons(lenet):
    text = str(preview(lenet, Target(flops="30%"), ignore=["conv1"]))
    assert "conv1                    left alone: ignored on request" in text
    assert "conv2                    64 of 64 channels prunable" in text
    assert "linear layers are not pruned" in text
    assert "target: 30 % of FLOPs remain (70 % removed): can be reached" in text
    assert "can NOT be reached" in str(preview(lenet, Target(flops="1%"), floor=20))


def test_unreachable_targets_are_refused_before_any_work(lenet):
    with pytest.raises(TargetUnreachableError, match="smallest reachable network has"):
        IterativePruner(lenet, Target(flops="5%"), "l1_std", floor=30).run()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    networks(), st.sampled_from(["l1_std", "norm", "robust", "fisher", "trace"]), st.integers(1, 3)
)
def test_stops_at_the_first_state_below(model, criterion, per_round):
    look = preview(model)
    middle = (look.original.macs + look.smallest.macs) // 2
    images, labels = random_images(model, 6), np.arange(6) % 4
    result = IterativePruner(
        model, Target(macs=max(middle, 1)), criterion, score_images=images, score_labels=labels,
        per_round=per_round,
    ).run()  # fmt: skip
    assert result.final.macs <= middle or not result.steps
    assert result.verified and [s.step for s in result.steps] == list(
        range(1, len(result.steps) + 1)
    )
    macs = [s.macs for s in result.steps]
    assert macs == sorted(macs, reverse=True) and all(m > middle for m in macs[:-1])
    assert [h["layer"] for h in result.model.meta.get("history", [])] == [
        s.layer for s in result.steps
    ]


def small_run(per_round=4, steps=2, **kwargs):
    training, test = load("mnist-mini")
    training, test = training.subset(range(400)), test.subset(range(200))
    model = nn.Sequential(
        nn.Conv2d(8, 5, padding=2), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2d(4),
        nn.Conv2d(12, 3, padding=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(10),
    ).build(training.shape, seed=0)  # fmt: skip
    trainer = train.Trainer(model, optim.SGD(0.05, momentum=0.9), batch=50, seed=1)
    trainer.fit(training, epochs=2, progress="none")
    images = training.as_float().images[:100]
    pruner = IterativePruner(
        model, Target(flops="50%"), "robust", trainer=trainer, train=training, val=test,
        retrain_steps=steps, score_images=images, score_labels=training.labels[:100],
        per_round=per_round, **kwargs,
    )  # fmt: skip
    return model, pruner.run()


def test_retraining_loop():
    model, result = small_run()
    assert result.target.reached(result.final, result.original)
    assert all(s.max_abs_diff < 1e-4 for s in result.steps)
    assert result.steps[-1].accuracy_after_retrain is not None
    assert result.parts["retraining"] > 0 and result.trainer.model is result.model
    assert result.trainer.evaluate(load("mnist-mini")[1])["accuracy"] > 0.3
    assert model.costs().macs == result.original.macs, "the given model keeps its size"


def test_same_run_twice_same_bits():
    assert tensors_equal(small_run()[1].model.tensors, small_run()[1].model.tensors)


def test_every_removal_is_reported():
    seen = []
    _, result = small_run(
        per_round=1, steps=0, on_step=lambda s, m, t: seen.append((s, m.costs().macs))
    )
    assert [s for s, _ in seen] == list(result.steps)
    assert all(s.macs == macs for s, macs in seen)
    assert len({(s.layer, s.channel) for s, _ in seen}) == len(seen), (
        "original numbers never repeat"
    )


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"per_round": 0}, "per_round must be at least 1, got 0"),
        ({"retrain_steps": -1}, "retrain_steps must not be negative, got -1"),
    ],
)
def test_refusals(lenet, kwargs, message):
    with pytest.raises(ValueError, match=message):
        IterativePruner(lenet, Target(flops="50%"), **kwargs)


def test_a_target_already_met_changes_nothing(lenet):
    trainer = train.Trainer(lenet, optim.SGD(0.01), batch=10)
    result = IterativePruner(
        lenet, Target(flops="100%"), "l1_std", trainer=trainer, retrain_steps=0
    ).run()
    assert result.steps == () and not result.verified, "nothing was compared"
    assert result.model is not lenet and result.trainer.model is result.model
    assert "history" not in lenet.meta and tensors_equal(result.model.tensors, lenet.tensors)


def test_the_trainer_must_train_the_model(lenet):
    trainer = train.Trainer(lenet.copy(), optim.SGD(0.01), batch=10)
    with pytest.raises(ValueError, match=r"model must be trainer\.model, got another one"):
        IterativePruner(lenet, Target(flops="50%"), trainer=trainer, retrain_steps=0)


def test_scores_that_are_not_finite_are_refused(lenet):
    images = np.zeros((4, 28, 28, 1), np.float32)
    images[2, 3, 3] = np.nan
    pruner = IterativePruner(
        lenet, Target(flops="50%"), score_images=images, score_labels=np.arange(4)
    )
    with pytest.raises(DataError, match="scores must be finite, but robust gives conv1"):
        pruner.run()


def test_pruning_again_keeps_its_own_history():
    _, first = small_run()
    seen = []
    again = IterativePruner(
        first.model,
        Target(flops="80%"),
        "l1_std",
        on_step=lambda s, m, t: seen.append(len(m.meta["history"])),
    ).run()
    assert seen == list(range(1, len(again.steps) + 1)), "no step of the first pruning"
    assert len(again.model.meta["history"]) == len(again.steps)


def test_time_is_told_apart():
    _, result = small_run(per_round=2)
    parts = result.parts
    assert set(parts) == set(PARTS) and all(v > 0 for v in parts.values())
    assert sum(parts.values()) <= result.seconds
    for name, whole in parts.items():  # what follows the last removal is a look at the map
        assert sum(s.parts[name] for s in result.steps) == pytest.approx(whole, rel=0.2, abs=1e-3)
    assert all(s.seconds == pytest.approx(sum(s.parts.values())) for s in result.steps)


@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam, optim.RMSprop, optim.AdaGrad])
@settings(max_examples=10, deadline=None, derandomize=True)
@given(model=networks(), data=st.data())
def test_step_of_a_pruned_network_is_as_if_built_anew(optimizer, model, data):
    trainer = train.Trainer(model, optimizer(0.01), batch=4)
    pruning = pruning_map(model.graph)
    units = [u for u in pruning.units if pruning.removable(u, pruning.widths())]
    assume(units)
    smaller, keep = remove(model, pruning, [data.draw(st.sampled_from(units))])
    cut = trainer.replaced(smaller, keep)
    anew = train.Trainer(smaller, optimizer(0.01), batch=4)
    assert cut._step.graph.to_json() == anew._step.graph.to_json()
    assert {k: t.shape for k, t in cut.state_tensors.items()} == {
        k: t.shape for k, t in anew.state_tensors.items()
    }
    for name, t in cut.state_tensors.items():
        assert not any(t.overlaps(old) for old in trainer.state_tensors.values()), name


@pytest.mark.parametrize("name", ["lenet5_prune", "vgg13_like", "resnet18_like"])
def test_step_of_a_pruned_model_is_as_if_built_anew(name):
    model = models.build(name, seed=0)
    trainer = train.Trainer(model, optim.SGD(0.01, momentum=0.9), batch=2)
    pruning = pruning_map(model.graph)
    smaller, keep = remove(model, pruning, [pruning.units[0], pruning.units[-1]])
    anew = train.Trainer(smaller, optim.SGD(0.01, momentum=0.9), batch=2)
    assert trainer.replaced(smaller, keep)._step.graph.to_json() == anew._step.graph.to_json()
