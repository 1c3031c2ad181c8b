"""Shards, snapshots, leases and the clock, each alone."""

from __future__ import annotations

import numpy as np
import pytest

from sentei.distributed.clock import Clock
from sentei.distributed.faults import Fault, Faults, schedule
from sentei.distributed.leases import Leases
from sentei.distributed.shard import ParameterShard
from sentei.distributed.snapshot import newest, read_snapshot
from sentei.errors import DataError, DTypeError, ShapeError
from sentei.optim import SGD, AdaGrad, Adam, Inverse

START = np.array([1.0, -2.0, 3.0], np.float32)
G = np.array([0.5, 1.0, -2.0], np.float32)


def shard(tmp_path, rule=None, every=0, run="run", schedule=None):
    return ParameterShard(run, 0, START, rule or AdaGrad(0.1), str(tmp_path), every, schedule)


def test_adagrad_is_that_of_the_equation(tmp_path):
    s = shard(tmp_path, AdaGrad(0.1))
    w, h = START.astype(np.float64), np.zeros(3)
    for i in range(5):
        g = G * (i + 1)
        s.push(0, i, g, 0, False)
        h += g.astype(np.float64) ** 2
        w -= 0.1 * g / (np.sqrt(h) + 1e-10)
    np.testing.assert_allclose(s.fetch().values, w, rtol=1e-6)


def test_sgd_with_momentum_and_a_schedule(tmp_path):
    s = shard(tmp_path, SGD(0.1, momentum=0.5), schedule=Inverse(2, "step"))
    w, v = START.astype(np.float64), np.zeros(3)
    for i in range(5):
        s.push(0, i, G, 0, False)
        v = 0.5 * v - 0.1 * min(1.0, 2 / max(i, 1)) * G
        w += v
    np.testing.assert_allclose(s.fetch().values, w, rtol=1e-6)


def test_repeats_are_dropped_and_gaps_refused(tmp_path):
    s = shard(tmp_path)
    assert s.push(4, 0, G, 0, False).fate == "applied"
    before = s.fetch().values.copy()
    assert s.push(4, 0, G, 0, False).fate == "repeat"
    assert s.push(4, 2, G, 0, False).fate == "gap"
    assert s.push(7, 1, G, 0, False).fate == "gap"
    np.testing.assert_array_equal(s.fetch().values, before)
    assert s.push(4, 1, G, 0, False).fate == "applied"
    assert s.places([4, 7])[3] == {4: 2, 7: 0}
    c = s.status()["counters"]
    assert (c["applied"], c["repeats"], c["gaps"]) == (2, 1, 2)
    assert (c["late_sum"], c["late_max"]) == (1, 1)


def test_a_shard_goes_on_from_its_snapshot_bit_for_bit(tmp_path):
    s = shard(tmp_path / "a", every=3)
    other = shard(tmp_path / "b")
    for i in range(5):
        s.push(0, i, G, 0, False)
        other.push(0, i, G, 0, False)
    again = shard(tmp_path / "a", every=3)  # its process died after push 5, the snapshot is of 3
    assert (again.life, again.version, again.safe) == (2, 3, 3)
    assert again.places([0])[3] == {0: 3}
    for i in range(3, 5):
        assert again.push(0, i, G, 0, True).fate == "applied"
    np.testing.assert_array_equal(again.w, other.w)
    np.testing.assert_array_equal(again.sums, other.sums)
    assert again.status()["counters"]["replayed"] == 2


def test_a_process_that_was_given_up_does_no_harm(tmp_path):
    old = shard(tmp_path, every=1)
    old.push(0, 0, G, 0, False)
    new = shard(tmp_path, every=1)
    for i in range(4):
        old.push(1, i, G, 0, False)  # the old one goes on by itself
    third = shard(tmp_path)
    assert third.places([0, 1])[3] == {0: 1, 1: 0} and third.life == new.life + 1


def test_a_snapshot_that_broke_off_leaves_the_one_before(tmp_path):
    s = shard(tmp_path, every=1)
    s.push(0, 0, G, 0, False)

    class Died(BaseException):
        pass

    def point(name):
        if name == "mid_snapshot":
            raise Died

    s.point = point
    with pytest.raises(Died):
        s.push(0, 1, G, 0, False)
    assert shard(tmp_path).places([0])[3] == {0: 1}


def test_the_last_two_versions_are_kept(tmp_path):
    s = shard(tmp_path, every=2)
    for step in range(7):
        s.step(step, [step], G, G)
    assert s.snapshots() == [4, 6]
    s.back_to(4)
    assert s.snapshots()[-1] == 4 and s.version == 4
    for step in range(4, 8):
        s.step(step, [step], G, G)
    assert s.snapshots() == [6, 8]


