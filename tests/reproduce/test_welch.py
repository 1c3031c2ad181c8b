"""Student's t and Welch's test beside scipy and the tables of textbooks."""

from __future__ import annotations

import numpy as np
import pytest

from sentei.workflow.reproduce.welch import two_sided, welch


@pytest.mark.parametrize(
    ("quantile", "freedom", "level"),
    [(12.706, 1, 0.05), (4.303, 2, 0.05), (9.925, 2, 0.01), (2.776, 4, 0.05), (1.960, 1e6, 0.05)],
)
def test_tables(quantile, freedom, level):
    assert two_sided(quantile, freedom) == pytest.approx(level, rel=1e-3)


@pytest.mark.parametrize("freedom", [1, 1.3, 2, 2.7, 4, 8, 30, 1998])
def test_tail_and_quantile(freedom):
    t = pytest.importorskip("scipy.stats").t
    for at in (1e-6, 0.01, 0.5, 1, 2, -2, 5, 12, 60, 700, 1e5):
        want = 2 * t.sf(abs(at), freedom)
        assert two_sided(at, freedom) == pytest.approx(want, rel=1e-9, abs=1e-290)
    for level in (0.05, 0.05 / 6, 0.05 / 15, 1e-6):
        assert two_sided(t.isf(level / 2, freedom), freedom) == pytest.approx(level, rel=1e-9)


def test_ends():
    assert two_sided(0.0, 3) == 1.0
    assert two_sided(1e200, 3) == 0.0


@pytest.mark.parametrize("counts", [(2, 2), (2, 5), (3, 3), (7, 4)])
def test_welch(counts):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.normal(0, 1, counts[0]), rng.normal(1, 3, counts[1])
        variances = (a.var(ddof=1) / len(a), b.var(ddof=1) / len(b))
        want = stats.ttest_ind(a, b, equal_var=False).pvalue
        assert welch(a.mean() - b.mean(), variances, counts) == pytest.approx(want, rel=1e-9)


def test_nothing_known():
    assert welch(5.0, (0.0, 1.0), (3, 3)) == 1.0
    assert welch(5.0, (1.0, 1.0), (1, 3)) == 1.0
