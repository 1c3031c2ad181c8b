"""Scaling in words, means and deviations, and when an ordering holds."""

from __future__ import annotations

import numpy as np
import pytest

from sentei.errors import DataError
from sentei.optim import SGD, Step
from sentei.workflow.reproduce import orders, rows, table
from sentei.workflow.reproduce.scale import Scale
from sentei.workflow.reproduce.spec import Arm, Setting, Table, figures
from sentei.workflow.reproduce.trial import Trial

S = Setting("lenet5_sparse", 300, SGD(0.1))


def made(published, statistic="mean", columns=("accuracy",)):
    arms = [Arm(k, S, figures(columns, *v)) for k, v in published.items()]
    return Table("x", "src", "X", table("t2.6").data, columns, tuple(arms), statistic=statistic)


def trials(values):
    return [
        Trial(arm, seed, "done", {"accuracy": v})
        for arm, found in values.items()
        for seed, v in enumerate(found)
    ]


def test_rows():
    t = made({"a": [(90.0, 1.0)], "b": [80.0]})
    runs = [*trials({"a": [88.0, 90.0, 92.0], "b": [50.0]}), Trial("b", 1, "diverged", {}, 1.0)]
    a, b = rows(t, runs)
    cell = a.cell("accuracy")
    assert (cell.mean, cell.deviation, cell.difference, cell.runs) == (90.0, 2.0, 0.0, 3)
    assert (a.done, a.diverged, b.done, b.diverged) == (3, 0, 1, 1)
    assert b.cell("accuracy").deviation is None
    assert b.cell("accuracy").difference == -30.0


def test_nothing_done():
    (a,) = rows(made({"a": [90.0]}), [])
    assert a.cell("accuracy").mean is None
    assert a.cell("accuracy").difference is None


def test_quartiles():
    columns = ("max", "first quartile", "median", "third quartile")
    t = made({"a": [9.0, 1.0, 2.0, 3.0]}, "quartiles", columns)
    (a,) = rows(t, trials({"a": [5.0, 1.0, 2.0, 4.0, 3.0]}))
    assert [a.cell(c).mean for c in columns] == [5.0, 2.0, 3.0, 4.0]
    (a,) = rows(t, trials({"a": [1.0, 2.0]}))
    assert [a.cell(c).mean for c in columns] == [2.0, 1.25, 1.5, 1.75]


@pytest.mark.parametrize(
    ("ours", "verdict", "words"),
    [
        ({"a": [1, 1.1], "b": [5, 5.1], "c": [9, 9.1]}, "holds", "holds (3 of 3 pairs"),
        ({"a": [9, 9.1], "b": [5, 5.1], "c": [1, 1.1]}, "does not hold", "a above b; a above c"),
        (
            {"a": [1, 1.1], "b": [8.9, 9.0], "c": [8.8, 9.1]},
            "not contradicted",
            "is not contradicted (2 of 3 pairs in the published order, 1 too close to tell",
        ),
        ({"a": [1, 9.0], "b": [2, 9.0], "c": [3, 9.1]}, "not decided", "is not decided (0 of 3"),
        ({"a": [1], "b": [2], "c": [3]}, "not judged", "it takes two runs of each arm"),
    ],
)
def test_orders(ours, verdict, words):
    t = made({"a": [70.0], "b": [80.0], "c": [90.0]})
    (order,) = orders(t, rows(t, trials(ours)))
    assert order.verdict == verdict
    assert words in order.words


def test_ties_of_the_source_are_not_judged():
    t = made({"a": [70.0], "b": [70.0]})
    (order,) = orders(t, rows(t, trials({"a": [1.0, 1.1], "b": [2.0, 2.1]})))
    assert order.judged == 0
    assert "no two published figures of it differ" in order.words


def test_quartiles_are_not_judged():
    t = made({"a": [9.0, 1.0], "b": [8.0, 2.0]}, "quartiles", ("max", "median"))
    for order in orders(t, rows(t, trials({"a": [9, 9.1, 9.2], "b": [1, 1.1, 1.2]}))):
        assert (order.verdict, order.same, order.against) == ("not judged", 0, ())
        assert "there is no test for quartiles" in order.words


def test_no_spread_decides_nothing():
    """Neither of both arms nor of one, unless the test images say how well the means are known."""
    t = made({"a": [70.0], "b": [80.0]})
    for ours in ({"a": [50, 50], "b": [51, 51]}, {"a": [50, 50], "b": [51, 51.001]}):
        assert orders(t, rows(t, trials(ours)))[0].verdict == "not decided"
        assert orders(t, rows(t, trials(ours)), 1000)[0].verdict == "not decided"
        assert orders(t, rows(t, trials(ours)), 10**8)[0].verdict == "holds"


