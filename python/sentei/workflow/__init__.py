"""What the commands do, as functions: train, prune, evaluate, demo, resume, profile, bench, examine."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Loaded when first used: `sentei doctor` must run where a part cannot be loaded.
_NAMES = {
    "Bench": "checks",
    "Config": "config",
    "ConfigError": "settings",
    "InterruptedRunError": "session",
    "Plan": "runs",
    "Profile": "checks",
    "RunDir": "run_dir",
    "RunDirError": "run_dir",
    "RunResult": "runs",
    "Watch": "watch",
    "bench": "checks",
    "demo": "demonstration",
    "evaluate": "checks",
    "examine": "doctor",
    "load_config": "settings",
    "measure": "latency",
    "plan": "runs",
    "profile": "checks",
    "prune": "runs",
    "resume": "runs",
    "start": "runs",
    "train": "runs",
}

__all__ = [
    "Bench",
    "Config",
    "ConfigError",
    "InterruptedRunError",
    "Plan",
    "Profile",
    "RunDir",
    "RunDirError",
    "RunResult",
    "Watch",
    "bench",
    "demo",
    "evaluate",
    "examine",
    "load_config",
    "measure",
    "plan",
    "profile",
    "prune",
    "resume",
    "start",
    "train",
]

if TYPE_CHECKING:
    from sentei.workflow.checks import Bench, Profile, bench, evaluate, profile
    from sentei.workflow.config import Config
    from sentei.workflow.demonstration import demo
    from sentei.workflow.doctor import examine
    from sentei.workflow.latency import measure
    from sentei.workflow.run_dir import RunDir, RunDirError
    from sentei.workflow.runs import Plan, RunResult, plan, prune, resume, start, train
    from sentei.workflow.session import InterruptedRunError
    from sentei.workflow.settings import ConfigError, load_config
    from sentei.workflow.watch import Watch


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"sentei.workflow.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'sentei.workflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_NAMES)
