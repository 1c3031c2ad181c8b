"""Targets beyond counts, widths in multiples, accuracy as a guard, rollback, operating points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networks import networks, random_images
from sentei.model import Model
from sentei.nn import models
from sentei.prune import (
    IterativePruner,
    Target,
    TargetUnreachableError,
    gauge_of,
    inference_bytes,
    preview,
)
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