def test_a_synchronous_step_takes_the_mean_once(tmp_path):
    s = shard(tmp_path, SGD(0.5))
    s.step(0, [0, 1], G, 3 * G)
    np.testing.assert_allclose(s.w, START - 0.5 * 2 * G)
    before = s.w.copy()
    s.step(0, [0, 1], G, 3 * G)
    np.testing.assert_array_equal(s.w, before)
    (_, version), weights = s.step(1, [])
    assert version == 1 and weights.version == 1
    assert s.status()["counters"]["applied"] == 2


@pytest.mark.parametrize(
    ("g", "error", "words"),
    [
        (G.astype(np.float64), DTypeError, "contiguous float32, got float64"),
        (np.zeros(6, np.float32)[::2], DTypeError, "with gaps"),
        (np.zeros(4, np.float32), ShapeError, r"shape \(3,\), got \(4,\)"),
    ],
)
def test_gradients_are_checked(tmp_path, g, error, words):
    with pytest.raises(error, match=words):
        shard(tmp_path).push(0, 0, g, 0, False)


def test_rules_are_checked(tmp_path):
    with pytest.raises(ValueError, match="AdaGrad or SGD, got Adam"):
        shard(tmp_path, Adam(0.1))
    with pytest.raises(ValueError, match="weight_decay and l2 must be given to the model"):
        shard(tmp_path, SGD(0.1, weight_decay=0.1))


def test_snapshots_of_others_and_damaged_ones_are_refused(tmp_path):
    shard(tmp_path)
    path = newest(tmp_path, 0)
    with pytest.raises(DataError, match="of shard 0 of this run"):
        read_snapshot(path, "another", 0, 3, True)
    with pytest.raises(DataError, match="fit 4 parameters"):
        read_snapshot(path, "run", 0, 4, True)
    whole = path.read_bytes()
    for cut in (5, 100, len(whole) - 4):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError):
            read_snapshot(path, "run", 0, 3, True)


def test_leases_go_to_another_and_end_on_disk():
    leases = Leases([2, 3, 1], order=[2, 0, 1])
    assert leases.planned == 6
    assert [leases.lease("a"), leases.lease("b")] == [2, 0]
    assert leases.give_back("a") == [2] and leases.lease("b") == 2
    assert not leases.finish(2, "a") and leases.finish(2, "b")
    assert leases.settle([{2: 1}, {2: 0}]) == [2] and leases.sent == 1
    assert leases.settle([{2: 1}, {2: 1}]) == []
    leases.finish(0, "b")
    leases.again(leases.settle([{0: 2}, {0: 1}]))
    assert leases.lease("c") == 0 and leases.finish(0, "c") and leases.lease("c") == 1
    assert leases.lease("c") is None and not leases.finished
    leases.finish(1, "c")
    leases.settle([{0: 2, 1: 3}])
    assert leases.finished


def test_a_run_that_goes_on_leaves_out_what_is_on_disk():
    leases = Leases([1, 2, 1])
    leases.restore([{0: 1, 1: 1}, {0: 1, 1: 2, 2: 0}])
    assert [leases.lease("a"), leases.lease("a"), leases.lease("a")] == [1, 2, None]


def test_the_clock_holds_the_fast_back():
    clock = Clock()
    assert clock.may("a", 0, 1) and clock.may("b", 0, 1)
    assert clock.may("a", 1, 1) and not clock.may("a", 2, 1)
    assert clock.may("b", 1, 1) and clock.may("a", 2, 1)
    assert clock.may("c", 50, 1)  # joins where the slowest stands
    assert not clock.may("a", 3, 1)
    clock.leave("b")
    assert not clock.may("a", 3, 1)
    assert clock.may("c", 51, 1) and clock.may("a", 3, 1)
    clock.leave("c")
    assert clock.may("a", 9, 0)


def test_faults_are_due_once_in_the_first_life():
    found = Faults([Fault("w", "before_push", 2, "exit")], "w")
    assert [found.at("before_push") is not None for _ in range(4)] == [False, True, False, False]
    assert schedule(3, ["a"], ["b"]) == schedule(3, ["a"], ["b"])
    with pytest.raises(ValueError, match="point must be one of"):
        Fault("w", "nowhere", 1, "exit")
    with pytest.raises(ValueError, match="what must be one of"):
        Fault("w", "before_push", 1, "explode")  # type: ignore[arg-type]
