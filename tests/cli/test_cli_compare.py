"""sentei compare: one budget for all, the same results after a stop, and what it refuses."""

from __future__ import annotations

import csv
import json
import re
import statistics

import numpy as np
import pytest

from command import sentei
from sentei import io
from sentei.nn import models
from sentei.passes import costs
from sentei.prune import Target
from sentei.workflow.compare import plan_compare, resume_compare, run_compare, uniform_graph
from sentei.workflow.config import Prune
from sentei.workflow.session import InterruptedRunError
from sentei.workflow.settings import load_config

CRITERIA, TARGETS = ("robust", "l1_std"), ("60%", "30%")


def config_for(digits, folder, **more):
    pairs = [f'data.name="{digits}"', "data.split=[5, 1]", "train.batch=20", "train.epochs=1",
             "prune.per_round=24", "prune.retrain_steps=2", "prune.score_images=40",
             "prune.recalibrate_bn=2", "data.limit=120"]  # fmt: skip
    return load_config(None, pairs, {"run.run_dir": str(folder), "run.seed": 3, **more})


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory):
    """A comparison that nothing stopped."""
    folder = tmp_path_factory.mktemp("compare") / "whole"
    return run_compare(plan_compare(config_for(digits, folder), CRITERIA, TARGETS, 2))


def figures(result):
    return [
        {k: v for k, v in o.__dict__.items() if k not in ("seconds", "trust")}
        for o in result.outcomes
    ]


def test_every_network_has_one_budget(whole):
    made = whole.comparison
    assert len(whole.outcomes) == 2 * (1 + 2 * (2 * 2 + 1))
    assert all(o.state == "done" for o in whole.outcomes)
    assert {o.steps for o in whole.outcomes} == {made.first + made.after}
    assert made.first == 5
    assert made.after == made.rounds * 2 + 5
    for o in whole.outcomes:
        if o.target != "100%":
            share = o.flops / made.original.flops
            assert share <= int(o.target[:-1]) / 100


def test_from_scratch_has_the_widths_that_pruning_found(whole):
    by_key = {o.trial.key: o for o in whole.outcomes}
    for o in whole.outcomes:
        if o.kind == "scratch":
            twin = by_key[o.criterion, o.target, o.seed]
            assert o.widths == twin.widths
            assert o.score != twin.score or o.loss != twin.loss
    a, b = (by_key["robust", "30%", s].widths for s in (3, 4))
    assert a != b  # another network for every seed


def test_what_it_leaves(whole):
    folder = whole.run_dir
    lines = [json.loads(x) for x in (folder / "events.jsonl").read_text().splitlines()]
    assert [x["event"] for x in lines] == ["trial"] * len(whole.outcomes)
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    arms = ["robust", "l1_std", "uniform", "robust, from scratch", "l1_std, from scratch"]
    assert [r["arm"] for r in rows] == ["unpruned", *(a for a in arms for _ in TARGETS)]
    for row in rows:
        mine = [o.score for o in whole.outcomes
                if (o.trial.arm, o.target) == (row["arm"], row["target"])]  # fmt: skip
        assert float(row["mean"]) == pytest.approx(statistics.mean(mine))
        assert float(row["std"]) == pytest.approx(statistics.stdev(mine))
        assert row["n"] == "2"
    report = json.loads((folder / "report.json").read_text())
    assert report["command"] == "compare"
    assert len(report["results"]) == len(whole.outcomes)
    page = (folder / "report.html").read_text()
    assert page.count("<svg") == 1
    assert "l1_std, from scratch" in page
    for o in whole.outcomes:
        assert io.load(folder / "networks" / o.trial.file).costs().flops == o.flops


def test_stopped_and_gone_on_with_is_the_same(whole, digits, tmp_path):
    made = plan_compare(config_for(digits, tmp_path / "a"), CRITERIA, TARGETS, 1)
    calls = 0

    def interrupt(done, total, text):
        nonlocal calls
        calls += 1
        if done == 4 and "step" in text:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        run_compare(made, interrupt)
    assert calls
    begun = (tmp_path / "a" / "events.jsonl").read_text()
    assert begun.count('"event": "trial"') == 4
    (tmp_path / "a" / "events.jsonl").write_text(begun + '{"event": "tri')  # of a killed process
    again = resume_compare(tmp_path / "a", seeds=2)  # one seed more, too
    assert figures(again) == figures(whole)
    # a seed is whole before the next begins, so that the first keep their meaning
    assert [o.seed for o in again.outcomes] == sorted(o.seed for o in again.outcomes)


