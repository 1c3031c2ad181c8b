"""Scores through a whole network against the reference vectors: values, orders, and the pruned logits."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_vector, vectors
from networks import random_images, shake
from sentei import losses, nn
from sentei.errors import DataError, GraphError
from sentei.nn import models
from sentei.ops import ADD
from sentei.passes import inference
from sentei.prune import CRITERIA, pruning_map, remove, score_layers
from sentei.prune.scores import score_points

TOL = 2e-5  # the vectors' own
P = (1, 2 / 3, 1 / 2, 2)
NET = {k.removeprefix("net."): a for k, a in vectors("scores").items() if k.startswith("net.")}


@pytest.fixture(scope="module")
def model():
    layers = []
    for width in (6, 8):
        layers += [nn.Conv2d(width, 3, padding=1, bias=False), nn.BatchNorm(float(NET["bn_eps"]))]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    built = nn.Sequential(*layers, nn.Flatten(), nn.Linear(5)).build((8, 8, 3))
    arrays = {"fc1.weight": NET["fc_w"], "fc1.bias": NET["fc_b"]}
    for i in (1, 2):
        arrays[f"conv{i}.weight"] = NET[f"w{i}"]
        arrays[f"bn{i}.gamma"], arrays[f"bn{i}.beta"] = NET[f"bn{i}_gamma"], NET[f"bn{i}_beta"]
        arrays[f"bn{i}.running_mean"] = NET[f"bn{i}_mean"]
        arrays[f"bn{i}.running_var"] = NET[f"bn{i}_var"]
    built.load_arrays(arrays)
    return built


def scores(model, name, p, batch=5):
    pruning = pruning_map(model.graph)
    images, labels = np.ascontiguousarray(NET["x"]), NET["labels"]
    a = float(NET["a"])
    return score_layers(
        model, pruning, name, normalize=p, images=images, labels=labels, batch=batch, l1_std_a=a
    )


def test_logits(model):
    assert_vector(model.predict(np.ascontiguousarray(NET["x"])), NET["logits"], TOL)


@pytest.mark.parametrize("name", CRITERIA)
def test_raw_scores(model, name):
    for i, layer in enumerate(scores(model, name, None), 1):
        assert layer.layer == f"conv{i}"
        assert_vector(layer.raw, NET[f"layer{i}.{name}"], TOL)


@pytest.mark.devices
@pytest.mark.parametrize("name", ["first", "oracle"])
def test_raw_scores_from_gradients(model, name, device):
    found = score_layers(
        model.to(device), pruning_map(model.graph), name, normalize=None, batch=5,
        images=np.ascontiguousarray(NET["x"]), labels=NET["labels"], standard_errors=False,
    )  # fmt: skip
    for i, layer in enumerate(found, 1):
        assert_vector(layer.raw, NET[f"layer{i}.{name}"], TOL)


@pytest.mark.parametrize("row", range(4))
@pytest.mark.parametrize("name", ["l1_std", "norm", "fisher", "oracle", "robust", "trace"])
def test_normalised_scores(model, name, row):
    for i, layer in enumerate(scores(model, name, P[row]), 1):
        assert_vector(layer.values, NET[f"layer{i}.{name}.normalised"][row], TOL)


@pytest.mark.parametrize("key", sorted(k for k in NET if k.startswith("order.")))
def test_orders(model, key):
    _, name, *l1 = key.split(".")
    values = np.concatenate([s.values for s in scores(model, name, 1.0 if l1 else None)])
    assert np.argsort(values, kind="stable").tolist() == NET[key].tolist()


@pytest.mark.parametrize("name", ["robust", "fisher"])
def test_pruned_logits(model, name):
    pruning = pruning_map(model.graph)
    least = pruning.units[int(NET[f"order.{name}"][0])]
    smaller, _ = remove(model, pruning, [least])
    assert_vector(
        smaller.predict(np.ascontiguousarray(NET["x"])), NET[f"pruned.{name}.logits"], TOL
    )


@pytest.mark.parametrize("name", ["robust", "trace", "fisher"])
def test_batches_do_not_matter(model, name):
    first = scores(model, name, 1.0, batch=12)
    for batch in (1, 5, 7):
        for a, b in zip(first, scores(model, name, 1.0, batch=batch), strict=True):
            np.testing.assert_allclose(a.values, b.values, rtol=TOL)


def test_standard_errors_shrink_with_samples(rng):
    model = models.build("lenet5_prune", (28, 28, 1), classes=10, seed=0)
    shake(model, 0)
    pruning = pruning_map(model.graph)
    images, labels = random_images(model, 200), rng.integers(0, 10, 200)

    def error(n):
        found = score_layers(model, pruning, "fisher", images=images[:n], labels=labels[:n])
        assert all(s.standard_error is not None for s in found)
        return float(np.mean([s.standard_error.mean() for s in found]))

    assert error(200) < 0.6 * error(25)


def test_score_points_stop_before_pools_and_additions():
    graph = inference(models.build("lenet5_prune", (28, 28, 1), classes=10, seed=0).graph)
    assert score_points(graph, ["conv1", "conv2"]) == {"conv1": "relu1", "conv2": "relu2"}
    graph = inference(models.build("resnet18_like", (32, 32, 3), classes=10, seed=0).graph)
    points = score_points(graph, [n.name for n in graph.nodes if n.op.name == "conv2d"])
    ops = {c: graph.producers()[v].op.name for c, v in points.items()}
    assert ops["block1.conv1"] == "relu" and ops["block1.conv2"] == "batch_norm_inference"


def test_refusals(model):
    pruning = pruning_map(model.graph)
    images, labels = np.ascontiguousarray(NET["x"]), NET["labels"]
    with pytest.raises(ValueError, match="name must be one of"):
        score_layers(model, pruning, "guess", images=images, labels=labels)
    with pytest.raises(DataError, match="images must be given for robust, got none"):
        score_layers(model, pruning, "robust")
    with pytest.raises(DataError, match=r"as many labels as images \(12\), got 3"):
        score_layers(model, pruning, "robust", images=images, labels=labels[:3])


@pytest.mark.parametrize("loss", [losses.SigmoidCrossEntropy(), losses.Squared()])
def test_scores_are_of_the_loss_that_is_given(loss, rng):
    """x is a conv's map, y = W mean(x) + b: g = W' dL/dy / pixels."""
    net = nn.Sequential(nn.Conv2d(3, 1), nn.GlobalAvgPool2d(), nn.Flatten(), nn.Linear(4))
    model = net.build((2, 2, 1), seed=1)
    images = rng.standard_normal((9, 2, 2, 1), dtype=np.float32)
    labels = rng.integers(0, 4, 9)
    truth = labels
    if loss.takes == "targets":
        truth = rng.standard_normal((9, 4), dtype=np.float32)
    found = score_layers(
        model, pruning_map(model.graph), "first", images=images, labels=truth, batch=4, loss=loss
    )
    a = {k: v.astype(np.float64) for k, v in model.arrays().items()}
    x = images.astype(np.float64) * a["conv1.weight"][:, 0, 0, 0] + a["conv1.bias"]
    y = x.mean((1, 2)) @ a["fc1.weight"].T + a["fc1.bias"]
    dy = y - truth if loss.takes == "targets" else 1 / (1 + np.exp(-y)) - np.eye(4)[labels]
    want = -(x.mean((1, 2)) * (dy @ a["fc1.weight"])).mean(0)
    np.testing.assert_allclose(found[0].raw, want, rtol=TOL)


def test_a_loss_of_several_nodes_is_refused(model):
    class Twice(losses.Squared):
        def emit(self, graph, output):
            values = super().emit(graph, output)
            return losses.LossValues(graph.add(ADD, (values.loss, values.loss))[0])

    images = np.ascontiguousarray(NET["x"])
    with pytest.raises(GraphError, match="loss must append one node that can sum over samples"):
        score_layers(
            model, pruning_map(model.graph), images=images, labels=NET["labels"], loss=Twice()
        )
