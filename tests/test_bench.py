"""The figures in the documentation are those of the records."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECORDS = sorted((ROOT / "bench" / "results").glob("*/*.jsonl"))


def load_report():
    spec = importlib.util.spec_from_file_location("bench_report", ROOT / "bench" / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_performance_page_equals_the_records():
    report = load_report()
    text = report.PAGE.read_text()
    assert report.page(text) == text, "run python bench/report.py --write"
    assert "| `vgg13_like` | training step |" in text


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: str(p.relative_to(ROOT)))
def test_records_are_complete(path):
    for line in path.read_text().splitlines():
        r = json.loads(line)
        assert r["date"]
        assert {"cpu", "isa", "threads", "commit", "dirty"} <= set(r["machine"])
        if path.name.startswith("cuda_"):
            complete_on_cuda(r)
            continue
        assert r["precision"] == "float32" and r["milliseconds"]["sentei"]["samples"] >= 5


def complete_on_cuda(r):
    """Measured on a device, right, and each arm says what it computed with."""
    assert not r["device"]["dry"] and r["device"]["gpu"]
    if "microseconds" not in r:  # a whole program
        assert r["precision"] and r["goal"]
        return
    assert r["ceilings"]["copy"] > 0
    assert all(v["samples"] >= 5 for v in r["microseconds"].values())
    assert set(r["arms"]) == set(r["microseconds"])
    assert all({"precision", "layout"} <= set(a) for a in r["arms"].values())


US = {"median": 2.0, "p10": 1.9, "p90": 2.1, "min": 1.9, "samples": 11}
DEVICE = {"dry": False, "gpu": "a device", "driver": "13.0", "torch": "2.11.0"}
ON_CUDA = {
    "cuda_ops": {
        "op": "add",
        "case": "1x1x1x4",
        "precision": "float32",
        "share": 0.9,
        "share_of": "copy",
        "bytes": 1 << 30,
        "ratios": {"torch_nchw": 1.25},
        "microseconds": {"sentei": US, "torch_nchw": {**US, "median": 2.5}},
    },
    "cuda_step": {
        "network": "lenet5_prune",
        "batch": 100,
        "ratios": {"float32_vs_best_float32": 2.0, "best_vs_best": 1.5},
        "microseconds": {
            **{f"sentei_{p}": US for p in ("float32", "tf32", "bfloat16")},
            "torch_default": {**US, "median": 8.0},
            "torch_bf16_graph": {**US, "median": 3.0},
        },
    },
}


@pytest.fixture
def on_cuda(tmp_path):
    """Records of a device that is not there."""
    common = {"device": DEVICE, "ceilings": {"copy": 4.2e12, "tf32": 4e14}}
    (tmp_path / "a-device").mkdir()
    for name, r in ON_CUDA.items():
        (tmp_path / "a-device" / f"{name}.jsonl").write_text(json.dumps({**common, **r}) + "\n")
    return tmp_path


def test_tables_of_a_device(on_cuda, monkeypatch):
    report = load_report()
    monkeypatch.setattr(report, "RESULTS", on_cuda)
    text = report.cuda_tables()
    assert "`a-device`: a device, driver for CUDA 13.0, PyTorch 2.11.0" in text
    assert "copy 4.20 TB/s, tf32 400 TFLOP/s" in text
    assert "| `lenet5_prune` | 100 | 2 (2.00x) | 2 | 2 | 8 | 3 (bf16_graph) | 1.50x |" in text
    assert "| `add` | 1x1x1x4 | float32 | 2.0 | 90% of copy | nchw 1.25x |" in text


def test_goals_are_compared_with_the_records(on_cuda):
    script = ROOT / "bench" / "cuda" / "summary.py"
    command = [sys.executable, str(script), str(on_cuda / "a-device")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "| memory-bound ops, share of a copy | >= 0.85 | 0.90 / 0.90 / 0.90 | 1 of 1 |" in out
    assert (
        "| step lenet5_prune b100, best vs best PyTorch | >= 1.5 | 1.50 / 1.50 / 1.50 | 1 of 1 |"
        in out
    )
    assert "conv2d forward bfloat16, C and K >= 128, TFLOP/s | >= 400 | not measured |" in out


def test_training_is_not_slower_than_pytorch():
    """What the project promises: the latest records of a training step, default layout."""
    latest = {}
    for folder, r in load_report().records("step"):
        latest[folder, r["network"], r["work"]] = r
    for (_, network, work), r in latest.items():
        if work == "train":
            assert r["ratios"]["torch_nchw"] >= 1.0, network
