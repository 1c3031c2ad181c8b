"""The figures of docs/accuracy.md are those of the records."""

from __future__ import annotations

import importlib.util
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if not list((ROOT / "bench" / "results").glob("methods/*.jsonl")):
    pytest.skip("an sdist holds no records", allow_module_level=True)


@pytest.fixture(scope="module")
def accuracy():
    spec = importlib.util.spec_from_file_location("bench_accuracy", ROOT / "bench" / "accuracy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_equals_the_records(accuracy):
    text = accuracy.PAGE.read_text(encoding="utf-8")
    assert accuracy.page(text) == text, "run python bench/accuracy.py --write"


def test_every_table_that_was_run_is_there(accuracy):
    text = accuracy.PAGE.read_text(encoding="utf-8")
    runs = {
        r["table"] for r in accuracy.records("methods/*.jsonl") if r.get("command") == "reproduce"
    }
    assert runs and all(f"(`{name}`)" in text for name in runs)


def test_a_cell_is_what_the_trials_say(accuracy):
    runs = accuracy.records("methods/compare.jsonl")
    got = [100 * r["score"] for r in runs if r["arm"] == "fisher" and r["target"] == "10%"]
    assert len(got) == 3
    cell = f"{statistics.mean(got):.2f} ± {statistics.stdev(got):.2f}"
    row = next(x for x in accuracy.tables().splitlines() if x.startswith("| fisher |"))
    assert row.split("|")[3].strip() == cell
