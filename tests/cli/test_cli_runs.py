"""train, prune, eval, profile, bench: what they print, what they write, how they end."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from command import sentei
from sentei import io
from sentei.report import read_events

BEFORE_AFTER = ("accuracy", "macs", "flops", "params", "latency_ms", "loss", "file_bytes")


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_training_writes_its_folder(trained):
    names = {p.name for p in trained.iterdir() if p.is_file()}
    assert names == {
        "config.resolved.toml",
        "run.json",
        "events.jsonl",
        "metrics.csv",
        "report.json",
        "report.html",
        "model.safetensors",
    }
    report = report_of(trained)
    assert report["command"] == "train" and len(report["training"]) == 2
    assert report["accuracy"]["before"] > 0.9 and report["accuracy"]["after"] is None
    with (trained / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["epoch"] for r in rows] == ["1", "2"]
    model = io.load(trained / "model.safetensors")
    assert model.meta["data"]["classes"] == ["0", "1", "2", "3"]
    assert model.meta["data"]["standardize"]["mean"]


def test_pruning_reports_everything(pruned, trained):
    report = report_of(pruned)
    for key in BEFORE_AFTER:
        assert report[key]["before"] is not None, key
        assert report[key]["after"] is not None, key
    for side in ("before", "after"):
        assert set(report["latency_ms"][side]) == {"1", "4"}
        assert report["latency_ms"][side]["4"]["median"] > 0
    assert report["verified"] is True
    assert report["target"]["reached"] is True and report["target"]["remaining"] == 0.5
    assert report["flops"]["after"] <= 0.5 * report["flops"]["before"]
    assert report["flops"]["after"] == 2 * report["macs"]["after"]
    assert report["seed"] == 0 and report["seconds"]["total"] > 0
    assert {"sentei", "python", "numpy", "safetensors"} <= set(report["versions"])
    assert report["steps"] and report["layers"] and report["skipped"]
    assert (pruned / "report.html").stat().st_size > 1000


def test_the_pruned_file_is_what_the_report_says(pruned):
    report = report_of(pruned)
    before, after = (io.load(pruned / f"{n}.safetensors") for n in ("model", "pruned"))
    assert after.costs().flops == report["flops"]["after"]
    assert after.costs().params == report["params"]["after"]
    assert before.costs().flops == report["flops"]["before"]
    assert len(after.meta["history"]) == len(report["steps"])
    assert after.meta["prune"]["flops"] == "50%"


def test_pruning_leaves_its_input_alone(pruned, trained):
    a, b = (io.load(d / "model.safetensors") for d in (pruned, trained))
    for name, t in a.tensors.items():
        assert np.array_equal(t.numpy(), b.tensors[name].numpy())


def test_events_tell_the_whole_run(pruned):
    events = read_events(pruned / "events.jsonl")
    kinds = [e["event"] for e in events]
    assert kinds[0] == "session" and kinds[-1] == "finished"
    steps = [e["step"] for e in events if e["event"] == "prune_step"]
    assert steps == list(range(1, len(steps) + 1))
    assert [e["phase"] for e in events if e["event"] == "epoch"] == ["finetune"]


def test_a_pruned_network_can_be_pruned_again(pruned, small, tmp_path):
    again = tmp_path / "again"
    result = sentei(
        "prune",
        pruned / "pruned.safetensors",
        "--flops",
        "80%",
        *small,
        "--run-dir",
        again,
        "--json",
    )
    assert result.code == 0, result.err
    model = io.load(again / "pruned.safetensors")
    assert len(model.meta["earlier"]) == 1
    assert len(model.meta["history"]) == len(result.json()["steps"])


def test_eval_takes_the_data_from_the_file(pruned):
    result = sentei("eval", pruned / "pruned.safetensors", "--json")
    assert result.code == 0, result.err
    found = result.json()
    assert found["accuracy"]["before"] == report_of(pruned)["accuracy"]["after"]
    assert found["images"] == 60
    text = sentei("eval", pruned / "pruned.safetensors")
    assert text.code == 0 and "Evaluated: accuracy" in text.out


def test_eval_cuts_the_data_as_training_did(small, tmp_path):
    """With another seed, training images would be among the test images."""
    words = ["--set", "data.split=[4, 1, 1]", "--seed", 3, "--run-dir", tmp_path / "t"]
    result = sentei("train", *small, *words, "--quiet")
    assert result.code == 0, result.err
    found = sentei("eval", tmp_path / "t" / "model.safetensors", "--json").json()
    assert found["seed"] == 3 and found["images"] == 50
    assert found["loss"]["before"] == report_of(tmp_path / "t")["loss"]["before"]
    again = sentei("eval", tmp_path / "t" / "model.safetensors", "--seed", 4, "--json").json()
    assert again["loss"] == found["loss"], "a seed that is given does not cut anew"


def test_the_scaling_of_the_images_is_never_guessed(trained, digits, tmp_path):
    model = io.load(trained / "model.safetensors")
    model.meta = {}
    io.save(model, tmp_path / "bare.safetensors")
    words = ["eval", tmp_path / "bare.safetensors", "--data", digits]
    result = sentei(*words)
    assert result.code == 2 and "the file must say how its images were scaled" in result.err
    given = sentei(*words, "--set", "data.standardize=fit", "--json")
    assert given.code == 0, given.err


def test_eval_writes_a_report_on_request(trained, tmp_path):
    result = sentei("eval", trained / "model.safetensors", "--run-dir", tmp_path / "e")
    assert result.code == 0, result.err
    assert report_of(tmp_path / "e")["command"] == "eval"


def test_profile_of_a_name_and_of_a_file(pruned):
    named = sentei("profile", "lenet5_prune", "--flops", "30%")
    assert named.code == 0 and "can be reached" in named.out and "MACs" in named.out
    found = sentei("profile", pruned / "pruned.safetensors", "--json", "--batch", "3").json()
    assert found["flops"] == report_of(pruned)["flops"]["after"]
    assert set(found["arena_bytes"]) == {"3"} and found["arena_bytes"]["3"] > 0
    assert sum(n["macs"] for n in found["nodes"]) == found["macs"]


def test_bench_compares_two(pruned):
    files = [pruned / "model.safetensors", pruned / "pruned.safetensors"]
    result = sentei("bench", *files, "--batch", 2, "--seconds", 0.02, "--json")
    assert result.code == 0, result.err
    found = result.json()
    assert len(found["models"]) == 2
    assert found["second_versus_first"]["2"]["verdict"] in ("faster", "slower", "same", "unclear")
    t = found["models"][0]["latency_ms"]["2"]
    assert 0 < t["p10"] <= t["median"] <= t["p90"]
    text = sentei("bench", *files, "--batch", 2, "--seconds", 0.02)
    assert text.code == 0 and "batch 2: " in text.out


def test_the_same_seed_gives_the_same_bits(trained, small, tmp_path, threads):
    result = sentei("train", *small, "--run-dir", tmp_path / "again", "--quiet", "--threads", 1)
    assert result.code == 0
    a, b = (io.load(d / "model.safetensors").arrays() for d in (trained, tmp_path / "again"))
    assert all(np.array_equal(a[k], b[k]) for k in a)


def test_dry_run_touches_nothing(trained, small, tmp_path):
    folder = tmp_path / "dry"
    model = trained / "model.safetensors"
    result = sentei("prune", model, "--flops", "40%", *small, "--run-dir", folder, "--dry-run")
    assert result.code == 0, result.err
    assert "40 % of FLOPs remain (60 % removed): can be reached" in result.out
    assert "nothing was written" in result.out
    assert not folder.exists()
    found = sentei("prune", model, "--params", "40%", *small, "--dry-run", "--json").json()
    assert found["prune"]["reachable"] is True and found["command"] == "prune"


def test_json_is_all_that_stands_on_stdout(digits, small, tmp_path):
    result = sentei("demo", "--quick", *small, "--run-dir", tmp_path / "d", "--json")
    assert result.code == 0, result.err
    found = result.json()
    assert found["command"] == "demo" and found["verified"] is True
    assert found["run_dir"] == str(tmp_path / "d")


def test_demo_says_what_to_type_next(digits, small, tmp_path):
    result = sentei("demo", "--quick", *small, "--run-dir", tmp_path / "d")
    assert result.code == 0, result.err
    assert "sentei bench" in result.out and "Pruned to" in result.out
    assert "training lenet5_prune" in result.err and "pruning by robust" in result.err


@pytest.mark.parametrize("option", [["--semi-sync"], ["--optimizer", "adam", "--lr", "0.002"]])
def test_other_optimizers(small, tmp_path, option):
    words = [*small, *option, "--epochs", 1, "--run-dir", tmp_path / "o", "--quiet"]
    result = sentei("train", *words)
    assert result.code == 0, result.err


def test_early_stopping_and_best_weights(small, tmp_path):
    words = [*small, "--epochs", 9, "--patience", 1, "--set", "train.best_weights=true"]
    result = sentei("train", *words, "--run-dir", tmp_path / "o", "--json")
    assert result.code == 0, result.err
    assert len(result.json()["training"]) < 9


@pytest.mark.parametrize(
    "options",
    [
        ["--criterion", "l1_std", "--retrain-steps", 0, "--finetune-epochs", 0],
        ["--criterion", "trace", "--normalize", 0.5, "--ignore", "conv1"],
        ["--set", "prune.include=['conv2d', 'linear']", "--floor", 3],
    ],
)
def test_ways_of_pruning(options, trained, small, tmp_path):
    words = [trained / "model.safetensors", "--params", "70%", *small, *options]
    result = sentei("prune", *words, "--run-dir", tmp_path / "o", "--json")
    assert result.code == 0, result.err
    report = result.json()
    assert report["params"]["after"] <= 0.7 * report["params"]["before"]
    assert report["target"]["kind"] == "params" and report["verified"] is True
    layers = {r["name"]: r for r in report["layers"]}
    if "--ignore" in options:
        assert layers["conv1"]["after"] == layers["conv1"]["before"]
        assert {"layer": "conv1", "reason": "ignored on request"} in report["skipped"]
    if "--floor" in options:
        assert min(r["after"] for r in report["layers"]) >= 3
        assert layers["fc1"]["after"] < layers["fc1"]["before"]


def test_nothing_to_remove_is_said(trained, small, tmp_path):
    words = [trained / "model.safetensors", "--flops", "100%", *small]
    result = sentei("prune", *words, "--run-dir", tmp_path / "o")
    assert "Nothing was removed" in result.out
    assert result.code == 1 and "the target is met already" in result.err