def test_test_images_are_a_floor():
    """Deviation 0.01 points, but 100 images tell 50 from 52 percent by 5 points of one run only."""
    t = made({"a": [70.0], "b": [80.0]})
    found = rows(t, trials({"a": [50.0, 50.01, 50.02], "b": [52.0, 52.01, 52.02]}))
    assert orders(t, found)[0].verdict == "holds"
    assert orders(t, found, 100)[0].verdict == "not decided"
    assert orders(t, found, 10**7)[0].verdict == "holds"


def test_flops_have_no_floor():
    t = made({"a": [70.0], "b": [80.0]}, columns=("FLOPs removed",))
    ours = {"a": [50.0, 50.1, 50.2], "b": [52.0, 52.1, 52.2]}
    runs = [
        Trial(k, i, "done", {"FLOPs removed": v}) for k, x in ours.items() for i, v in enumerate(x)
    ]
    assert orders(t, rows(t, runs), 100)[0].verdict == "holds"


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("spread", [(0.2, 0.2), (0.2, 2.0)], ids=["alike", "unlike"])
def test_equal_arms_seldom_differ(count, spread):
    """Six arms of one accuracy: 15 pairs; within two standard errors most such runs are decided."""
    rng = np.random.default_rng(count)
    names = "abcdef"
    t = made({k: [80.0 + i] for i, k in enumerate(names)})
    deviation = np.resize(spread, (len(names), 1))
    wrong, decided, times = 0, 0, 500
    for _ in range(times):
        drawn = 90 + deviation * rng.standard_normal((len(names), count))
        ours = dict(zip(names, drawn.tolist(), strict=True))
        (order,) = orders(t, rows(t, trials(ours)))
        wrong += order.verdict == "does not hold"
        decided += order.close < order.judged
    assert wrong <= 0.06 * times
    assert decided <= 0.06 * times


@pytest.mark.parametrize("count", [2, 3, 5])
def test_clearly_separated_arms_hold(count):
    rng = np.random.default_rng(count)
    t = made({"a": [70.0], "b": [80.0], "c": [90.0]})
    held = 0
    for _ in range(100):
        ours = {
            k: (m + 0.1 * rng.standard_normal(count)).tolist()
            for k, m in (("a", 70.0), ("b", 80.0), ("c", 90.0))
        }
        held += orders(t, rows(t, trials(ours)), 10_000)[0].verdict == "holds"
    assert held == 100


def test_groups_are_apart():
    arms = tuple(
        Arm(k, S, figures(("accuracy",), v), group=g)
        for k, v, g in (("a", 1.0, "p"), ("b", 2.0, "p"), ("c", 3.0, "q"))
    )
    t = Table("x", "", "", table("t2.6").data, ("accuracy",), arms)
    found = orders(t, rows(t, trials({"a": [1.0, 1.1], "b": [9.0, 9.1], "c": [0.0, 0.1]})))
    assert [(o.group, o.judged, o.same) for o in found] == [("p", 1, 1), ("q", 0, 0)]


def test_scale():
    s = Scale(0.1, 1000)
    t = table("t4.7")
    run = s.setting(t.arms[0].setting)
    assert run.epochs == 30
    assert run.schedule == Step((8, 12), 0.1)
    assert s.prune(t.arms[0].prune).retrain == 5
    assert s.training(t, 50_000) == 1000
    assert s.testing(500) == 500
    assert s.describe(t, 2) == (
        "epochs: 30 of 300",
        "the step size falls at epochs 8, 12",
        "steps after each filter: 5 of 50",
        "training images: 1,000 of 50,000",
        "scored images: 500 of 2,000",
        "runs: 2 of 3",
    )
    assert Scale().describe(t, 3) == ()
    assert Scale().setting(t.arms[0].setting) == t.arms[0].setting


def test_less_than_an_epoch():
    """A thousandth of 300 epochs is one epoch on three tenths of the images."""
    t = table("t4.4a")
    assert Scale(0.001).setting(t.arms[0].setting).epochs == 1
    assert Scale(0.001).training(t, 60_000) == 18_000


@pytest.mark.parametrize("factor", [0, -0.5, 1.5, float("nan")])
def test_scale_refuses(factor):
    with pytest.raises(DataError, match=r"^reproduce: scale must lie in \(0, 1\], got"):
        Scale(factor)
    with pytest.raises(DataError, match=r"^reproduce: images must be at least 1, got 0"):
        Scale(1.0, 0)
