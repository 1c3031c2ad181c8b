"""Free batch sums against sums over the maps: which layers have them, values, orders, fused or not."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close
from networks import random_images, shake
from sentei import nn
from sentei.errors import GraphError
from sentei.losses import CrossEntropy
from sentei.nn import models
from sentei.optim import SGD, SemiSync
from sentei.passes import grad, infer_specs
from sentei.prune import ScoreSums, pruning_map, score_layers
from sentei.prune.batch_sums import chain, free_parameters
from sentei.regularizers import LogActivity
from sentei.run import Runner
from sentei.train.step import StepRunner, build_step

N = 6


def vgg():
    layers = []
    for width in (5, 7):
        for _ in range(2):
            layers += [nn.Conv2d(width, 3, padding=1, bias=False), nn.BatchNorm(), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4)
    ).build((8, 8, 3), seed=1)


def lenet():
    return nn.Sequential(
        nn.Conv2d(6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 3, bias=False), nn.ReLU(),
        nn.Flatten(), nn.Linear(9), nn.LeakyReLU(0.1), nn.Linear(4),
    ).build((10, 10, 1), seed=1)  # fmt: skip


def residual():
    """Joins of two batch norms, of a batch norm with a plain convolution, and a plain input."""
    x = nn.Input((8, 8, 3))
    a = nn.ReLU()(nn.BatchNorm(name="bn_in")(nn.Conv2d(6, 3, padding=1, name="stem")(x)))
    b = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(5, 3, padding=1, name="first")(a)))
    b = nn.BatchNorm()(nn.Conv2d(6, 3, padding=1, name="second")(b))
    y = nn.ReLU(name="joined")(nn.Add(name="join")(b, a))
    c = nn.Conv2d(7, 1, name="short")(y)
    d = nn.BatchNorm()(nn.Conv2d(7, 3, padding=1, name="third")(y))
    y = nn.ReLU()(nn.Add(name="join2")(d, c))
    y = nn.PReLU()(nn.Conv2d(4, 3, name="last")(nn.MaxPool2d(2)(y)))
    return nn.build(nn.Linear(4, name="fc")(nn.Flatten()(y)), seed=2)


def curved():
    """ELU and tanh do not keep x . g: the maps must be read."""
    return nn.Sequential(
        nn.Conv2d(6, 3), nn.BatchNorm(), nn.ELU(1.0), nn.MaxPool2d(2), nn.Conv2d(5, 3), nn.Tanh(),
        nn.Flatten(), nn.Linear(4),
    ).build((10, 10, 1), seed=1)  # fmt: skip


NETS = {"vgg": vgg, "lenet": lenet, "residual": residual, "curved": curved}
READ = {"curved": {"conv1", "conv2"}}  # all others are free


def layers_of(model):
    return [n.name for n in model.graph.nodes if n.op.name in ("conv2d", "linear")]


def feeds_of(model, seed):
    rng = np.random.default_rng(seed)
    feeds = {"x": random_images(model, N, seed), "labels": rng.integers(0, 4, N)}
    feeds["lr"] = np.array([0.01], np.float32)
    feeds["rng"] = np.array([3, seed], np.int64)
    return feeds


def from_maps(model, feeds):
    """layer -> (sum of x . g, sum of |x . g|) in float64, from the maps of the plain graph."""
    g = model.graph.copy()
    total = CrossEntropy().emit(g, model.output).loss
    points = {k: chain(model.graph, k)[-1].outputs[0] for k in layers_of(model)}
    g, grads = grad(g, total, [*g.by_role("param"), *points.values()])
    kept = [*points.values(), *(grads[p] for p in points.values())]
    runner = Runner(g, dict(model.copy().tensors), N, keep=kept)
    runner.run(**{k: v for k, v in feeds.items() if k in runner.inputs})
    found = {}
    for k, p in points.items():
        x, dx = (runner.fetch(v).astype(np.float64) for v in (p, grads[p]))
        product = (x * dx).reshape(-1, x.shape[-1])
        found[k] = product.sum(0), np.abs(product).sum(0)
    return found


def step_sums(model, feeds, optimizer, regularizers=(), steps=1):
    """What a training step gathers; its graph; its tensors afterwards."""
    model = model.copy()
    step = build_step(model, CrossEntropy(), regularizers, optimizer, scores=layers_of(model))
    runner = StepRunner(step, {**model.tensors, **step.states}, N)
    fed = {k: v for k, v in feeds.items() if k in runner.inputs}
    for _ in range(steps):
        assert runner.step(fed)
    runner.read()
    return step.scores.read(step.states), step, model


@pytest.mark.devices
@pytest.mark.parametrize("name", NETS)
def test_the_sums_of_a_step_are_those_of_the_maps(name, device):
    model = NETS[name]()
    shake(model, 3)
    feeds = feeds_of(model, 0)
    want = from_maps(model, feeds)
    found, step, _ = step_sums(model.to(device), feeds, SGD(0.0))
    read = READ.get(name, set())
    assert set(step.scores.points) == read and set(step.scores.free) == set(want) - read
    terms = max(s.size for s in infer_specs(model.graph, N).values())
    for layer, (values, size) in want.items():
        assert_close(found[layer][0], values, terms, float(size.max()))
        squares = found[layer][1]
        if layer in read:
            assert np.isnan(squares).all()
        else:
            np.testing.assert_array_equal(squares, found[layer][0] ** 2)


@pytest.mark.parametrize("name", ["vgg", "residual"])
def test_they_come_from_folded_graphs(name):
    _, step, _ = step_sums(NETS[name](), feeds_of(NETS[name](), 0), SGD(0.0))
    ops = {n.op.name for n in step.graph.nodes}
    assert ("batch_norm_pool" in ops) == (name == "vgg")
    assert ("batch_norm_add" in ops) == (name == "residual")
    assert "score_accumulate" not in ops
    assert sum(n.op.name == "score_from_gradients" for n in step.graph.nodes) == 1


@pytest.mark.parametrize("name", NETS)
def test_updates_keep_their_bits(name):
    model = NETS[name]()
    feeds = feeds_of(model, 1)
    _, _, scored = step_sums(model, feeds, SGD(0.1, momentum=0.9), steps=3)
    plain = model.copy()
    step = build_step(plain, CrossEntropy(), (), SGD(0.1, momentum=0.9))
    runner = StepRunner(step, {**plain.tensors, **step.states}, N)
    for _ in range(3):
        runner.step({k: v for k, v in feeds.items() if k in runner.inputs})
    for k, t in plain.tensors.items():
        assert t.numpy().tobytes() == scored.tensors[k].numpy().tobytes(), k


def test_rows_that_are_not_computed_are_not_used():
    model = lenet()
    shake(model, 3)
    feeds = feeds_of(model, 0)
    found, step, _ = step_sums(model, feeds, SemiSync(SGD(0.0), layers="fc1"))
    assert list(step.scores.points) == ["fc1"]
    values, size = from_maps(model, feeds)["fc1"]
    assert_close(found["fc1"][0], values, 1000, float(size.max()))


def test_what_a_regularizer_reads_is_not_free():
    model = vgg()
    terms = (LogActivity(0.1, layers="relu1"),)
    _, step, _ = step_sums(model, feeds_of(model, 0), SGD(0.0), terms)
    assert list(step.scores.points) == ["conv1"], "the penalty reads between norm and ReLU"


def test_a_parameter_with_two_readers_is_not_free():
    model = vgg()
    g = model.graph.copy()
    nodes = chain(g, "conv1")
    assert [n.op.name for n in nodes] == ["conv2d", "batch_norm", "relu"]
    assert free_parameters(g, nodes) == ("bn1.gamma", "bn1.beta")
    LogActivity(0.1, layers="conv1", where="output").emit(g, model.output)
    assert free_parameters(g, nodes) == ("bn1.gamma", "bn1.beta"), "before the norm all may read"
    g.add(g.node("bn2").op, ("relu1", "bn1.gamma", *g.node("bn2").inputs[2:]))
    assert free_parameters(g, nodes) == ()


def test_a_chain_ends_before_a_join():
    g = residual().graph
    nodes = chain(g, "second")
    assert [n.op.name for n in nodes] == ["conv2d", "batch_norm"]
    assert free_parameters(g, nodes) == tuple(nodes[1].inputs[1:3])
    assert free_parameters(g, (*nodes, g.node("join"))) == (), "the sum holds not beyond"


def test_names_must_be_of_layers():
    model = lenet()
    with pytest.raises(GraphError, match="layers must be conv2d or linear, got 'relu1'"):
        ScoreSums.find(model.graph, model.graph, ["relu1"])
    with pytest.raises(GraphError, match="there must be a node 'conv9'"):
        build_step(model, CrossEntropy(), (), SGD(0.1), scores=["conv9"])


# -- the score pass ---------------------------------------------------------------------------------
@pytest.mark.devices
@pytest.mark.parametrize("criterion", ["first", "oracle"])
@pytest.mark.parametrize("name", NETS)
def test_the_pass_with_free_sums_ranks_as_the_one_with_maps(name, criterion, device, rng):
    model = NETS[name]()
    shake(model, 3)
    pruning = pruning_map(model.graph)
    images, labels = random_images(model, 9), rng.integers(0, 4, 9)
    maps, free = (
        score_layers(
            m, pruning, criterion, images=images, labels=labels, batch=4, standard_errors=errors
        )
        for m, errors in ((model, True), (model.to(device), False))
    )
    for a, b in zip(maps, free, strict=True):
        assert a.layer == b.layer and a.standard_error is not None and b.standard_error is None
        assert_close(b.raw, a.raw, 500)
    order = [np.argsort(np.concatenate([s.values for s in f]), kind="stable") for f in (maps, free)]
    assert order[0].tolist() == order[1].tolist()


def test_dead_channels_score_exactly_nothing(rng):
    model = vgg()
    gamma, beta = model.tensors["bn1.gamma"], model.tensors["bn1.beta"]
    for t, value in ((gamma, 1e-3), (beta, -5.0)):  # never above 0
        a = t.numpy()
        a[2] = value
        t.copy_from(a)
    found = score_layers(
        model, pruning_map(model.graph), "oracle", images=random_images(model, 5),
        labels=rng.integers(0, 4, 5), standard_errors=False,
    )  # fmt: skip
    assert found[0].raw[2] == 0 and (np.delete(found[0].raw, 2) > 0).all()


@pytest.mark.parametrize("name", ["lenet5_prune", "vgg13_like", "resnet18_like"])
def test_every_layer_of_the_usual_networks_is_free_in_training(name):
    size = (28, 28, 1) if name.startswith("lenet") else (32, 32, 3)
    graph = models.build(name, size, classes=10, seed=0).graph
    layers = [n.name for n in graph.nodes if n.op.name in ("conv2d", "linear")]
    sums = ScoreSums.find(graph, graph, layers)
    assert list(sums.free) == layers and not sums.points
