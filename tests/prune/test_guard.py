"""Accuracy as a target and as a guard, rounds undone, operating points, and going on with all of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from networks import tensors_equal
from sentei import nn, optim, train
from sentei.data import load
from sentei.errors import DataError
from sentei.nn import models
from sentei.prune import IterativePruner, Target, operating_points
from sentei.prune.guard import NOTES, Guard


@pytest.fixture(scope="module")
def lenet():
    return models.build("lenet5_prune", (28, 28, 1), classes=10, seed=0)


# -- accuracy ---------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def digits():
    training, test = load("mnist-mini")
    return training.subset(range(400)), test.subset(range(200))


def trained(digits, seed=0):
    model = nn.Sequential(
        nn.Conv2d(8, 5, padding=2), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2d(4),
        nn.Conv2d(12, 3, padding=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(10),
    ).build(digits[0].shape, seed=seed)  # fmt: skip
    trainer = train.Trainer(model, optim.SGD(0.05, momentum=0.9), batch=50, seed=1)
    trainer.fit(digits[0], epochs=2, progress="none")
    return trainer


def pruner_of(digits, target, **kwargs):
    trainer = trained(digits)
    images = digits[0].as_float().images[:60]
    given = {"retrain_steps": 1, "per_round": 1, **kwargs}
    return IterativePruner(
        trainer.model, target, "norm", trainer=trainer, train=digits[0], val=digits[1],
        score_images=images, score_labels=digits[0].labels[:60], **given,
    )  # fmt: skip


def accuracy(digits, model):
    return train.evaluate(model, digits[1])["accuracy"]


def test_max_drop_alone_gives_the_last_network_that_keeps_it(digits):
    seen = {}
    pruner = pruner_of(
        digits, Target(max_drop=4), patience=2, on_step=lambda s, m, t: seen.setdefault(s.step, s)
    )
    reference = accuracy(digits, pruner.model)
    result = pruner.run()
    assert result.reference == reference and result.stopped is None
    assert 100 * (reference - accuracy(digits, result.model)) <= 4 + 1e-9
    assert result.accuracy == accuracy(digits, result.model)
    assert 0 < len(result.steps) < len(seen), "it went on, and came back"
    after = [100 * (reference - seen[k].accuracy_after_retrain) for k in sorted(seen)]
    assert after[len(result.steps) - 1] <= 4 < min(after[len(result.steps) :][-2:])
    assert result.final == result.model.costs() and result.trainer.model is result.model
    assert len(result.model.meta["history"]) == len(result.steps)
    result.trainer.steps(digits[0], 1)  # it can be trained on


def test_max_drop_guards_the_way_to_a_size(digits):
    free = pruner_of(digits, Target(flops="60%", max_drop=90)).run()
    assert free.stopped is None and free.gauge.share <= 0.6
    held = pruner_of(digits, Target(flops="12%", max_drop=0), patience=1).run()
    assert held.stopped == "max_drop" and held.gauge.share > 0.12
    assert accuracy(digits, held.model) >= held.reference
    assert held.gauge.value == held.final.flops


def test_a_network_that_may_lose_nothing_stays_whole(digits, monkeypatch):
    pruner = pruner_of(digits, Target(max_drop=0), patience=1, retrain_steps=0)
    before = pruner.model.arrays()
    falling, whole = iter(np.linspace(0.8, 0.1, 50)), pruner.model.costs()
    kind = type(pruner.trainer)
    monkeypatch.setattr(
        kind, "evaluate",
        lambda self, data: {"accuracy": 0.9 if self.model.costs() == whole else next(falling) - 0.2},
    )  # fmt: skip
    result = pruner.run()
    assert result.steps == () and result.final == result.original
    assert all(np.array_equal(a, before[k]) for k, a in result.model.arrays().items())


def test_rollback_undoes_and_protects(digits):
    undone, done = [], []
    pruner = pruner_of(
        digits, Target(flops="50%"), rollback=0.5, per_round=2,
        on_rollback=lambda b, m, t: undone.append((b, m.costs(), len(m.meta.get("history", [])))),
        on_step=lambda s, m, t: done.append(s),
    )  # fmt: skip
    result = pruner.run()
    assert undone and result.rollbacks == tuple(b for b, _, _ in undone)
    gone = {m for s in result.steps for m in s.members}
    protected = {m for b in result.rollbacks for m in b.members}
    assert not gone & protected
    for back, costs, length in undone:
        assert back.drop > 0.5 and back.drop == pytest.approx(100 * (back.before - back.after))
        assert length == back.steps and (costs.macs == pruner.model.costs().macs) == (
            back.steps == 0
        )
    assert [s.step for s in done] == list(range(1, len(done) + 1))
    assert result.stopped in (None, "protected")
    kept = result.model.meta["kept"]
    for layer, channel in protected:
        assert channel in kept.get(layer, range(99))


def test_rollback_leaves_no_trace(digits):
    """A run that undoes is a run that never tried: parameters, momenta and data go on as before."""
    calls = []
    pruner = pruner_of(
        digits, Target(macs=1), rollback=0.0,
        on_rollback=lambda b, m, t: calls.append((t.step, t.cursor, t.epoch, m.arrays())),
        on_step=lambda s, m, t: calls.clear(),
    )  # fmt: skip
    pruner.target = Target(flops="20%")
    pruner.run()
    assert calls
    for (step, cursor, epoch, arrays), other in itertools.pairwise(calls):
        assert (step, cursor, epoch) == other[:3]
        assert all(np.array_equal(a, other[3][k]) for k, a in arrays.items())


def test_everything_protected_ends_the_run(digits, monkeypatch):
    pruner = pruner_of(digits, Target(flops="50%"), rollback=1.0, per_round=6, retrain_steps=0)
    whole = pruner.model.costs()
    kind = type(pruner.trainer)
    monkeypatch.setattr(
        kind,
        "evaluate",
        lambda self, data: {"accuracy": 0.9 if self.model.costs() == whole else 0.1},
    )
    result = pruner.run()
    assert result.stopped == "protected" and not result.steps and len(result.rollbacks) >= 3
    assert result.final == whole


def test_notes_are_checked():
    g = Guard(max_drop=1)
    g.begin(0.9)
    g.protected = {("conv1", 3)}
    again = Guard(max_drop=1)
    again.restore(g.to_json())
    assert again == g
    for bad in (None, {}, {**g.to_json(), "good": -1}, {**g.to_json(), "protected": [3]}):
        with pytest.raises(DataError, match="the notes of pruning must be whole"):
            Guard().restore(bad)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"rollback": -1.0}, r"rollback must lie in \[0, 100\)"),
        ({"round_to": 0}, "round_to must be at least 1, got 0"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"val": None, "rollback": 1.0}, "trainer and val must be given with rollback"),
    ],
)
def test_pruner_refuses(digits, kwargs, message):
    pruner = pruner_of(digits, Target(flops="50%"))
    for k, v in kwargs.items():
        setattr(pruner, k, v)
    with pytest.raises(ValueError, match=f"IterativePruner: {message}"):
        pruner.__post_init__()


def test_max_drop_needs_a_judge(lenet):
    with pytest.raises(ValueError, match="trainer and val must be given with max_drop"):
        IterativePruner(lenet, Target(max_drop=1))


# -- operating points -------------------------------------------------------------------------
def test_operating_points(digits):
    whole = pruner_of(digits, Target(flops="40%")).run()
    found = list(
        operating_points(
            pruner_of(digits, Target(flops="90%")), [Target(flops=f"{k}%") for k in (80, 60, 40)]
        )
    )
    assert [t.flops for t, _ in found] == ["80%", "60%", "40%"]
    for target, result in found:
        assert target.reached(result.final, result.original)
        assert result.model.costs() == result.final, "not touched by what came after"
    assert [len(r.steps) for _, r in found] == sorted({len(r.steps) for _, r in found})
    last = found[-1][1]
    assert [s.members for s in last.steps] == [s.members for s in whole.steps]
    assert tensors_equal(last.model.tensors, whole.model.tensors), (
        "one channel a round: the same bits"
    )


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([], "at least one, got none"),
        ([Target(flops="30%"), Target(flops="50%")], "must fall, .* got 30% before 50%"),
        ([Target(flops="50%"), Target(params="30%")], "must be of one kind"),
        ([Target(max_drop=1)], "must be sizes"),
    ],
)  # fmt: skip
def test_operating_points_refuse(lenet, targets, message):
    with pytest.raises(ValueError, match=message):
        list(operating_points(IterativePruner(lenet, Target(flops="90%"), "l1_std"), targets))


def test_a_guarded_run_goes_on_from_its_notes(digits):
    """Interrupted after any step and gone on with: the same network."""
    settings_ = {"rollback": 5.0, "patience": 2, "evaluate_every": 2}
    target = Target(flops="45%", max_drop=60)
    whole = pruner_of(digits, target, **settings_).run()

    class Stop(Exception):
        pass

    assert whole.rollbacks and len(whole.steps) > 2
    for at in (1, len(whole.steps) - 1):
        kept = {}

        def stop(step, model, trainer, at=at, kept=kept):
            if step.step == at:
                kept["trainer"] = trainer.replaced(trainer.model.copy(), {})
                raise Stop

        pruner = pruner_of(
            digits,
            target,
            on_step=stop,
            on_good=lambda t, kept=kept: kept.update(good=t),
            **settings_,
        )
        first = pruner.model.copy()
        with pytest.raises(Stop):
            pruner.run()
        trainer = kept["trainer"]
        from sentei.workflow.pruning import step_of

        again = pruner_of(digits, target, **settings_)
        again.trainer, again.model = trainer, trainer.model
        again.history = [step_of(s) for s in trainer.model.meta["history"]]
        again.notes, again.good, again.baseline = trainer.model.meta[NOTES], kept["good"], first
        again.original = first.costs()
        result = again.run()
        assert [s.members for s in result.steps] == [s.members for s in whole.steps]
        assert tensors_equal(result.model.tensors, whole.model.tensors)


def test_a_run_that_was_stopped_as_its_patience_ended_turns_back(digits, monkeypatch):
    """The step that uses patience up is written before the way back: it must not be forgotten."""
    from sentei.workflow.pruning import step_of

    series = [0.9, 0.9, 0.9, 0.8, 0.8, 0.9, 0.9, 0.9]
    asked = []
    kept = {}

    def judged(self, data):
        asked.append(1)
        return {"accuracy": series[min(len(asked), len(series)) - 1]}

    def keep(step, model, trainer):
        kept[step.step] = (trainer.replaced(trainer.model.copy(), {}), len(asked), good[-1])

    good = []
    whole = pruner_of(digits, Target(max_drop=4), patience=2, evaluate_every=1)
    monkeypatch.setattr(type(whole.trainer), "evaluate", judged)
    whole.on_step, whole.on_good = keep, good.append
    first = whole.model.copy()
    expected = whole.run()
    trainer, done, last_good = kept[max(kept)]
    assert trainer.model.meta[NOTES]["bad"] == 2 and len(expected.steps) < max(kept)
    del asked[done:]
    again = pruner_of(digits, Target(max_drop=4), patience=2, evaluate_every=1)
    again.trainer, again.model, again.original = trainer, trainer.model, first.costs()
    again.history = [step_of(s) for s in trainer.model.meta["history"]]
    again.notes, again.good, again.baseline = trainer.model.meta[NOTES], last_good, first
    result = again.run()
    assert [s.members for s in result.steps] == [s.members for s in expected.steps]
    assert tensors_equal(result.model.tensors, expected.model.tensors)
