"""A tiny data set, and runs that are made once for all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from command import sentei


def small_settings(data: Path) -> list[str]:
    """Settings of a run that takes a second."""
    pairs = {
        "data.name": f'"{data}"',
        "data.split": "[5, 1]",
        "train.batch": 20,
        "train.epochs": 2,
        "train.lr": 0.02,
        "prune.per_round": 3,
        "prune.retrain_steps": 2,
        "prune.score_images": 40,
        "prune.checkpoint_every": 2,
        "prune.evaluate_every": 4,
        "prune.recalibrate_bn": 2,
        "run.latency_seconds": 0.01,
        "run.batches": "[1, 4]",
    }
    return [w for k, v in pairs.items() for w in ("--set", f"{k}={v}")]


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 training and 60 test images of 12 x 12 in 4 classes that a small network can tell apart."""
    rng = np.random.default_rng(5)
    labels = np.arange(300) % 4
    images = rng.integers(0, 60, (300, 12, 12, 1))
    for i, k in enumerate(labels):
        rows, cols = divmod(int(k), 2)
        images[i, 6 * rows : 6 * rows + 6, 6 * cols : 6 * cols + 6] += 90
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(
        path,
        train_images=images[:240].astype(np.uint8),
        train_labels=labels[:240].astype(np.int64),
        test_images=images[240:].astype(np.uint8),
        test_labels=labels[240:].astype(np.int64),
    )
    return path


@pytest.fixture(scope="session")
def small(digits: Path) -> list[str]:
    return small_settings(digits)


@pytest.fixture(scope="session")
def trained(small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished training run."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    result = sentei("train", *small, "--run-dir", folder, "--quiet")
    assert result.code == 0, result.err
    return folder


@pytest.fixture(scope="session")
def pruned(trained: Path, small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished pruning run."""
    folder = tmp_path_factory.mktemp("runs") / "pruned"
    model = trained / "model.safetensors"
    result = sentei("prune", model, "--flops", "50%", *small, "--run-dir", folder, "--quiet")
    assert result.code == 0, result.err
    return folder
