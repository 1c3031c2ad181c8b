"""Spearman's rank correlation against scipy, and the trust in a ranking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks import random_images
from sentei import nn
from sentei.errors import DataError
from sentei.prune import Trust, pruning_map, ranking_trust, score_layers, spearman

stats = pytest.importorskip("scipy.stats")


@given(st.lists(st.tuples(st.integers(-5, 5), st.floats(-1e6, 1e6)), min_size=3, max_size=40))
def test_spearman_is_that_of_scipy(pairs):
    a, b = np.array(pairs, np.float64).T  # a: with ties
    if len(set(a)) < 2 or len(set(b)) < 2:
        assert np.isnan(spearman(a, b))
        return
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    assert spearman(a, b) == spearman(b, a)


def test_spearman_of_orders():
    x = np.array([3.0, 1.0, 2.0, 10.0])
    assert spearman(x, np.exp(x)) == 1
    assert spearman(x, -x) == -1
    assert spearman([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1, 2], [1, 2, 3], r"must have the shape of a, \(n,\), got \(2,\) and \(3,\)"),
        ([[1, 2]], [[1, 2]], r"must have the shape of a"),
        ([1, np.nan], [1, 2], "must be finite"),
    ],
)
def test_spearman_refuses(a, b, message):
    with pytest.raises(ValueError, match=message):
        spearman(a, b)


@pytest.fixture(scope="module")
def model():
    layers = []
    for width in (6, 8):
        layers += [nn.Conv2d(width, 3, padding=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(5)).build((8, 8, 3), seed=1)


def test_is_that_of_two_halves(model):
    images, labels = random_images(model, 41), np.arange(41) % 5
    pruning = pruning_map(model.graph)
    found = ranking_trust(model, pruning, "robust", images=images, labels=labels, seed=3)
    order = np.random.default_rng([3, 2]).permutation(41)
    halves = [np.sort(order[:20]), np.sort(order[20:40])]
    a, b = (
        score_layers(model, pruning, "robust", images=images[h], labels=labels[h]) for h in halves
    )
    whole = [np.concatenate([s.values for s in x]) for x in (a, b)]
    assert found.overall == pytest.approx(stats.spearmanr(*whole).statistic, abs=1e-12)
    for x, y in zip(a, b, strict=True):
        want = stats.spearmanr(x.values, y.values).statistic
        assert found.layers[x.layer] == pytest.approx(want, abs=1e-12)
    assert found.images == 20
    again = ranking_trust(model, pruning, "robust", images=images, labels=labels, seed=3)
    assert again == found


def test_the_same_image_twice_is_ranked_alike(model):
    images = np.repeat(random_images(model, 1), 8, axis=0)
    found = ranking_trust(model, pruning_map(model.graph), "norm", images=images)
    assert found.overall == 1
    assert set(found.layers.values()) == {1.0}
    assert "nearly alike" in found.sentence


def test_weights_need_no_images(model):
    found = ranking_trust(model, pruning_map(model.graph), "l1_std")
    assert found.overall == 1
    assert found.images == 0
    assert "needs no images" in found.sentence


def test_refuses_too_few_images_and_no_loss(model):
    pruning = pruning_map(model.graph)
    with pytest.raises(DataError, match="images must be at least 2, got 1"):
        ranking_trust(model, pruning, "norm", images=random_images(model, 1))
    with pytest.raises(DataError, match="labels must be given for robust, whose gradients"):
        ranking_trust(model, pruning, "robust", images=random_images(model, 4))


@pytest.mark.parametrize(
    ("overall", "layers", "words"),
    [
        (0.95, {"a": 0.99, "b": 0.5}, "trust: 0.95, two halves of 9 images each rank the channels "
         "nearly alike, least so in b (0.50)"),
        (0.8, {"a": 0.9, "b": 0.7}, "trust: 0.80, two halves of 9 images each rank the channels "
         "somewhat differently: more images would help, most of all b (0.70)"),
        (0.1, {"a": float("nan")}, "trust: 0.10, two halves of 9 images each rank the channels "
         "in rather different orders: many more images would help"),
        (float("nan"), {}, "trust: unknown, robust gives all channels the same score"),
    ],
)  # fmt: skip
def test_the_sentence(overall, layers, words):
    assert Trust("robust", overall, layers, 9).sentence == words
