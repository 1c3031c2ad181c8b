"""Operating points, rounds undone, what was lost, and a page for a sensitivity analysis."""

from __future__ import annotations

import pytest

from sentei.report import render_html, summary_text
from sentei.report.family import family_rows
from sentei.report.sensitivity import sensitivity_page, sensitivity_rows, sensitivity_words
from sentei.report.verdict import judge


def points(report):
    whole = report["flops"]["before"]
    timed = {"1": {"median": 0.4}, "100": {"median": 9.0}}
    return [
        {"target": "70%", "file": "points/flops-70pct.safetensors", "accuracy": 0.985,
         "flops": whole * 69 // 100, "params": 2_000_000, "memory": 800_000, "latency_ms": timed},
        {"target": "30%", "file": "pruned.safetensors", "accuracy": None, "flops": whole * 3 // 10,
         "params": 623_400, "memory": None, "latency_ms": None},
    ]  # fmt: skip


def test_the_family_is_a_table_and_a_curve(make_report):
    report = make_report()
    report["memory"] = {"before": 1_000_000, "after": 400_000}
    report["points"] = points(report)
    head, rows = family_rows(report)
    assert head == [
        "target",
        "accuracy",
        "FLOPs",
        "parameters",
        "memory",
        "ms, batch 1",
        "ms, batch 100",
        "file",
    ]
    assert [c.replace("\u00a0", " ") for c in rows[0][:5]] == [
        "70%",
        "98.50 %",
        "69.0 %",
        "61.1 %",
        "80.0 %",
    ]
    page, text = render_html(report), summary_text(report)
    assert "Operating points" in page and "chart-family" in page
    assert "points/flops-70pct.safetensors" in text and "Memory, batch 1" in text
    assert "Operating points" not in render_html(make_report())


def test_undone_rounds_are_shown(make_report):
    report = make_report()
    report["rollbacks"] = [
        {"layer": "conv<2>", "channel": 3, "members": [["conv<2>", 3], ["conv<2>", 4]],
         "before": 0.97, "after": 0.96, "drop": 1.0}
    ]  # fmt: skip
    page = render_html(report)
    assert "Rounds undone" in page and "conv&lt;2&gt;[3]" in page and "1.00" in page
    assert "Rounds undone" not in render_html(make_report())


@pytest.mark.parametrize(
    ("after", "kept", "tone", "words"),
    [
        (0.975, True, "good", "0.50 of 1 points lost on held-out training images"),
        (0.99, True, "good", "1.00 points gained on held-out training images (1 might be lost)"),
        (0.95, False, "bad", "3.00 of 1 points lost on held-out training images"),
    ],
)
def test_what_was_lost_is_in_the_verdict(make_report, after, kept, tone, words):
    report = make_report()
    report["guard"] = {"max_drop": 1, "images": 100, "before": 0.98, "after": after, "kept": kept}
    verdict = judge(report)
    assert words in verdict.sentence and verdict.tone == tone
    assert ("Too much accuracy lost" in verdict.words) == (not kept)


@pytest.mark.parametrize(("kind", "word"), [("memory", "memory"), ("latency_ms", "latency")])
def test_the_verdict_is_about_what_was_asked(make_report, kind, word):
    report = make_report()
    report["target"] = {
        "text": "x",
        "kind": kind,
        "remaining": 0.4,
        "reached": True,
        "before": 2.0,
        "after": 0.7,
    }
    assert f"Pruned to 35.0\u00a0% of its {word} (65.0\u00a0% removed)" in judge(report).sentence


def analysis(accuracy=True):
    def point(layer, share, value):
        return {"layers": [layer], "share": share, "removed": 1, "of": 8, "flops": 5,
                "accuracy": value if accuracy else None, "loss": 1 - value}  # fmt: skip

    return {
        "network": "net", "dataset": "data", "criterion": "robust", "images": 100,
        "whole": {"layers": [], "share": 0.0, "accuracy": 0.95 if accuracy else None, "loss": 0.05},
        "points": [
            point("a<1>", 0.3, 0.945), point("a<1>", 0.6, 0.5),
            point("b", 0.3, 0.94), point("b", 0.6, 0.95),
        ],
    }  # fmt: skip


def test_sensitivity_says_what_a_layer_bears():
    head, rows = sensitivity_rows(analysis())
    assert head == ["layer", "channels", "30 %", "60 %", "bears"]
    assert [r[-1] for r in rows] == ["30 %", "60 %"]
    assert sensitivity_words(analysis()) == "Most sensitive: a<1>; least: b."
    page = sensitivity_page(analysis())
    assert "a&lt;1&gt;" in page and "a<1>" not in page and "sensitivity-0" in page


def test_sensitivity_of_a_regression_is_told_in_loss():
    head, rows = sensitivity_rows(analysis(accuracy=False))
    assert head[-1] == "60 %" and rows[0][2:] == ["0.0550", "0.5000"]
    assert "Most sensitive: a<1>" in sensitivity_words(analysis(accuracy=False))
    assert "loss over the share" in sensitivity_page(analysis(accuracy=False))
