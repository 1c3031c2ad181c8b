"""The methods page quotes the records, and the records are of the tables as they are."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from sentei.workflow.reproduce import table
from sentei.workflow.reproduce.report import judged
from sentei.workflow.reproduce.trial import Trial

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


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem)
def test_figures_are_of_the_trials(path):
    head, *trials = [json.loads(x) for x in path.read_text().splitlines()]
    for row in head["rows"]:
        for cell in row["figures"]:
            values = [t["values"][cell["column"]] for t in trials if t["arm"] == row["arm"]]
            assert cell["runs"] == len(values) == head["seeds"]
            assert cell["mean"] == pytest.approx(statistics.fmean(values), rel=1e-12)
            assert cell["deviation"] == pytest.approx(statistics.stdev(values), rel=1e-9)
            assert cell["difference"] == pytest.approx(cell["mean"] - cell["published"], abs=1e-9)


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem)
def test_orderings_are_of_the_trials(path):
    """As judged by the code as it is, in the record and on the page."""
    head, *trials = [json.loads(x) for x in path.read_text().splitlines()]
    assert head["test_images"] == 10_000  # MNIST has no more, and no fewer were asked for
    again = judged(table(head["table"]), [Trial(**t) for t in trials], head["test_images"])
    assert json.loads(json.dumps(again["orders"])) == head["orders"]
    page = (ROOT / "docs" / "methods" / "reproduce.md").read_text()
    part = page.split(path.name)[1].split("###")[0]
    for order in head["orders"]:
        assert f"- {order['words']}" in part.split("\n")
