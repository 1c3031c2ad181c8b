"""Metrics: reference vectors, cases done by hand, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_vector, cases, vectors
from sentei import metrics
from sentei.errors import DTypeError, ShapeError

V = vectors("metrics")
CLASSES = [c for c in cases("metrics") if f"{c}.confusion" in V]
REAL = [c for c in cases("metrics") if f"{c}.mse" in V]
TOL = 1e-6


@pytest.mark.parametrize("case", CLASSES)
def test_classification_vectors(case):
    want = V[f"{case}.confusion"]
    c = metrics.confusion_matrix(V[f"{case}.actual"], V[f"{case}.predicted"], len(want))
    assert c.dtype == np.int64
    assert np.array_equal(c, want)
    assert_vector(metrics.accuracy(c), V[f"{case}.accuracy"], TOL)
    each, macro = metrics.precision_recall(c), metrics.macro_precision_recall(c)
    for q in ("precision", "recall", "f"):
        assert_vector(getattr(each, q), V[f"{case}.{q}"], TOL)
        assert_vector(getattr(macro, q), V[f"{case}.macro_{q}"], TOL)
    if case == "binary":
        b = metrics.binary_precision_recall(c)
        assert_vector([b.precision, b.recall, b.f], V["binary.binary_precision_recall_f"], TOL)
        assert [c[1, 1], c[1, 0], c[0, 1], c[0, 0]] == V["binary.tp_fn_fp_tn"].tolist()


@pytest.mark.parametrize("case", REAL)
@pytest.mark.parametrize("name", ["mse", "rmse", "mae", "r2"])
def test_regression_vectors(case, name):
    got = getattr(metrics, name)(V[f"{case}.t"], V[f"{case}.y"])
    assert_vector(got, V[f"{case}.{name}"], TOL)


def test_rows_are_actual():
    assert metrics.confusion_matrix(np.array([0, 0, 2]), np.array([1, 0, 2])).tolist() == [
        [1, 1, 0],
        [0, 0, 0],
        [0, 0, 1],
    ]


def test_nothing_counts_as_zero():
    c = np.zeros((3, 3), np.int64)
    assert metrics.accuracy(c) == 0.0
    assert metrics.precision_recall(c).f.tolist() == [0, 0, 0]


def test_constant_that_rounds():
    t = np.full(7, 0.1)  # the mean of these is not 0.1
    assert metrics.r2(t, t) == 1.0
    assert metrics.r2(t, t + 1e-9) == 0.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: metrics.confusion_matrix(np.zeros(3), np.zeros(3, int)),
            DTypeError,
            "actual must be integers",
        ),
        (
            lambda: metrics.confusion_matrix(np.zeros(3, int), np.zeros(2, int)),
            ShapeError,
            r"\(3,\), got \(2,\)",
        ),
        (
            lambda: metrics.confusion_matrix(np.zeros((3, 1), int), np.zeros(3, int)),
            ShapeError,
            r"shape \(N,\)",
        ),
        (
            lambda: metrics.confusion_matrix(np.array([0, 5]), np.array([0, 1]), 3),
            ValueError,
            r"\[0, 3\), got 5",
        ),
        (
            lambda: metrics.confusion_matrix(np.array([0, -1]), np.array([0, 1])),
            ValueError,
            "got -1",
        ),
        (lambda: metrics.accuracy(np.zeros((2, 3))), ShapeError, r"\(K, K\), got \(2, 3\)"),
        (lambda: metrics.binary_precision_recall(np.zeros((3, 3))), ShapeError, r"\(2, 2\)"),
        (lambda: metrics.binary_precision_recall(np.eye(2), 2), ValueError, "positive"),
        (lambda: metrics.mse(np.zeros(3), np.zeros(4)), ShapeError, "mse: y must have shape"),
        (lambda: metrics.r2(np.zeros(0), np.zeros(0)), ShapeError, "at least one value"),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()
