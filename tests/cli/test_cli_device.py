"""Whole runs on a device by the command line, and files that do not know where they were made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import sentei
from sentei import io

pytestmark = pytest.mark.devices


def test_train_prune_evaluate_and_bench(device, small: list[str], tmp_path: Path):
    less = {
        "data.limit": 24, "train.batch": 4, "prune.score_images": 8, "prune.retrain_steps": 1,
        "prune.recalibrate_bn": 1, "prune.evaluate_every": 100, "run.batches": "[1]",
    }  # fmt: skip
    settings = [w for k, v in less.items() for w in ("--set", f"{k}={v}")]
    few = [*small, *settings, "--device", device, "--quiet"]
    result = sentei("train", *few, "--set", "train.epochs=1", "--run-dir", tmp_path / "t")
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "t" / "report.json").read_text())
    assert report["machine"]["device"].startswith(device)
    model = tmp_path / "t" / "model.safetensors"
    assert io.load(model).device == "cpu"
    pruning = ["--flops", "80%", "--per-round", 20, "--finetune-epochs", 1]
    result = sentei("prune", model, *pruning, *few, "--run-dir", tmp_path / "p")
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "p" / "report.json").read_text())
    assert (
        report["verified"] is True and report["flops"]["after"] <= 0.8 * report["flops"]["before"]
    )
    pruned = tmp_path / "p" / "pruned.safetensors"
    found = sentei("eval", pruned, "--device", device, "--json", "--set", "data.limit=8")
    assert found.code == 0, found.err
    there = found.json()["loss"]["before"]
    here = sentei("eval", pruned, "--device", "cpu", "--json", "--set", "data.limit=8").json()
    assert abs(there - here["loss"]["before"]) < 1e-4 * max(1.0, abs(there))
    words = ["bench", pruned, "--batch", 2, "--seconds", 0.01, "--device", device, "--json"]
    assert sentei(*words).json()["models"][0]["latency_ms"]["2"]["median"] > 0
