"""The methods page quotes the records, and the records are of the tables as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sentei.workflow.reproduce import table

ROOT = Path(__file__).resolve().parents[2]
RECORDS = sorted((ROOT / "bench" / "results" / "methods").glob("t*.jsonl"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem)
def test_figures_on_the_page(path):
    head, *trials = [json.loads(x) for x in path.read_text().splitlines()]
    t = table(head["table"])
    page = (ROOT / "docs" / "methods" / "reproduce.md").read_text()
    assert path.name in page
    assert [r["arm"] for r in head["rows"]] == [a.name for a in t.arms]
    assert len(trials) == len(t.arms) * head["seeds"]
    for row, arm in zip(head["rows"], t.arms, strict=True):
        for cell in row["figures"]:
            assert cell["published"] == arm.published[cell["column"]].mean
        shown = [
            f"{c['mean']:.2f}" + (f" +- {c['deviation']:.2f}" if c["deviation"] is not None else "")
            for c in row["figures"]
        ]
        line = next(
            x for x in page.split(path.name)[1].split("\n") if x.startswith(f"| {arm.name} ")
        )
        assert all(s in line for s in shown), (line, shown)
