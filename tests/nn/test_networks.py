"""Every network runs: shapes, finite numbers, gradients, the same bits twice."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close, normal
from reference import conv2d
from sentei import _core, nn
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
    "resnet20": (8, 8, 3),
    "resnet56": (8, 8, 3),
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


def float64_lenet5_prune(p, x, *, training: bool):
    """lenet5_prune without dropout, from the formulas, in float64."""

    def norm(x, bn):
        axes = tuple(range(x.ndim - 1))
        mean = x.mean(axes) if training else p[f"{bn}.running_mean"]
        var = x.var(axes) if training else p[f"{bn}.running_var"]
        return (x - mean) / np.sqrt(var + 1e-5) * p[f"{bn}.gamma"] + p[f"{bn}.beta"]

    def pool(x):
        n, h, w, c = x.shape
        x = np.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), constant_values=-np.inf)
        return x.reshape(n, (h + 1) // 2, 2, (w + 1) // 2, 2, c).max((2, 4))

    for k in (1, 2):
        x = conv2d.forward(x, p[f"conv{k}.weight"], padding=(2, 2))
        x = pool(np.maximum(norm(x, f"bn{k}"), 0))
    x = x.reshape(len(x), -1)
    x = np.maximum(x @ p["fc1.weight"].T + p["fc1.bias"], 0)
    return x @ p["fc2.weight"].T + p["fc2.bias"]


@pytest.mark.parametrize("shape", [(28, 28, 1), (9, 7, 3)])
def test_lenet5_prune_against_float64(shape, rng):
    """Odd images leave partial windows at the edge, which the pools keep."""
    model = models.build("lenet5_prune", shape, classes=10, seed=1, dropout=0.0)
    for name, tensor in model.tensors.items():
        if not name.endswith("weight"):
            values = normal(rng, tensor.shape)
            tensor.copy_from(np.abs(values) + 0.5 if name.endswith(("gamma", "var")) else values)
    images = normal(rng, (5, *shape))
    p = {k: a.astype(np.float64) for k, a in model.arrays().items()}
    terms = 25 * shape[2] + 25 * 32 + p["fc1.weight"].shape[1] + 1024
    want = float64_lenet5_prune(p, images.astype(np.float64), training=False)
    for fused in (False, True):
        assert_close(model.predictor(5, fused=fused)(images), want, terms)
    runner = Runner(model.graph, model.tensors, 5)
    runner.run(x=images)
    want = float64_lenet5_prune(p, images.astype(np.float64), training=True)
    assert_close(runner.fetch(model.output), want, terms)


def test_dropout_forms_agree_at_inference(rng):
    """The mask form multiplies by the share kept, the inverted form by nothing."""
    x = rng.random((4, 6), np.float32)
    for inverted, factor in ((True, 1.0), (False, 0.25)):
        model = nn.build([nn.Dropout(0.75, inverted)], (6,))
        assert_close(model.predict(x), x.astype(np.float64) * factor, 1)
        runner = Runner(model.graph, model.tensors, 4)
        runner.run(x=x, rng=np.array([1, 0], np.int64))
        y = runner.fetch(model.output)
        kept = y != 0
        assert 0 < kept.sum() < y.size
        want = x.astype(np.float64) * kept * (4.0 if inverted else 1.0)
        assert_close(y, want, 1)
