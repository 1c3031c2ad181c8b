"""The drawings of what pruning removed."""

from __future__ import annotations

import re

from sentei.report.analysis import analysis_section, ratio_chart, removed_chart
from sentei.report.rows import StepRow, step_rows


def step(k, layer, macs, params, members=None, **more):
    return {"step": k, "layer": layer, "channel": 0, "macs": macs, "params": params,
            "members": members or [[layer, 0]], **more}  # fmt: skip


REPORT = {
    "macs": {"before": 100.0, "after": 40.0},
    "params": {"before": 50.0, "after": 30.0},
    "layers": [
        {"name": "conv1", "op": "conv2d", "before": 4},
        {"name": "conv2", "op": "conv2d", "before": 8},
        {"name": "fc1", "op": "linear", "before": 10},
    ],
    "steps": [
        step(1, "conv1", 80, 45, feature=1.0, feature_left=2.0, gradient=0.3, gradient_left=0.1),
        step(2, "conv2", 60, 40, feature=9.0, feature_left=2.0, gradient=0.0, gradient_left=0.0),
        step(3, "conv1", 40, 30, [["conv1", 2], ["conv2", 3]]),
    ],
}


def test_counts_every_channel_that_went():
    svg = removed_chart(REPORT, "macs")
    assert "2 of 4" in svg
    assert "2 of 8" in svg
    assert "fc1" not in svg
    assert "4 filters of 2 layers; the largest share went from conv1." in svg
    assert removed_chart(REPORT, "params").count('class="area"') == svg.count('class="area"') == 2
    assert removed_chart(REPORT, "macs") == svg


def test_ratios_leave_out_what_was_not_gathered():
    svg = ratio_chart(REPORT, "feature")
    assert svg.count("<circle") == 2 + 1  # and the legend
    assert "2 removals, 1 of them below what stayed." in svg
    assert "1 removals, 0 of them below" in ratio_chart(REPORT, "gradient")
    assert ratio_chart({**REPORT, "steps": REPORT["steps"][2:]}, "feature") == ""


def test_the_section():
    page = analysis_section(REPORT)
    assert page.count("<svg") == 4
    assert analysis_section({"command": "train"}) == ""
    assert analysis_section({**REPORT, "macs": {"before": 0}, "params": {}}) == ""


def test_steps_rise_in_their_row():
    rows = [StepRow("a", [(0.8, 1.0), (0.5, 2.0)], 4.0, "2 of 4")]
    svg = step_rows("i", "t", "d", rows, "x", str, (1.0, 0.5))
    path = re.search(r'd="(M[^"]*)" class="area"', svg).group(1)
    ys = [float(y) for y in re.findall(r"V([\d.]+)", path)]
    assert ys == [27.5, 21.0, 34.0]  # a quarter and a half of 26 above the floor, and back
    xs = [float(x) for x in re.findall(r"H([\d.]+)", path)]
    assert xs == sorted(xs)
    assert step_rows("i", "t", "d", [], "x", str, (1.0, 0.5)) == ""
