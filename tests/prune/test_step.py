"""Mean features and gradients of what is removed and of what stays, against plain sums."""

from __future__ import annotations

import numpy as np
import pytest

from networks import random_images
from sentei import nn, train
from sentei import optim as optimizers
from sentei.prune import CRITERIA, IterativePruner, Target, pruning_map, score_layers
from sentei.prune.scores import LayerScores
from sentei.prune.step import means_of


@pytest.fixture(scope="module")
def model():
    layers = [nn.Conv2d(6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4)]
    return nn.Sequential(*layers).build((6, 6, 2), seed=2)


def reference(model, images, labels):
    """Means of the map, and of |E[g]|, through the network in float64."""
    a = {k: v.astype(np.float64) for k, v in model.arrays().items()}
    w, b = a["conv1.weight"], a["conv1.bias"]
    pad = np.pad(images.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = sum(
        np.einsum("nhwc,kc->nhwk", pad[:, i : i + 6, j : j + 6], w[:, i, j])
        for i in range(3)
        for j in range(3)
    )
    x = np.maximum(y + b, 0)
    n = len(x)
    blocks = x.reshape(n, 3, 2, 3, 2, 6).transpose(0, 1, 3, 2, 4, 5).reshape(n, 3, 3, 4, 6)
    top = blocks.argmax(axis=3)
    z = blocks.max(axis=3).reshape(n, -1) @ a["fc1.weight"].T + a["fc1.bias"]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(n), labels] -= 1
    down = (p @ a["fc1.weight"]).reshape(n, 3, 3, 1, 6)
    g = np.where(np.arange(4)[:, None] == top[:, :, :, None], down, 0.0)
    g = g.reshape(n, 3, 3, 2, 2, 6).transpose(0, 1, 3, 2, 4, 5).reshape(n, 6, 6, 6)
    return x.mean(axis=(0, 1, 2)), np.abs(g.mean(axis=0)).mean(axis=(0, 1))


@pytest.mark.parametrize("name", CRITERIA)
def test_means_are_those_of_the_maps(model, name):
    images, labels = random_images(model, 9), np.arange(9) % 4
    pruning = pruning_map(model.graph)
    options = {"images": images, "labels": labels, "batch": 4}
    (found,) = score_layers(model, pruning, name, means=True, **options)
    (plain,) = score_layers(model, pruning, name, means=False, **options)
    feature, gradient = reference(model, images, labels)
    np.testing.assert_allclose(found.feature, feature, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-5, atol=1e-7)
    assert plain.feature is None
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-5, atol=1e-7)
    assert found.values.shape == plain.values.shape


def test_what_stays_is_the_rest_of_the_layer():
    x = np.array([1.0, 2.0, 4.0, 8.0])
    scores = [LayerScores("a", x, x, None, x, -x), LayerScores("b", x, x)]
    gone = {("a", 0), ("a", 1), ("b", 2)}
    told = means_of(scores, ("a", 1), gone)
    assert told == {"feature": 2, "gradient": -2, "feature_left": 6, "gradient_left": -6}
    assert means_of(scores, ("b", 2), gone) == {}
    every = {("a", i) for i in range(4)}
    assert means_of(scores, ("a", 3), every) == {"feature": 8, "gradient": -8}


@pytest.mark.parametrize(("name", "analysis", "known"), [
    ("robust", None, True), ("robust", False, False), ("fisher", None, False), ("fisher", True, True),
    ("norm", True, True), ("l1_std", True, True), ("oracle", None, False),
])  # fmt: skip
def test_the_pruner_writes_them_down(model, name, analysis, known):
    images, labels = random_images(model, 12), np.arange(12) % 4
    trainer = train.Trainer(model.copy(), optimizers.SGD(0.01), batch=6)
    result = IterativePruner(
        trainer.model, Target(flops="60%"), name, trainer=trainer, train=(images, labels),
        score_images=images, score_labels=labels, retrain_steps=1, analysis=analysis,
    ).run()  # fmt: skip
    first = result.steps[0]
    assert (first.feature is not None) == known
    assert (first.gradient_left is not None) == known
    if known:
        feature, _ = reference(model, images, labels)
        assert first.feature == pytest.approx(feature[first.channel], rel=1e-4)
        left = np.delete(feature, first.channel)
        assert first.feature_left == pytest.approx(left.mean(), rel=1e-4)
    assert result.model.meta["history"][0]["feature"] == first.feature
