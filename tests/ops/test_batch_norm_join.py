"""batch_norm_join: the bits of its parts forward, gradients against float64, refuses, threads."""

from __future__ import annotations

import numpy as np
import pytest

from eager_context import gradients
from helpers import array, assert_close, normal
from reference import batch_norm as ref
from sentei import _core
from sentei.errors import ShapeError
from sentei.ops import (
    BATCH_NORM_JOIN,
    batch_norm_add_forward,
    batch_norm_forward,
    batch_norm_join_backward,
    batch_norm_join_forward,
)

EPS = 1e-5
ROWS = [(5, 13), (7, 1), (2, 5, 7, 37), (3, 8, 8, 64), (1, 1, 1, 4), (50, 14, 14, 20)]
LARGE = (260, 32, 32, 16)  # stored past the caches, many slots


def branch(rng, shape):
    """x, gamma, beta, running_mean, running_var."""
    c = shape[-1:]
    vectors = [normal(rng, c) for _ in range(3)] + [np.abs(normal(rng, c)) + np.float32(0.1)]
    return [normal(rng, shape), *vectors]


def copies(arrays):
    return [a.copy() for a in arrays]


@pytest.mark.devices
@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_forward_is_its_parts(rng, shape):
    forward_is_its_parts(rng, shape)


def test_large_forward_is_its_parts(rng):
    forward_is_its_parts(rng, LARGE)


def forward_is_its_parts(rng, shape):
    first, second = branch(rng, shape), branch(rng, shape)
    own = copies(first), copies(second)
    normed, mean2, rstd2 = batch_norm_forward(*second)
    want, mean, rstd = batch_norm_add_forward(first[0], array(normed), *first[1:])
    got = batch_norm_join_forward(*own[0], *own[1])
    for a, b in zip(got, (want, mean, rstd, mean2, rstd2), strict=True):
        np.testing.assert_array_equal(array(a), array(b))
    for k in (3, 4):  # running averages
        np.testing.assert_array_equal(own[0][k], first[k])
        np.testing.assert_array_equal(own[1][k], second[k])


def size_of_sums(terms):
    """Root of the sum of squares of a channel's terms, the largest: what a sum's error is relative to."""
    terms = terms.reshape(-1, terms.shape[-1]).astype(np.float64)
    return float(np.sqrt(np.square(terms).sum(0)).max())


@pytest.mark.devices
@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_gradient(rng, shape):
    gradient_is_close(rng, shape)


def test_large_gradient(rng):
    gradient_is_close(rng, LARGE)


def gradient_is_close(rng, shape):
    first, second, dy = branch(rng, shape), branch(rng, shape), normal(rng, shape)
    inputs = dict(zip(BATCH_NORM_JOIN.inputs, (*first, *second), strict=True))
    y, mean, rstd, mean2, rstd2 = map(array, batch_norm_join_forward(*first, *second))
    g = np.where(y > 0, dy, np.float32(0))
    given = (*first[:3], mean, rstd, *second[:3], mean2, rstd2)
    got = batch_norm_join_backward(dy, y, *given)
    n = dy.size // shape[-1]
    for (x, gamma, beta, *_), (dx, dgamma, dbeta) in (
        (first, got[:3]),
        (second, got[3:]),
    ):
        want = ref.gradient(g, x, gamma, beta, EPS)
        spread = np.sqrt(x.reshape(n, -1).var(0) + EPS)
        scale = float(np.abs(dy).max() * np.abs(gamma).max() / spread.min())
        hat = (x - x.reshape(n, -1).mean(0)) / spread
        assert_close(dx, want[0], n, scale)
        assert_close(dgamma, want[1], n, size_of_sums(g * hat))
        assert_close(dbeta, want[2], n, size_of_sums(g))
    emitted = gradients(BATCH_NORM_JOIN, inputs, [dy, None, None, None, None])
    for k, i in enumerate((0, 1, 2, 5, 6, 7)):
        np.testing.assert_array_equal(emitted[i], array(got[k]))
    assert all(emitted[i] is None for i in (3, 4, 8, 9))


def test_bits_do_not_depend_on_threads(rng, threads):
    for shape in ((60, 12, 12, 51), LARGE):
        first, second, dy = branch(rng, shape), branch(rng, shape), normal(rng, shape)
        seen = []
        for n in (1, 2, 4):
            _core.set_threads(n)
            outs = batch_norm_join_forward(*copies(first), *copies(second))
            y, mean, rstd, mean2, rstd2 = outs
            given = (*first[:3], mean, rstd, *second[:3], mean2, rstd2)
            outs += batch_norm_join_backward(dy, y, *given)
            seen.append([array(o).tobytes() for o in outs])
        assert all(s == seen[0] for s in seen)


def ones(*shape):
    return np.ones(shape, np.float32)


C = [ones(4) for _ in range(4)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: batch_norm_join_forward(ones(2, 4), *C, ones(3, 4), *C),
            ShapeError,
            r"other must have shape \(2, 4\), got \(3, 4\)",
        ),
        (
            lambda: batch_norm_join_forward(ones(2, 4), *C, ones(2, 4), *C[:3], ones(3)),
            ShapeError,
            r"other_running_var must have shape \(4,\), got \(3,\)",
        ),
        (
            lambda: batch_norm_join_forward(ones(0, 4), *C, ones(0, 4), *C),
            ShapeError,
            "at least one element",
        ),
        (
            lambda: batch_norm_join_forward(ones(2, 4), *C, ones(2, 4), *C, eps=0),
            ValueError,
            "eps must be",
        ),
        (
            lambda: batch_norm_join_backward(
                ones(2, 4), ones(2, 3), ones(2, 4), *C, ones(2, 4), *C
            ),
            ShapeError,
            r"y must have shape \(2, 4\), got \(2, 3\)",
        ),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()
