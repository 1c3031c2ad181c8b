"""Help that teaches, and that comes quickly."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from command import sentei
from sentei.workflow.config import Config

COMMANDS = [
    "demo",
    "train",
    "search",
    "prune",
    "compare",
    "eval",
    "profile",
    "bench",
    "import",
    "resume",
    "doctor",
]
NESTED = [["data", "download"], *(["check", c] for c in ("gradients", "overfit", "units"))]


@pytest.mark.parametrize("words", [*([c] for c in COMMANDS), *NESTED])
def test_every_command_has_help_with_an_example(words):
    result = sentei(*words, "--help")
    assert result.code == 0
    text = " ".join(result.out.split())
    assert f"Example: sentei {' '.join(words)}" in text


def test_the_front_page_names_every_command():
    result = sentei("--help")
    assert result.code == 0
    for command in [*COMMANDS, "data", "check"]:
        assert re.search(rf"\b{command}\b", result.out)


def test_help_loads_neither_numpy_nor_kernels():
    code = (
        "import sys\nfrom sentei.cli import main\nassert main(['train', '--help']) == 0\n"
        "slow = {'numpy', 'sentei._core', 'sentei.workflow'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_python_m_sentei_is_the_command():
    words = [sys.executable, "-m", "sentei", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert re.fullmatch(r"sentei \d+\.\d+\.\d+\S*\n", done.stdout)


OPTIONS = {
    "train": {
        "--network": "model.network",
        "--epochs": "train.epochs",
        "--batch": "train.batch",
        "--lr": "train.lr",
        "--optimizer": "train.optimizer",
        "--momentum": "train.momentum",
        "--weight-decay": "train.weight_decay",
        "--schedule": "train.schedule.kind",
        "--seed": "run.seed",
        "--device": "run.device",
        "--precision": "train.precision",
    },
    "prune": {
        "--criterion": "prune.criterion",
        "--normalize": "prune.normalize",
        "--per-round": "prune.per_round",
        "--retrain-steps": "prune.retrain_steps",
        "--finetune-epochs": "prune.finetune_epochs",
        "--floor": "prune.floor",
        "--precision": "train.precision",
    },
}


@pytest.mark.parametrize(
    ("command", "option", "key"),
    [(c, o, k) for c, table in OPTIONS.items() for o, k in table.items()],
)
def test_help_shows_the_defaults_of_the_settings(command, option, key):
    value = Config()
    for name in key.split("."):
        value = getattr(value, name)
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    text = re.sub(r"[│\s]+", " ", sentei(command, "--help").out)
    after = text.rsplit(f" {option} ", 1)[1]  # the example may name it too
    assert re.search(r"\[default: \((.*?)\)\]", after).group(1) == shown
