"""record_append: a ring of rows, the same on every device."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import array
from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.ops import record_append
from sentei.tensor import Tensor


def one(value, dtype=np.float32):
    return np.array([value], dtype)


@pytest.mark.devices
def test_rows_follow_each_other_and_begin_again():
    log, at = np.full((3, 3), 7.0), one(1, np.int64)
    for k in range(4):
        record_append(one(k + 0.25), one(k / 3), one(k, np.int64), log, at)
    third = np.float32(1 / 3)
    assert at[0] == 2
    want = [[2.25, np.float32(2 / 3), 2], [3.25, 1.0, 3], [1.25, third, 1]]
    assert np.array_equal(log, np.array(want, np.float64))


@pytest.mark.devices
def test_without_right_answers_and_of_what_is_not_finite():
    log, at = np.zeros((2, 3)), one(0, np.int64)
    record_append(one(np.nan), one(np.inf), None, log, at)
    assert np.isnan(log[0, 0]) and log[0, 1] == np.inf and log[0, 2] == 0 and at[0] == 1


@pytest.mark.devices
def test_a_place_outside_the_log(device):
    log, at = np.zeros((2, 3)), one(5, np.int64)
    if device == "cpu":
        with pytest.raises(ValueError, match=r"at must lie in \[0, 2\), got 5"):
            record_append(one(1), one(1), None, log, at)
    else:
        record_append(one(1), one(1), None, log, at)
        assert not log.any() and at[0] == 0


def test_refuses():
    log, at = np.zeros((2, 3)), one(0, np.int64)
    with pytest.raises(ShapeError, match=r"log must have shape \(rows, 3\)"):
        record_append(one(1), one(1), None, np.zeros((2, 2)), at)
    with pytest.raises(ShapeError, match=r"loss must have shape \(1,\), got \(2,\)"):
        record_append(one(1), np.zeros(2, np.float32), None, log, at)
    with pytest.raises(DTypeError, match="log must be float64, got float32"):
        record_append(one(1), one(1), None, log.astype(np.float32), at)
    with pytest.raises(DTypeError, match="correct must be int64, got float32"):
        record_append(one(1), one(1), one(1), log, at)
    t = Tensor.zeros((2, 3), "float64")
    inside = t.view((1,), 0, "int64")
    with pytest.raises(ValueError, match="log must not overlap at"):
        _core.record_append(Tensor.zeros((1,)), Tensor.zeros((1,)), None, t, inside)
    assert not array(t).any()
