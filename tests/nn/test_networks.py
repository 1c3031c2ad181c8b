"""Every network runs: shapes, finite numbers, gradients, the same bits twice."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import normal
from sentei import _core
from sentei.graph import BATCH, Graph, Spec, op_named
from sentei.model import Model
from sentei.nn import models
from sentei.passes import grad
from sentei.run import Runner

# The smallest image that every layer fits.
IMAGES = {
    "lenet5_sparse": (16, 16, 1),
    "vgg13_like": (8, 8, 3),
    "lenet5_disc_1": (28, 28, 1),
    "lenet5_disc_2": (10, 10, 1),
    "deep_cnn": (32, 32, 3),
    "resnet18_like": (32, 32, 3),
    "lenet5_prune": (8, 8, 1),
    "vgg13_stl": (64, 64, 3),
    "vgg16": (32, 32, 3),
    "f34": (64, 64, 3),
}


def training(model: Model) -> tuple[Graph, dict[str, str]]:
    """Forward, mean softmax cross-entropy, and all gradients."""
    graph = model.graph.copy()
    graph.add_input("labels", Spec((BATCH,), "int64"))
    loss = graph.add(
        op_named("softmax_cross_entropy"), (model.output, "labels"), {"reduction": "mean"}, "loss"
    )
    graph, grads = grad(graph, loss[0])
    graph.outputs = (*graph.outputs, loss[0], *grads.values())
    return graph, grads


@pytest.mark.parametrize("name", models.names())
def test_forward_and_gradients(name, rng, threads):
    model = models.build(name, IMAGES[name], classes=7, seed=3)
    graph, grads = training(model)
    assert set(grads) == set(graph.by_role("param"))
    batch = 2
    feeds = {
        "x": normal(rng, (batch, *IMAGES[name])),
        "labels": np.array([3, 0], np.int64),
    }
    if "rng" in graph.values:
        feeds["rng"] = np.array([5, 0], np.int64)
    results = []
    for count in (2, 1):
        _core.set_threads(count)
        fresh = model.copy()
        runner = Runner(graph, fresh.tensors, batch)
        runner.run(**feeds)
        results.append({v: runner.fetch(v) for v in graph.outputs})
    first, second = results
    assert first[model.output].shape == (batch, 7)
    for param, value in grads.items():
        assert first[value].shape == model.tensors[param].shape
    for value, array in first.items():
        assert np.isfinite(array).all(), value
        assert np.array_equal(array, second[value]), f"{value} depends on the number of threads"
    moved = [p for p, v in grads.items() if np.any(first[v])]
    assert len(moved) >= 0.9 * len(grads), set(grads) - set(moved)


@pytest.mark.parametrize("name", models.names())
def test_prediction(name, rng):
    model = models.build(name, IMAGES[name], classes=7)
    images = normal(rng, (3, *IMAGES[name]))
    y = model.predict(images, batch=2)
    assert y.shape == (3, 7) and np.isfinite(y).all()
    assert np.array_equal(y, model.predict(images, batch=2))


def test_same_seed_same_bits():
    a, b = (models.build("lenet5_prune", seed=4).arrays() for _ in range(2))
    c = models.build("lenet5_prune", seed=5).arrays()
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert all(not np.array_equal(a[k], c[k]) for k in a if k.endswith("weight"))


def test_meta_says_where_it_came_from():
    meta = models.build("vgg13_like", (8, 8, 3), 5, 9, "glorot", batch_norm=False).meta
    assert meta == {
        "init": "glorot",
        "seed": 9,
        "network": {"name": "vgg13_like", "classes": 5, "options": {"batch_norm": False}},
    }
