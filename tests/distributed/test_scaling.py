"""The model of scaling: its limits, its order, what it says when nothing pays."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command import sentei
from sentei.distributed.scaling import STRATEGIES, Workload, counts_up_to, forecast, worth

EVEN = Workload(1e6, 0.1, 1.25e9, overhead=0.0, collective=0.0, slow=0.0)
LINKED = st.builds(
    Workload,
    st.floats(1, 1e9),
    st.floats(1e-3, 10),
    st.floats(1e6, 1e11),
    slow=st.floats(0, 0.2),
    width=st.floats(0, 1e7),
)


@given(LINKED, st.sampled_from(sorted(STRATEGIES)), st.integers(1, 300))
def test_never_more_than_the_workers_give(w, strategy, workers):
    found = forecast(w, strategy, workers)
    assert 0 < found.speedup <= workers * (1 + 1e-9) and 0 <= found.waiting <= 1
    assert found.seconds > 0 and found.efficiency <= found.speedup


@given(LINKED, st.sampled_from(sorted(STRATEGIES)), st.integers(2, 64), st.floats(1.5, 10))
def test_faster_links_never_hurt(w, strategy, workers, more):
    quick = Workload(**{**w.__dict__, "bandwidth": w.bandwidth * more})
    slower = forecast(w, strategy, workers).seconds
    assert forecast(quick, strategy, workers).seconds <= slower * (1 + 1e-12)


def test_all_reduce_is_the_ring():
    found = forecast(EVEN, "all-reduce", 4)
    assert found.seconds == pytest.approx(0.1 + 2 * 3 / 4 * 4e6 / 1.25e9)
    assert found.speedup == pytest.approx(4 * 0.1 / found.seconds)


def test_without_any_cost_every_strategy_is_ideal():
    free = Workload(1, 0.1, 1e15, overhead=0.0, collective=0.0, slow=0.0, width=1e-9, backups=0,
                    portions=10**9)  # fmt: skip
    for strategy in STRATEGIES:
        assert forecast(free, strategy, 8).speedup == pytest.approx(8, rel=1e-6), strategy


def test_backups_help_where_workers_are_uneven():
    uneven = Workload(1e3, 0.1, 1e12, overhead=0.0, slow=0.05, backups=2)
    none = Workload(**{**uneven.__dict__, "backups": 0})
    assert uneven.slowest(16, 14) < 0.7 * none.slowest(16, 16)
    assert forecast(uneven, "sync", 16).speedup > forecast(none, "sync", 16).speedup


def test_the_slowest_of_many_is_the_mean_of_the_binomial():
    w = Workload(1, 1.0, 1.0, slow=0.1, factor=5.0)
    assert w.slowest(3, 3) == pytest.approx(0.9**3 + 5 * (1 - 0.9**3))
    assert w.slowest(3, 2) == pytest.approx(1 + 4 * (1 - 0.9**3 - 3 * 0.1 * 0.9**2))


def test_says_when_nothing_pays():
    narrow = Workload(42e6, 0.35, 1e9 / 8)
    rows = [forecast(narrow, s, n) for s in ("all-reduce", "downpour") for n in (2, 4)]
    assert worth(rows).startswith("None of these pays")
    wide = [forecast(EVEN, "all-reduce", n) for n in (1, 8)]
    assert worth(wide).startswith("all-reduce with 8 workers")


def test_counts():
    assert counts_up_to(1) == [1] and counts_up_to(8) == [1, 2, 4, 8]
    assert counts_up_to(12) == [1, 2, 4, 8, 12]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seconds": 0.0}, "seconds must be above 0"),
        ({"bandwidth": math.nan}, "bandwidth must be above 0"),
        ({"slow": 1.0}, "slow must be a share below 1"),
        ({"every": 0}, "every must be at least 1"),
        ({"parameters": -1}, "parameters must be at least 1"),
    ],
)
def test_refuses(changes, text):
    with pytest.raises(ValueError, match=text):
        Workload(**{**EVEN.__dict__, **changes})


def test_refuses_strategies_and_workers():
    with pytest.raises(ValueError, match="strategy must be one of all-reduce"):
        forecast(EVEN, "ring", 2)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        forecast(EVEN, "sync", 0)


BASE = ("plan", "--params", "42M", "--bandwidth", "10Gbit")


def test_command_line(tmp_path):
    found = sentei(*BASE, "--flops", "250M", "--speed", "100G", "--batch", "128", "--json").json()
    w = found["workload"]
    assert w["bandwidth"] == 1.25e9 and w["parameters"] == 42e6
    assert w["seconds"] == pytest.approx(250e6 * 128 / 100e9)
    assert {r["strategy"] for r in found["forecasts"]} == set(STRATEGIES) - {"split"}
    shown = sentei(*BASE, "--seconds", "0.35", "--workers", "4", "--width", "1M")
    assert shown.code == 0 and "split" in shown.out and "one worker" in shown.out


def test_command_line_draws(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "plan.svg"
    assert sentei(*BASE, "--seconds", "0.35", "--plot", str(path)).code == 0
    text = path.read_text()
    assert "downpour" in text and "<svg" in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "either --seconds or both --flops and --speed"),
        (("--seconds", "1", "--flops", "1G", "--speed", "1G"), "either --seconds or both"),
        (("--flops", "1G"), "either --seconds or both"),
        (("--seconds", "1", "--width", "1Gbit"), "--width must be a number like 42M"),
        (("--seconds", "0"), "seconds must be above 0"),
        (("--seconds", "1", "--plot", "x.pdf"), "plot must be an .svg or .png"),
    ],
)
def test_command_line_refuses(words, text):
    found = sentei(*BASE, *words)
    assert found.code == 2 and text in found.err
