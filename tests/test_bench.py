"""The figures in the documentation are those of the records."""

from __future__ import annotations

import importlib.util
import json
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
        assert (
            r["date"]
            and r["precision"] == "float32"
            and r["milliseconds"]["sentei"]["samples"] >= 5
        )
        assert {"cpu", "isa", "threads", "commit", "dirty"} <= set(r["machine"])


def test_training_is_not_slower_than_pytorch():
    """What the project promises: the latest records of a training step, default layout."""
    latest = {}
    for folder, r in load_report().records("step"):
        latest[folder, r["network"], r["work"]] = r
    for (_, network, work), r in latest.items():
        if work == "train":
            assert r["ratios"]["torch_nchw"] >= 1.0, network
