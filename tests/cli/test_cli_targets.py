"""sentei prune with targets beyond FLOPs, several points, a teacher; sensitivity; bench."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from command import sentei
from interrupted import Stop, same
from sentei import io
from sentei.report import read_events
from sentei.workflow import InterruptedRunError, resume, start
from sentei.workflow.runs import plan, prune_config

GUARDED = {"prune.max_drop": 60.0, "prune.rollback": 2.0, "prune.flops": "60%", "prune.patience": 2}
POINTS = {"prune.flops": ["75%", "50%"], "prune.distill_alpha": 0.5, "prune.per_round": 1}
TAUGHT = ("--flops", "50%", "--distill", "0.5")
ALONE = {"prune.max_drop": 30.0, "prune.patience": 2, "prune.per_round": 8}


def made(trained, small, folder, flags):
    given = {"model.file": str(trained / "model.safetensors"), "run.run_dir": str(folder), **flags}
    return plan(prune_config(None, small[1::2], given), "prune")


@dataclass
class Whole:
    folder: Path
    flags: dict[str, object]


@pytest.fixture(scope="module", params=[GUARDED, POINTS, ALONE], ids=["guarded", "points", "alone"])
def whole(request, trained, small, tmp_path_factory) -> Whole:
    folder = tmp_path_factory.mktemp("whole") / "run"
    start(made(trained, small, folder, request.param))
    return Whole(folder, request.param)


@pytest.mark.parametrize(
    ("hook", "count"),
    [
        ("prune_step", 1),
        ("prune_step", 7),
        ("step of fine-tuning", 2),
        ("stage measuring", 1),
    ],
)  # fmt: skip
def test_stopped_and_resumed_is_never_stopped(hook, count, whole, trained, small, tmp_path):
    folder = tmp_path / "run"
    stop = Stop(hook, count)
    with pytest.raises(InterruptedRunError):
        start(made(trained, small, folder, whole.flags), stop)
    assert stop.left <= 0 and not (folder / "report.json").exists()
    resume(folder)
    same(whole.folder, folder)
    for file in (whole.folder / "points").glob("*"):
        a, b = io.load(file).arrays(), io.load(folder / "points" / file.name).arrays()
        assert all(np.array_equal(v, b[k]) for k, v in a.items()) and a.keys() == b.keys()
    left = [p.name for p in folder.rglob("*.safetensors")]
    assert not [n for n in left if n.startswith(("good-", "check")) or ".raw." in n]
    undone = [
        {str(e["members"]) for e in read_events(f / "events.jsonl") if e["event"] == "rollback"}
        for f in (whole.folder, folder)
    ]
    assert undone[0] == undone[1]


def prune(trained, small, folder, *words):
    model = trained / "model.safetensors"
    return sentei("prune", model, *words, *small, "--run-dir", folder, "--quiet", "--json")


def test_points_are_networks_of_their_own(trained, small, tmp_path):
    result = prune(trained, small, tmp_path / "run", "--flops", "75%,50%")
    report = result.json()
    assert result.code == 0, result.err
    shares = [p["flops"] / report["flops"]["before"] for p in report["points"]]
    assert [p["target"] for p in report["points"]] == ["75%", "50%"]
    assert shares[0] <= 0.75 and shares[1] <= 0.5 < shares[0]
    for p in report["points"]:
        assert p["latency_ms"]["1"]["median"] > 0 and 0 <= p["accuracy"] <= 1
        model = io.load(tmp_path / "run" / p["file"])
        assert model.costs().flops == p["flops"]
    first = tmp_path / "run" / report["points"][0]["file"]
    assert io.load(first).meta["prune"]["target"].startswith("75 % of FLOPs remain")
    judged = sentei("eval", first, "--json").json()
    assert judged["accuracy"]["before"] == pytest.approx(report["points"][0]["accuracy"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Operating points" in page and "chart-family" in page


def test_memory_and_rounding(trained, small, tmp_path):
    result = prune(trained, small, tmp_path / "run", "--memory", "60%", "--round-to", 4)
    report = result.json()
    assert result.code == 0, result.err
    t = report["target"]
    assert t["reached"] and t["kind"] == "memory" and t["after"] <= 0.6 * t["before"]
    assert report["memory"] == {"before": t["before"], "after": t["after"]}
    cut = [x for x in report["layers"] if x["after"] != x["before"] and x["op"] == "conv2d"]
    assert cut and all(x["after"] % 4 == 0 for x in cut)


def test_latency(trained, small, tmp_path):
    result = prune(
        trained, small, tmp_path / "run", "--latency", "97%", "--at-batch", 4, "--per-round", 12
    )
    report = result.json()
    assert report["target"]["kind"] == "latency_ms" and report["target"]["before"] > 0
    assert report["target"]["text"] == "97 % of latency at batch 4 remain (3 % removed)"
    assert result.code in (0, 1), result.err  # the clock decides
    if result.code == 0:
        assert report["target"]["reached"]


def test_a_guard_that_breaks_is_told():
    from sentei.workflow.reporting import failures

    target = {
        "text": "20 % of FLOPs remain",
        "kind": "flops",
        "reached": False,
        "stopped": "max_drop",
    }
    report = {"verified": True, "target": target}
    (missed,) = failures(report)
    assert missed.startswith(
        "the target was missed: 20 % of FLOPs remain (more would cost more accuracy"
    )
    report["guard"] = {"max_drop": 1.0, "before": 0.98, "after": 0.96, "kept": False}
    assert failures(report)[1] == (
        "accuracy fell by 2.00 points on held-out training images, more than prune.max_drop = 1"
    )
    alone = {**target, "kind": "max_drop", "stopped": None, "reached": True}
    assert failures({"verified": True, "target": alone}) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "exactly one of prune.flops, .* must be given .or prune.max_drop., got none"),
        (("--flops", "50%", "--memory", "50%"), "must be given .or prune.max_drop., got flops, memory"),
        (("--flops", "30%,50%"), "must fall, the largest network first, got 30% before 50%"),
        (("--max-drop", 1, "--method", "block"), "--max-drop must be left out with method block"),
        (("--flops", "50%", "--round-to", 8, "--method", "sigmoid"), "--round-to must be left out"),
        (("--flops", "50%,30%", "--method", "sigmoid"), "one target must be given with method sigmoid"),
        (("--flops", "50%", "--distill", "much"), "--distill must be a weight .* got 'much'"),
        (("--flops", "50%", "--distill", "2"), "prune.distill_alpha must be at most 1"),
        ((*TAUGHT, "--set", "train.loss=sigmoid"), "must be left out with the loss sigmoid"),
        ((*TAUGHT, "--retrain-steps", 0, "--finetune-epochs", 0), "where nothing is trained"),
        (("--memory", "1kB"), "the target must be reachable, but at most 1,000 bytes of memory"),
        (("--max-drop", 100), "prune.max_drop must be below 100"),
    ],
)  # fmt: skip
def test_what_contradicts_is_refused(words, message, trained, small, tmp_path):
    result = prune(trained, small, tmp_path / "run", *words)
    assert result.code in (1, 2) and re.search(message, result.err), result.err
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_both_shares(trained, small):
    words = ("--memory", "70%", "--max-drop", 2, "--dry-run")
    result = sentei("prune", trained / "model.safetensors", *words, *small)
    assert (
        "70 % of memory at batch 1 remain (30 % removed), at most 2 accuracy points" in result.out
    )
    assert "bytes of memory" in result.out and "can be reached" in result.out


# -- sensitivity -------------------------------------------------------------------------------
def analyse(trained, small, folder, *words):
    model = trained / "model.safetensors"
    return sentei("sensitivity", model, *small, "--run-dir", folder, *words)


def test_sensitivity(trained, small, tmp_path):
    result = analyse(trained, small, tmp_path / "run", "--shares", "25%,75%", "--json")
    assert result.code == 0, result.err
    report = result.json()
    names = [tuple(g) for g in report["layers"]]
    assert [(tuple(p["layers"]), p["share"]) for p in report["points"]] == [
        (g, s) for g in names for s in (0.25, 0.75)
    ]
    for p in report["points"]:
        assert p["removed"] == round(p["share"] * p["of"]) and 0 <= p["accuracy"] <= 1
        assert p["flops"] < report["whole"]["flops"]
    assert report["whole"]["removed"] == 0 and report["images"] == 40
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Layer by layer" in page and "held-out training images" in page
    text = analyse(trained, small, tmp_path / "again", "--shares", "25%,75%")
    assert "bears" in text.out and f"report    {tmp_path / 'again' / 'report.html'}" in text.out


def test_sensitivity_agrees_with_a_network_cut_by_hand(trained, small, tmp_path):
    from sentei import train
    from sentei.prune import pruning_map, remove, score_layers
    from sentei.workflow.datasets import images_for

    words = ("--shares", "50%", "--criterion", "l1_std", "--json")
    report = analyse(trained, small, tmp_path / "run", *words).json()
    model = io.load(trained / "model.safetensors")
    pruning, p = pruning_map(model.graph), report["points"][0]
    (layer,) = p["layers"]
    values = next(s.values for s in score_layers(model, pruning, "l1_std") if s.layer == layer)
    gone = set(np.argsort(values, kind="stable")[: p["removed"]].tolist())
    units = [u for u in pruning.units if u.first[0] == layer and u.first[1] in gone]
    cut, _ = remove(model, pruning, units)
    assert cut.costs().flops == p["flops"]
    config = prune_config(None, small[1::2], {"model.file": str(trained / "model.safetensors")})
    images = images_for(model.meta, config.data, config.run.seed)
    found = train.evaluate(cut, images.plain(images.val))
    assert found["accuracy"] == p["accuracy"] and found["loss"] == pytest.approx(p["loss"])


def test_sensitivity_stopped_and_gone_on_with(trained, small, tmp_path):
    from sentei.workflow.sensitivity import plan_sensitivity, resume_sensitivity, run_sensitivity

    flags = {"model.file": str(trained / "model.safetensors"), "run.run_dir": str(tmp_path / "run")}
    config = prune_config(None, small[1::2], flags)
    plan_ = plan_sensitivity(config, [0.5, 0.75])

    def stop(done, total, text):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        run_sensitivity(plan_, stop)
    assert not (tmp_path / "run" / "report.json").exists()
    result = sentei("resume", tmp_path / "run", "--quiet", "--json")
    assert result.code == 0, result.err
    whole = analyse(trained, small, tmp_path / "whole", "--shares", "50%,75%", "--json").json()
    assert result.json()["points"] == whole["points"]
    asked = [
        e for e in read_events(tmp_path / "run" / "events.jsonl") if e["event"] == "sensitivity"
    ]
    assert len(asked) == 1 + len(whole["points"]), "nothing was judged twice"
    again = sentei("resume", tmp_path / "run")
    assert again.code == 2 and "this one is finished" in again.err
    with pytest.raises(ValueError, match="must be of a sensitivity analysis"):
        resume_sensitivity(trained)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--shares", "0.5"), "--shares must be percentages between 0% and 100%, got '0.5'"),
        (("--shares", "100%"), "--shares must be percentages"),
        (("--ignore", "conv*"), "must have channels that can be pruned, got none"),
        (("--criterion", "luck"), "name must be one of"),
    ],
)
def test_sensitivity_refuses(words, message, trained, small, tmp_path):
    result = analyse(trained, small, tmp_path / "run", *words)
    assert result.code == 2 and message in result.err, result.err


# -- bench -------------------------------------------------------------------------------------
def test_the_verdict_of_bench():
    from sentei.run.timing import Ratio
    from sentei.workflow.checks import Bench

    def said(ratio, low, high):
        return Bench(("a", "b"), ({}, {}), (2, 1), {"1": Ratio(ratio, low, high, 50)})

    assert said(1.8, 1.7, 1.9).sentences == ["batch 1: b is 1.80x faster (1.70 to 1.90)"]
    slow = said(0.5, 0.4, 0.625)
    assert slow.sentences == ["batch 1: b is 2.00x SLOWER (1.60 to 2.50)"] and slow.slower
    assert said(1.01, 1.0, 1.02).sentences == ["batch 1: b is as fast, 1.01x (1.00 to 1.02)"]
    assert "cannot be told" in said(1.3, 0.8, 1.9).sentences[0]
    assert said(1.8, 1.7, 1.9).to_json()["second_versus_first"]["1"]["verdict"] == "faster"


def test_a_slower_network_is_told_loudly(trained, pruned):
    files = (pruned / "pruned.safetensors", pruned / "model.safetensors")
    result = sentei("bench", *files, "--batch", 100, "--seconds", 0.2)
    assert result.code == 0
    if "SLOWER" in result.out:
        assert "WARNING: the second network is slower" in result.err
    else:
        assert "WARNING" not in result.err
