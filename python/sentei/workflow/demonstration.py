"""The demonstration: train, prune, verify, time and report in about a minute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sentei.workflow.config import Config
from sentei.workflow.runs import Plan, RunResult, plan, start
from sentei.workflow.settings import load_config
from sentei.workflow.watch import Watch

__all__ = ["DEMO", "QUICK", "demo", "demo_plan"]

DEMO: dict[str, Any] = {
    "model": {"network": "lenet5_prune"},
    "data": {"name": "mnist-mini", "split": [9, 1]},
    "train": {
        "epochs": 5,
        "batch": 100,
        "lr": 0.01,
        "momentum": 0.9,
        "schedule": {"kind": "cosine", "per": "step", "floor": 0.02},
    },
    "prune": {
        "flops": "30%",
        "criterion": "robust",
        "normalize": 1.0,
        "retrain_steps": 8,
        "lr": 0.01,
        "finetune_epochs": 1,
        "finetune_lr": 0.01,
        "recalibrate_bn": 20,
        "score_images": 500,
        "checkpoint_every": 20,
        "evaluate_every": 10,
    },
    "run": {"latency_seconds": 1.5},
}
# The same path with hardly any work, for tests and a first look.
QUICK: dict[str, Any] = {
    "data": {"limit": 600},
    "train": {"epochs": 1},
    "prune": {"flops": "60%", "per_round": 8, "retrain_steps": 1, "score_images": 100},
    "run": {"latency_seconds": 0.05},
}


def demo_plan(
    *,
    quick: bool = False,
    file: str | None = None,
    pairs: tuple[str, ...] = (),
    flags: Mapping[str, Any] | None = None,
) -> Plan:
    """Check the demonstration; arguments as settings.load_config."""
    return plan(demo_config(quick=quick, file=file, pairs=pairs, flags=flags), "demo")


def demo_config(
    *,
    quick: bool = False,
    file: str | None = None,
    pairs: tuple[str, ...] = (),
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """Settings of the demonstration."""
    from copy import deepcopy

    from sentei.workflow.settings import merge

    base = deepcopy(DEMO)
    if quick:
        merge(base, QUICK)
    return load_config(file, pairs, flags, base)


def demo(
    *,
    seed: int = 0,
    quick: bool = False,
    run_dir: str | None = None,
    watch: Watch | None = None,
) -> RunResult:
    """Train lenet5_prune on the embedded digits, prune it to 30 % of its FLOPs, verify, time, report.

    Args:
        seed: the same seed gives the same networks. quick: hardly any work. run_dir: new folder.
    """
    flags = {"run.seed": seed, "run.run_dir": run_dir}
    return start(demo_plan(quick=quick, flags=flags), watch, "sentei demo")
