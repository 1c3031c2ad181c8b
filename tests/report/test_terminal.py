"""The terminal says what the page says, and names cannot steer it."""

from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sentei.report import judge, summary_table, summary_text
from sentei.report.verdict import figures


def shown(report, width=100, colour=False):
    out = StringIO()
    kind = "truecolor" if colour else None
    Console(
        file=out, width=width, force_terminal=colour, no_color=not colour, color_system=kind
    ).print(summary_table(report))
    return out.getvalue().replace("\xa0", " ")


def test_table_and_text_hold_every_figure(make_report):
    report = make_report()
    table, text = shown(report), summary_text(report)
    for figure in figures(report):
        for cell in (figure.label, figure.before, figure.after or ""):
            assert cell.replace("\xa0", " ") in table
            assert cell.replace("\xa0", " ") in text
    assert "29.9 %   70.1 %" in table and "29.9 %   70.1 %" in text
    assert "verified." in table and "not pruned: fc2; 1 min 12 s in all; seed 1" in table


def test_text_is_ascii_with_aligned_columns(make_report):
    text = summary_text(make_report())
    assert text.isascii() and text.endswith("\n")
    lines = text.splitlines()
    assert lines[1] == "ok: Target reached, verified"
    assert lines[2] == (
        "Pruned to 29.9 % of its FLOPs (70.1 % removed): 2.40x faster at batch 100, "
        "accuracy 98.6 % -> 98.4 %, verified."
    )
    head = next(line for line in lines if "remaining" in line)
    row = next(line for line in lines if line.startswith("MACs"))
    assert len(head) == len(row)
    assert row.split() == [
        "MACs",
        "12.3",
        "M",
        "3.68",
        "M",
        "3.34x",
        "fewer",
        "29.9",
        "%",
        "70.1",
        "%",
    ]


def test_failures_are_named_in_words(make_report):
    text = summary_text(make_report(verified=False))
    assert "FAILED: Not verified" in text
    text = summary_text(make_report(accuracy={"before": 0.99, "after": 0.95}))
    assert "warning: Accuracy fell" in text


def test_failures_are_coloured(make_report):
    assert "\x1b[1;31m" in shown(make_report(verified=False), colour=True)
    assert "\x1b[1;31m" not in shown(make_report(), colour=True)


def test_training_only(training_report):
    text = summary_text(training_report)
    assert "before" not in text and "removed" not in text
    assert "Accuracy" + " " * 13 + "98.60 %" in text
    assert "Trained: accuracy 98.60 %" in shown(training_report)


@pytest.mark.parametrize("name", ["[bold]x[/bold]", "[/red]", "\x1b[2J", "a\nb\rc", "\ud800"])
def test_names_cannot_steer_the_terminal(make_report, name):
    report = make_report(title=name, skipped=[{"layer": name, "reason": name}])
    for said in (shown(report), summary_text(report)):
        assert "\x1b" not in said and "\r" not in said
        assert "a\nb" not in said
        if name.startswith("[b"):
            assert name in said


def test_empty_report():
    assert "accuracy not measured" in summary_text({})
    assert "accuracy not measured" in shown({})


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(
    st.sampled_from(["accuracy", "macs", "params", "loss"]),
    st.fixed_dictionaries({"before": st.floats(), "after": st.floats() | st.none()}),
))  # fmt: skip
def test_any_numbers(report):
    assert judge(report).words in shown(report, width=400)
    assert summary_text(report).isascii()
