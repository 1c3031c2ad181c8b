"""The benchmarks of CUDA devices run on the emulator: their own code, not its speed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sentei

ROOT = Path(__file__).resolve().parents[1]


def dry(script: str, *arguments: str) -> str:
    """What a script prints in a dry run."""
    if importlib.util.find_spec("sentei._cusim") is None:
        pytest.skip("the emulator is not built (SENTEI_CUSIM=ON builds it)")
    path = os.pathsep.join([str(Path(sentei.__file__).parents[1]), *sys.path])
    command = [sys.executable, str(ROOT / "bench" / "cuda" / script), "--dry", *arguments]
    got = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert got.returncode == 0, got.stdout + got.stderr
    return got.stdout


def test_every_op_is_measured():
    out = dry("bench_ops.py")
    assert "0 failed, 0 left out" in out
    for op in ("batch_norm_pool_backward+relu", "max_pool2d", "sgd_update_many", "semi_sync_layer"):
        assert f"\n{op} " in out
    for pass_ in ("forward", "backward_input", "backward_weight"):
        for precision in ("float32", "tf32", "bfloat16"):
            assert any(
                line.startswith(f"conv2d_{pass_} ") and precision in line
                for line in out.splitlines()
            )


def test_a_training_step_is_measured():
    out = dry("bench_step.py")
    assert "0 failed" in out and "sentei_bfloat16" in out


def test_soak_compares_runs():
    assert "soak: 0 complaints" in dry("soak.py")


def test_a_whole_program_is_timed():
    assert "goal 0.94" in dry("cifar94.py")
