"""Regression on the command line: training, pruning, evaluation, and the plots of the report."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from command import sentei


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    """Images 12 x 12; the targets are the place of a bright square."""
    rng = np.random.default_rng(7)
    places = rng.integers(0, 9, (300, 2))
    images = rng.integers(0, 40, (300, 12, 12, 1))
    for image, (r, c) in zip(images, places, strict=True):
        image[r : r + 4, c : c + 4] += 180
    labels = (places / 8).astype(np.float32)
    path = tmp_path_factory.mktemp("data") / "places.npz"
    np.savez(
        path,
        train_images=images[:240].astype(np.uint8),
        train_labels=labels[:240],
        test_images=images[240:].astype(np.uint8),
        test_labels=labels[240:],
    )
    return path


def words(targets):
    pairs = {
        "data.name": f'"{targets}"',
        "data.split": "[5, 1]",
        "train.batch": 20,
        "train.epochs": 8,
        "train.lr": 0.003,
        "train.optimizer": "adam",
        "train.loss": "squared",
        "train.best_weights": "true",
        "prune.per_round": 8,
        "prune.score_images": 40,
        "prune.recalibrate_bn": 2,
        "run.latency_seconds": 0,
    }
    return [w for k, v in pairs.items() for w in ("--set", f"{k}={v}")]


def test_from_training_to_a_pruned_network(targets, tmp_path):
    result = sentei("train", *words(targets), "--run-dir", tmp_path / "t")
    assert result.code == 0, result.err
    assert "validation rmse" in result.err and "accuracy 0" not in result.err
    report = json.loads((tmp_path / "t" / "report.json").read_text())
    fit = report["regression"]["before"]
    assert fit["r2"] > 0.8 and len(fit["points"]) == 120
    assert abs(fit["rmse"] - np.sqrt(np.mean(np.diff(fit["points"], axis=1) ** 2))) < 1e-6
    assert "Observed and predicted" in (tmp_path / "t" / "report.html").read_text()
    assert "val_r2" in (tmp_path / "t" / "metrics.csv").read_text()
    assert re.search(r"Trained: R\S* 0\.", result.out) and "not measured" not in result.out
    model = tmp_path / "t" / "model.safetensors"
    seen = sentei("eval", model, "--json").json()
    assert seen["regression"]["before"]["rmse"] == pytest.approx(fit["rmse"])
    assert float(sentei("eval", model, "--quiet").out) == seen["loss"]["before"]
    pruned = sentei("prune", model, "--flops", "60%", *words(targets), "--run-dir", tmp_path / "p")
    assert pruned.code == 0, pruned.err
    assert re.search(r"R\S* 0\.\d+", pruned.out) and "accuracy not" not in pruned.out
    report = json.loads((tmp_path / "p" / "report.json").read_text())
    assert report["regression"]["after"]["r2"] > 0.5 and report["verified"]


def test_the_loss_must_fit_the_data(targets, digits, tmp_path):
    folder = ["--run-dir", tmp_path / "t"]
    result = sentei("train", "--data", targets, *folder)
    assert result.code == 2 and "loss must be squared, huber, quantile or eps_insens" in result.err
    result = sentei("train", "--data", digits, "--set", "train.loss=huber", *folder)
    assert result.code == 2 and "loss must be softmax or sigmoid" in result.err
    for loss, value, message in (
        ("softmax", 1, "loss_parameter must be left out with softmax, got 1"),
        ("quantile", 1.5, r"Quantile: tau must be in (0, 1), got 1.5"),
    ):
        pairs = ["--set", f"train.loss={loss}", "--set", f"train.loss_parameter={value}"]
        result = sentei("train", "--data", digits, *pairs, *folder)
        assert result.code == 2 and message in result.err
    assert not (tmp_path / "t").exists()


def test_lbfgs_on_the_whole_set(digits, tmp_path):
    pairs = ["data.split=[5, 1]", "train.lbfgs.memory=4", "train.lbfgs.chunk=64"]
    more = [w for p in pairs for w in ("--set", p)]
    result = sentei(
        "train", "--data", digits, "--optimizer", "lbfgs", "--batch", 200, "--epochs", 6,
        *more, "--set", "run.latency_seconds=0", "--run-dir", tmp_path / "t", "--json",
    )  # fmt: skip
    assert result.code == 0, result.err
    report = result.json()
    assert report["accuracy"]["before"] > 0.9
    matrix = np.array(report["confusion"]["before"])
    assert matrix.shape == (4, 4) and matrix.sum() == 60
    assert np.trace(matrix) / 60 == report["accuracy"]["before"]


def test_a_search_is_judged_by_the_loss(targets, tmp_path):
    pytest.importorskip("optuna")
    pairs = [*words(targets), "--set", "data.limit=60"]
    more = ["--param", "train.lr=0.003,0.01", "--epochs", 1, "--run-dir", tmp_path / "s"]
    for metric in ("val_accuracy", "accuracy"):
        result = sentei("search", *pairs, *more, "--metric", metric)
        said = f"search: metric must be val_loss or loss for a regression, got '{metric}'"
        assert (result.code, result.err) == (2, f"sentei: {said}\n")
        assert not (tmp_path / "s").exists()
    result = sentei("search", *pairs, *more, "--method", "grid", "--json")
    assert result.code == 0, result.err
    scores = [t["score"] for t in result.json()["results"]]
    assert result.json()["metric"] == "val_loss"
    assert result.json()["best"]["score"] == min(scores) and len(set(scores)) == 2


def test_only_metrics_of_a_search_are_offered(targets, tmp_path):
    from sentei.errors import DataError
    from sentei.workflow.run_dir import RunDir
    from sentei.workflow.search.trial import score_of

    folder = tmp_path / "t"
    result = sentei("train", *words(targets), "--epochs", 1, "--run-dir", folder, "-q")
    assert result.code == 0, result.err
    with pytest.raises(DataError, match=r"one of \['val_loss', 'loss'\], got 'val_accuracy'"):
        score_of(RunDir(folder), "val_accuracy")
