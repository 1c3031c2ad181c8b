"""Targets beyond counts, widths in multiples, accuracy as a guard, rollback, operating points."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networks import networks, random_images, tensors_equal
from sentei import nn, optim, train
from sentei.data import load
from sentei.errors import DataError
from sentei.model import Model
from sentei.nn import models
from sentei.prune import (
    IterativePruner,
    Target,
    TargetUnreachableError,
    gauge_of,
    inference_bytes,
    operating_points,
    preview,
)
from sentei.prune.guard import NOTES, Guard
from sentei.run import make_plan


@pytest.fixture(scope="module")
def lenet():
    return models.build("lenet5_prune", (28, 28, 1), classes=10, seed=0)


@pytest.mark.parametrize(
    ("kwargs", "whole", "words"),
    [
        ({"memory": "40%"}, None, "40 % of memory at batch 1 remain (60 % removed)"),
        ({"memory": "2MB", "batch": 8}, 8e6, "at most 2,000,000 bytes of memory at batch 8: "
            "25.0% remain (75.0% removed)"),
        ({"latency_ms": "60%"}, None, "60 % of latency at batch 1 remain (40 % removed)"),
        ({"latency_ms": 0.25}, 0.5, "at most 0.25 ms of latency at batch 1: 50.0% remain (50.0% removed)"),
        ({"max_drop": 1}, None, "the smallest network with at most 1 accuracy point lost on held-out "
            "training images"),
        ({"flops": "30%", "max_drop": 0.5}, None, "30 % of FLOPs remain (70 % removed), "
            "at most 0.5 accuracy points lost on held-out training images"),
    ],
)  # fmt: skip
def test_words(kwargs, whole, words):
    assert Target(**kwargs).describe(None, whole) == words


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"memory": "2MB", "params": "30%"}, "exactly one of .* got params, memory"),
        (
            {"memory": "2 parsecs"},
            "memory must be a number or a percentage .*'mb'.*, got '2 parsecs'",
        ),
        ({"flops": "2MB"}, "flops must be a number or a percentage like '30%', got '2MB'"),
        ({"latency_ms": "-1ms"}, "latency_ms must be positive, got '-1ms'"),
        ({"max_drop": -1}, r"max_drop must lie in \[0, 100\)"),
        ({"max_drop": float("nan")}, "max_drop must lie"),
        ({"memory": "30%", "batch": 0}, "batch must be at least 1, got 0"),
    ],
)
def test_refuses(kwargs, message):
    with pytest.raises(ValueError, match=f"Target: {message}"):
        Target(**kwargs)


@pytest.mark.parametrize(("text", "value"), [("1kB", 1e3), ("1.5MiB", 1.5 * 2**20), ("3e6", 3e6)])
def test_units_of_memory(text, value):
    assert Target(memory=text).budget_of(1e9) == value


@pytest.mark.parametrize("batch", [1, 10])
def test_memory_is_that_of_the_plan(lenet, batch):
    """What a predictor, which folds the real numbers, lays out and holds."""
    fused = lenet.predictor(1).graph
    specs = [fused.values[n].spec for n in fused.by_role("param", "state")]
    want = sum(s.nbytes for s in specs) + make_plan(fused, batch).memory.arena_bytes
    assert inference_bytes(lenet.graph, batch) == want
    assert inference_bytes(lenet.graph, 10) > inference_bytes(lenet.graph, 1)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(networks(), st.integers(1, 3))
def test_memory_stops_at_the_first_state_below(model, per_round):
    least = inference_bytes(preview(model).graph)
    budget = (inference_bytes(model.graph) + least) // 2
    result = IterativePruner(model, Target(memory=budget), "l1_std", per_round=per_round).run()
    assert inference_bytes(result.model.graph) <= budget
    assert result.gauge.value == inference_bytes(result.model.graph)
    if result.steps and per_round == 1:
        last = result.steps[-1].step
        seen = []
        IterativePruner(
            model, Target(memory=budget), "l1_std",
            on_step=lambda s, m, t: seen.append(inference_bytes(m.graph)),
        ).run()  # fmt: skip
        assert len(seen) == last and all(n > budget for n in seen[:-1])


def widths(model: Model) -> dict[str, int]:
    return {x.name: x.width for x in preview(model).layers}


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    networks(), st.sampled_from([2, 3, 4]), st.sampled_from(["l1_std", "norm"]), st.integers(1, 5)
)
def test_widths_end_at_multiples(model, round_to, criterion, floor):
    """A layer that is cut ends at a multiple, no floor is broken, and the last block was needed."""
    look = preview(model, floor=floor, round_to=round_to)
    whole = look.original.macs
    middle = max((whole + look.smallest.macs) // 2, 1)
    rounds = []
    result = IterativePruner(
        model, Target(macs=middle), criterion, score_images=random_images(model, 4),
        score_labels=np.arange(4) % 4, floor=floor, round_to=round_to,
        on_step=lambda s, m, t: rounds.append(m.costs().macs),
    ).run()  # fmt: skip
    assert result.final.macs <= middle or not result.steps
    assert all(m > middle for m in rounds if m != result.final.macs)
    old, new = widths(model), widths(result.model)
    partly = {x.name for x in look.layers if x.prunable not in (0, x.width)}
    tied = {x.name: set(x.tied_with) for x in look.layers}
    for name, width in new.items():
        assert width >= min(floor, old[name])
        alone = name not in partly and all(
            old[t] % round_to == old[name] % round_to for t in tied[name]
        )
        if width != old[name] and alone:
            assert width % round_to == 0, (name, old[name], width)


def test_rounding_never_cuts_more_than_its_block(lenet):
    """The network before the last block is above the target: it was asked for."""
    for round_to in (4, 8):
        states = [lenet.costs().flops]
        result = IterativePruner(
            lenet, Target(flops="45%"), "l1_std", round_to=round_to,
            on_step=lambda s, m, t, to=states: to.append(m.costs().flops),
        ).run()  # fmt: skip
        above = [f for f in states if f != result.final.flops]
        assert min(above) > 0.45 * lenet.costs().flops >= result.final.flops
        cut = {s.layer for s in result.steps}
        assert all(w % round_to == 0 for n, w in widths(result.model).items() if n in cut)


def test_a_target_that_rounding_forbids_is_refused(lenet):
    least = preview(lenet).smallest.flops
    with pytest.raises(TargetUnreachableError, match="round_to 16"):
        IterativePruner(lenet, Target(flops=least + 1), "l1_std", round_to=16).run()
    assert not preview(lenet, Target(flops=least + 1), round_to=16).reachable


# -- latency ----------------------------------------------------------------------------------
def test_latency_is_told_against_the_unpruned_network(lenet, monkeypatch):
    """The clock is replaced by one that counts MACs with noise: a state is taken when it is sure."""
    from sentei.prune import gauge as module

    rng = np.random.default_rng(0)
    monkeypatch.setattr(module, "_call", lambda model, batch: model.costs().macs)

    def in_turns(calls, seconds, warm=True):
        shape = (max(3, int(40 * seconds)), 5)
        drift = 1 + rng.random((shape[0], 1))  # of the machine: all alike
        return [(c * drift * (1 + 0.1 * rng.random(shape))).astype(np.int64) for c in calls]

    monkeypatch.setattr(module, "in_turns", in_turns)
    result = IterativePruner(lenet, Target(latency_ms="60%"), "l1_std", per_round=2).run()
    left = result.final.macs / result.original.macs
    assert result.stopped is None and 0.5 < left <= 0.62
    assert result.gauge.share <= 0.6
    with pytest.raises(
        ValueError, match="baseline must be given to go on with a target in latency"
    ):
        gauge_of(Target(latency_ms="60%"), lenet.costs(), None)


def test_latency_is_measured(lenet):
    result = IterativePruner(lenet, Target(latency_ms="95%"), "l1_std", per_round=8).run()
    assert result.gauge.whole > 0 and result.stopped in (None, "floor")
    if result.stopped is None:
        assert result.gauge.share <= 0.95


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
