"""Confusion matrices and observed-predicted plots on the page."""

from __future__ import annotations

import numpy as np
import pytest

from sentei import metrics
from sentei.report import render_html
from sentei.report.quality import confusion_section, observed_section

COUNTS = [[8, 2, 0], [1, 9, 0], [0, 5, 0]]


def confusion(**changes):
    return {"confusion": {"classes": ["a", "<b>", "c"], "before": COUNTS, "after": None} | changes}


def test_confusion_matrix():
    page = confusion_section(confusion())
    assert page.count("<rect") == 9 and page.count("<svg") == 1
    assert "&lt;b&gt; taken for a: 1 of 10" in page and "17 of 25 samples" in page
    each = metrics.precision_recall(np.array(COUNTS))
    for p, r, f in zip(each.precision, each.recall, each.f, strict=True):
        for value in (p, r, f):
            assert f"{100 * value:.1f}" in page
    macro = metrics.macro_precision_recall(np.array(COUNTS))
    assert f"{100 * macro.f:.1f}" in page


def test_before_and_after():
    page = confusion_section(confusion(after=[[10, 0, 0], [0, 10, 0], [0, 0, 5]]))
    assert page.count("<svg") == 2 and "After pruning" in page and "25 of 25 samples" in page
    assert "100.0" in page


@pytest.mark.parametrize(
    "broken",
    [
        {"before": None},
        {"before": [[1, 2]]},
        {"before": [[1, 2, 3], [1, 2], [1, 2, 3]]},
        {"before": [[1, 2, -3], [1, 2, 3], [1, 2, 3]]},
        {"classes": 3},
        {"classes": []},
    ],
)
def test_what_is_no_matrix_is_left_out(broken):
    assert confusion_section(confusion(**broken)) == ""
    assert "Confusion" not in render_html(confusion(**broken))


def test_observed_and_predicted():
    fit = {"rmse": 0.5, "mae": 0.25, "r2": 0.9, "points": [[1.0, 2.0], [3.0, 3.5], [None, 1]]}
    page = observed_section({"regression": {"before": fit, "after": None}})
    assert page.count("<circle") == 2 and "0.25" in page and "Before" not in page
    both = observed_section({"regression": {"before": fit, "after": fit}})
    assert both.count("<svg") == 2 and "After pruning" in both
    assert observed_section({"regression": {"before": {"points": []}}}) == ""
    assert observed_section({"regression": {"before": {"points": "x"}}}) == ""


def test_on_the_page():
    page = render_html(confusion() | {"network": "net"})
    assert "Right and wrong, class by class" in page