def test_a_given_file(trained, small, tmp_path):
    words = [trained / "model.safetensors", *small, "--criteria", "oracle", "--flops", "50%",
             "--seeds", 1, "--per-round", 24, "--run-dir", tmp_path / "c", "--quiet"]  # fmt: skip
    plan = sentei("compare", *words, "--dry-run")
    assert plan.code == 0, plan.err
    assert "the given file" in plan.out
    assert not (tmp_path / "c").exists()
    result = sentei("compare", *words)
    assert result.code == 0, result.err
    table = result.out.splitlines()
    assert [r.split("  ")[0] for r in table[1:4]] == ["oracle", "uniform", "oracle, from scratch"]
    assert "1 seed, mean" in result.out
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        resume_compare(tmp_path / "c", seeds=0)
    again = sentei("compare", "--resume", tmp_path / "c", "--json", "--seeds", 1)
    assert again.code == 0
    assert len(again.json()["results"]) == 4
    assert sentei("resume", tmp_path / "c", "--quiet").out == result.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--criteria", "robust,taylor"], 2, "compare: criteria must be one of .*got 'taylor'"),
        (["--criteria", "l1"], 2, r"did you mean 'l1_std'\?"),
        (["--criteria", "robust,robust"], 2, "must differ from one another, got 'robust' twice"),
        (["--criteria", ","], 2, "criteria must name at least one"),
        (["--flops", "0.3"], 2, "write '30%' for the share that remains"),
        (["--flops", "100%"], 2, "flops must remove something, got '100%'"),
        (["--flops", "50%,0.01%"], 1, "the target must be reachable, but 0.01 % of FLOPs remain"),
        (["--set", "prune.floor=30", "--flops", "20%"], 1, "the target must be reachable"),
        (["--baselines", "scratched"], 2, "baselines must be one of .*did you mean 'scratch'"),
        (["--seeds", "0"], 2, r"seeds must lie in \[1, 1000\], got 0"),
        (["--set", 'prune.method="block"'], 2, "prune.method must be score"),
        (["lenet5_pruned"], 2, r"did you mean 'lenet5_prune'\?"),
        (["no.safetensors"], 2, "there must be a file 'no.safetensors', got none"),
    ],
)
def test_refuses_before_any_work(digits, tmp_path, words, code, message):
    result = sentei("compare", *words, "--data", digits, "--run-dir", tmp_path / "r")
    assert result.code == code
    assert re.search(message, result.err), result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_a_failing_trial_is_told_and_the_rest_goes_on(digits, tmp_path):
    config = config_for(digits, tmp_path / "f", **{"prune.finetune_lr": 1e30})
    result = run_compare(plan_compare(config, ("l1_std",), ("50%",), 1, ("scratch",)))
    assert [o.state for o in result.outcomes] == ["failed", "failed"]
    assert "finite" in result.outcomes[0].error
    assert "no network" in result.outcomes[1].error
    assert not result.ok
    assert "failed" in (tmp_path / "f" / "report.html").read_text()


@pytest.mark.parametrize("share", [75, 50, 20])
@pytest.mark.parametrize("name", ["lenet5_prune", "resnet18_like"])
def test_uniform_widths(name, share):
    graph = models.graph(name)
    found = uniform_graph(graph, Target(flops=f"{share}%"), Prune())
    before, after = costs(graph), costs(found)
    assert share / 100 - 0.06 < after.flops / before.flops <= share / 100
    ratios = []
    for node in graph.nodes:
        if node.op.name == "conv2d":
            wide, thin = (
                g.values[str(g.node(node.name).input("w"))].spec.shape[0] for g in (graph, found)
            )
            ratios.append((thin - 0.5) / wide)
            ratios.append((thin + 0.5) / wide)
    low, high = max(ratios[::2]), min(ratios[1::2])
    assert low <= high + 1e-9  # one share that all widths are roundings of
    assert np.isfinite([low, high]).all()


def test_a_pruning_says_how_far_its_ranking_can_be_trusted(pruned):
    report = json.loads((pruned / "report.json").read_text())
    trust, steps = report["trust"], report["steps"]
    assert -1 <= trust["overall"] <= 1
    assert [x["layer"] for x in trust["layers"]] == ["conv1", "conv2"]
    assert trust["images"] == 20
    assert trust["sentence"].startswith(f"trust: {trust['overall']:.2f}, two halves of 20 images")
    events = (pruned / "events.jsonl").read_text()
    assert events.count('"event": "trust"') == 1
    # `robust` sums the maps anyway
    assert all(s["feature"] is not None and s["gradient_left"] is not None for s in steps)
    page = (pruned / "report.html").read_text()
    assert trust["sentence"][1:] in page
    assert f"{sum(s['layer'] == 'conv2' for s in steps)} of 64" in page


@pytest.mark.parametrize(
    ("more", "names"),
    [
        (["--dry-run"], "--dry-run"),
        (["lenet5_prune", "--seeds", 2], "MODEL"),
        (["--criteria", "norm", "--set", "train.lr=0.1", "-q"], "--criteria, --set"),
        (["--seed", 3, "--device", "cpu"], "--seed, --device"),
    ],
)
def test_resume_stands_alone(whole, more, names):
    before = (whole.run_dir / "run.json").read_bytes()
    result = sentei("compare", "--resume", whole.run_dir, *more)
    allowed = "--seeds, --json, --quiet"
    said = f"sentei: compare: with --resume only {allowed} may be given, got {names}\n"
    assert (result.code, result.err, result.out) == (2, said, "")
    assert (whole.run_dir / "run.json").read_bytes() == before
