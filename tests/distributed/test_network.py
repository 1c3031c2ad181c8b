"""A sentei network as a flat objective: its gradient, its recipe, and training against the Trainer."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from sentei import nn
from sentei.distributed import SGD, AdaGrad, Minibatches, Network, downpour, synchronous
from sentei.distributed.engine import using
from sentei.distributed.objective import cuts
from sentei.errors import DTypeError, GraphError, ShapeError
from sentei.losses import CrossEntropy
from sentei.nn import models
from sentei.optim import Optimizer
from sentei.regularizers import LogActivity
from sentei.train import Trainer
from virtual_time import VirtualCluster


def small(dropout: float = 0.0, seed: int = 0):
    parts = [nn.Conv2d(4, 3), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    parts += [nn.Dropout(1 - dropout)] if dropout else []
    return nn.Sequential(*parts, nn.Linear(3)).build((6, 6, 2), seed=seed)


def images(n: int, rng: np.random.Generator):
    """Images whose pixels hang together, and labels that follow from them."""
    x = rng.normal(size=(n, 6, 6, 2))
    x = (0.7 * x + 0.7 * x.mean((1, 2), keepdims=True) * 6).astype(np.float32)
    y = np.digitize(x.mean((1, 2, 3)), [-0.5, 0.5]).astype(np.int64)
    return x, y


@pytest.mark.parametrize("terms", [(), (LogActivity(0.1),)])
def test_the_gradient_is_that_of_central_differences(rng, terms):
    x, y = images(8, rng)
    recipe = Network(small(), regularizers=terms, weight_decay=0.1, l2=0.05)
    objective = recipe.build()
    w = recipe.start()
    loss, g = objective.loss_grad(w, (x, y, 0))
    decays = np.zeros(recipe.size)
    graph = small().graph
    for name, end in zip(recipe.parameters, recipe.ends, strict=True):
        if graph.values[name].decay:
            decays[end - int(np.prod(graph.values[name].spec.shape)) : end] = 0.2
    for i in rng.choice(recipe.size, 12, replace=False):
        step = np.zeros_like(w)
        step[i] = 1e-2
        up, down = (objective.loss_grad(w + s * step, (x, y, 0))[0] for s in (1, -1))
        want = (up - down) / (2 * step[i]) + decays[i] * w[i]  # the decay is not part of the loss
        assert abs(g[i] - want) < 2e-3 * max(1.0, np.abs(g).max()), recipe.parameters
    assert np.isfinite(loss)


def test_a_recipe_travels_without_its_weights_and_is_built_again(rng):
    batch = (*images(4, rng), 7)
    recipe = Network(small(dropout=0.5))
    there = pickle.loads(pickle.dumps(recipe))
    with pytest.raises(GraphError, match="where the recipe was made"):
        there.start()
    here = recipe.build().loss_grad(recipe.start(), batch)
    gone = there.build().loss_grad(recipe.start(), batch)
    np.testing.assert_array_equal(here[1], gone[1])
    other = recipe.build().loss_grad(recipe.start(), (*batch[:2], 8))
    assert not np.array_equal(here[1], other[1])  # dropout follows the number


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_one_synchronous_replica_makes_the_steps_of_the_trainer(rng, tmp_path, dropout):
    data = images(60, rng)
    alone = small(dropout)
    trainer = Trainer(alone, SGD(0.1, momentum=0.9), batch=10, seed=3)
    trainer.fit(data, epochs=2, progress="none")
    model = small(dropout)
    recipe = Network(model, seed=3)
    chunks = Minibatches(data, 10, per_chunk=4, epochs=2, seed=3)
    with using(VirtualCluster()):
        rule = SGD(0.1, momentum=0.9)
        found = synchronous(
            recipe, chunks, replicas=1, shards=2, rule=rule, shuffle=False, store=tmp_path
        )
    recipe.into(model, found.weights)
    for name in recipe.parameters:
        np.testing.assert_array_equal(
            np.asarray(model.tensors[name]), np.asarray(alone.tensors[name]), err_msg=name
        )
    assert found.counters.updates == [12, 12]


def test_two_synchronous_replicas_make_the_steps_of_the_double_batch(rng, tmp_path):
    x, y = images(80, rng)
    parts = [nn.Conv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3)]  # no batch norm: exact claim
    alone = nn.Sequential(*parts).build((6, 6, 2), seed=1)
    model = alone.copy()
    objective = Network(alone).build()
    w = Network(alone).start().astype(np.float64)
    for i in range(0, 80, 20):
        _, g = objective.loss_grad(w.astype(np.float32), (x[i : i + 20], y[i : i + 20], 0))
        w -= 0.1 * g
    chunks = [[(x[i : i + 10], y[i : i + 10], 0)] for i in range(0, 80, 10)]
    with using(VirtualCluster()):
        found = synchronous(
            Network(model), chunks, replicas=2, rule=SGD(0.1), shuffle=False, store=tmp_path
        )
    np.testing.assert_allclose(found.weights, w, atol=1e-6)


def test_downpour_learns_a_network(rng, tmp_path):
    data = images(400, rng)
    model = small()
    before = _accuracy(model, data)
    recipe = Network(model)
    chunks = Minibatches(data, 20, per_chunk=5, epochs=4)
    with using(VirtualCluster(1)):
        found = downpour(recipe, chunks, replicas=3, shards=2, rule=AdaGrad(0.05), store=tmp_path)
    from sentei.train import recalibrate_bn

    recipe.into(model, found.weights)
    recalibrate_bn(model, data, 10, 20)
    assert _accuracy(model, data) > max(before + 0.2, 0.85)
    assert found.counters.updates == [80, 80]
    assert found.counters.staleness_max >= 1


def _accuracy(model, data):
    return float(np.mean(model.predict(data[0]).argmax(1) == data[1]))


def test_shards_are_cut_at_layers():
    recipe = Network(models.build("lenet5_prune", (28, 28, 1), 10))
    bounds = cuts(recipe.size, 3, recipe.blocks)
    assert bounds[0] == 0 and bounds[-1] == recipe.size and sorted(bounds) == list(bounds)
    near = [b for b in range(1, 3) if bounds[b] in recipe.blocks]
    even = [round(recipe.size * i / 3) for i in (1, 2)]
    close = [any(abs(b - e) * 30 <= recipe.size for b in recipe.blocks) for e in even]
    assert len(near) == sum(close)
    assert cuts(100, 2, (48,)) == (0, 48, 100)
    assert cuts(100, 2, (30,)) == (0, 50, 100)


def test_chunks_are_the_epochs_of_the_trainer(rng):
    x, y = images(50, rng)
    chunks = Minibatches((x, y), 10, per_chunk=3, epochs=2, seed=5)
    assert len(chunks) == 4 and [chunks.length(i) for i in range(4)] == [3, 2, 3, 2]
    numbers = [n for i in range(4) for *_, n in chunks[i]]
    assert numbers == list(range(10))
    first = np.concatenate([b[0] for i in (0, 1) for b in chunks[i]])
    second = np.concatenate([b[0] for i in (2, 3) for b in chunks[i]])
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(np.sort(first, axis=None), np.sort(second, axis=None))
    with pytest.raises(IndexError):
        chunks[4]


def test_refusals(rng):
    class Mine(CrossEntropy):
        pass

    with pytest.raises(GraphError, match="a class of your own"):
        Network(small(), Mine())
    objective = Network(small()).build()
    batch = (*images(4, rng), 0)
    with pytest.raises(DTypeError, match="contiguous float32"):
        objective.loss_grad(np.zeros(objective.size), batch)
    with pytest.raises(ShapeError, match="weights must have shape"):
        Network(small()).into(small(), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="per_chunk"):
        Minibatches((batch[0], batch[1]), 2, per_chunk=0)
    assert issubclass(type(SGD(0.1)), Optimizer)
