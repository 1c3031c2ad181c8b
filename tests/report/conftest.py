"""A full report of a made-up run, small enough to read."""

from collections.abc import Callable
from typing import Any

import pytest

MAKE = Callable[..., dict[str, Any]]


def _make(**changes: Any) -> dict[str, Any]:
    macs = 12_300_000
    left = 3_677_700  # 29.9 %
    steps = [
        {
            "step": i + 1,
            "layer": ("conv1", "conv2", "fc1")[i % 3],
            "channel": i,
            "score": 10.0 ** (i - 6),
            "macs": macs - (i + 1) * (macs - left) // 5,
            "accuracy_before_retrain": None if i == 2 else 0.95 - 0.01 * i,
            "accuracy_after_retrain": 0.986 - 0.0005 * i,
            "seconds": 0.5,
        }
        for i in range(5)
    ]
    training = [
        {
            "epoch": e,
            "loss": 0.4 / e,
            "accuracy": 1 - 0.1 / e,
            "val_loss": 0.5 / e,
            "val_accuracy": 1 - 0.12 / e,
            "seconds": 3.0,
        }
        for e in (1, 2, 3)
    ]
    report: dict[str, Any] = {
        "title": "lenet5_prune on mnist",
        "command": "demo",
        "command_line": "sentei demo --seed 1",
        "created": "2026-11-20T22:40:00+00:00",
        "network": "lenet5_prune",
        "dataset": "mnist",
        "seed": 1,
        "versions": {"sentei": "0.1.0", "python": "3.11.7", "numpy": "2.4.6"},
        "machine": {"cpu": "Some CPU", "isa": "AVX-512", "threads": 2},
        "seconds": {"train": 26.1, "prune": 41.8, "verify": 0.4, "bench": 3.3, "total": 71.6},
        "accuracy": {"before": 0.986, "after": 0.984},
        "loss": {"before": 0.0467, "after": 0.0531},
        "macs": {"before": macs, "after": left},
        "flops": {"before": 2 * macs, "after": 2 * left},
        "params": {"before": 3_274_634, "after": 623_400},
        "file_bytes": {"before": 13_100_212, "after": 2_500_871},
        "latency_ms": {
            "before": {
                "1": {"median": 0.62, "p10": 0.6, "p90": 0.7},
                "100": {"median": 21.6, "p10": 21.0, "p90": 23.9},
            },
            "after": {
                "1": {"median": 0.31, "p10": 0.3, "p90": 0.34},
                "100": {"median": 9.0, "p10": 8.7, "p90": 9.6},
            },
        },
        "verified": True,
        "verify": {"max_abs_diff": 3.1e-6, "tolerance": 1e-4},
        "target": {"text": "flops=30%", "kind": "flops", "remaining": 0.3, "reached": True},
        "criterion": {"name": "robust", "normalize": "l1"},
        "layers": [
            {"name": "conv1", "op": "conv2d", "before": 32, "after": 14,
             "macs_before": 627_200, "macs_after": 274_400},
            {"name": "fc2", "op": "linear", "before": 10, "after": 10,
             "macs_before": 10_240, "macs_after": 4_100},
        ],
        "steps": steps,
        "scores": [
            {"layer": "conv1", "values": [0.1, 0.02, 0.3]},
            {"layer": "conv2", "values": [1e-5, 0.0, 0.004]},
        ],
        "training": training,
        "skipped": [{"layer": "fc2", "reason": "its units are the classes"}],
        "config": {"train": {"epochs": 3}},
    }  # fmt: skip
    return {**report, **changes}


@pytest.fixture(scope="session")
def make_report() -> MAKE:
    """Give a function that makes a full report with the parts named changed."""
    return _make


@pytest.fixture(scope="session")
def training_report() -> dict[str, Any]:
    """Give a report of training alone: nothing has an `after`."""
    report = _make(command="train", title="", verified=None)
    for key in ("target", "criterion", "steps", "scores", "skipped", "verify"):
        del report[key]
    for key in ("accuracy", "loss", "macs", "flops", "params", "file_bytes", "latency_ms"):
        report[key] = {"before": report[key]["before"]}
    report["accuracy"]["after"] = None
    report["layers"] = [
        {k: v for k, v in layer.items() if "after" not in k} for layer in report["layers"]
    ]
    return report
