"""The training form of a graph: what is folded, what is not, and that no number changes."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close
from sentei import nn
from sentei.losses import CrossEntropy
from sentei.nn import models
from sentei.optim import SGD
from sentei.passes import grad, training
from sentei.run import Runner
from sentei.tensor import Tensor


def residual(join_first: bool = True, relu: bool = True):
    x = nn.Input((8, 8, 3))
    a = nn.Conv2d(8, 3, padding=1, bias=False, name="conv1")(x)
    a = nn.ReLU(name="act1")(nn.BatchNorm(name="bn1")(a))
    b = nn.BatchNorm(name="bn2")(nn.Conv2d(8, 3, padding=1, bias=False, name="conv2")(a))
    y = nn.Add(name="join")(*((b, a) if join_first else (a, b)))
    if relu:
        y = nn.ReLU(name="act2")(y)
    y = nn.MaxPool2d(2, name="pool")(nn.BatchNorm(name="bn3")(y))
    y = nn.Linear(10, name="fc")(nn.Flatten(name="flat")(y))
    return nn.build(y, seed=3)


def ops_of(graph):
    return {n.name: n.op.name for n in graph.nodes}


@pytest.mark.parametrize("join_first", [True, False])
def test_folds_a_residual_block(join_first):
    g = training(residual(join_first).graph)
    ops = ops_of(g)
    assert ops["bn2"] == "batch_norm_add" and ops["bn3"] == "batch_norm_pool"
    assert ops["bn1"] == "batch_norm" and g.node("bn1").attrs["relu"] is True
    assert not {"join", "act1", "act2", "pool"} & set(ops)
    assert {"act1", "act2", "pool.y"} <= set(g.values), "the last values keep their names"


def two_norms(eps: float = 1e-5, shared: bool = False):
    """A block whose shortcut has a norm too; shared: something else reads that."""
    x = nn.Input((8, 8, 3))
    a = nn.BatchNorm(name="bn1")(nn.Conv2d(4, 3, padding=1, bias=False, name="conv1")(x))
    b = nn.BatchNorm(eps=eps, name="bn2")(nn.Conv2d(4, 1, bias=False, name="conv2")(x))
    y = nn.ReLU(name="act")(nn.Add(name="join")(a, b))
    if shared:
        y = nn.Add(name="again")(y, b)
    return nn.build(nn.Linear(10, name="fc")(nn.Flatten(name="flat")(y)), seed=3)


def test_joins_two_norms():
    g = training(two_norms().graph, join=True)
    ops = ops_of(g)
    assert ops["bn1"] == "batch_norm_join" and not {"bn2", "join", "act"} & set(ops)
    assert "batch_norm_join" not in ops_of(training(two_norms().graph)).values()


@pytest.mark.parametrize("model", [two_norms(eps=1e-3), two_norms(shared=True)])
def test_does_not_join(model):
    """Other settings, or another reader of the branch."""
    ops = ops_of(training(model.graph, join=True))
    assert "batch_norm_join" not in ops.values() and ops["bn2"] == "batch_norm"


def test_leaves_an_addition_without_relu():
    ops = ops_of(training(residual(relu=False).graph))
    assert ops["bn2"] == "batch_norm" and ops["join"] == "add"


def test_folds_relu_into_convolution_and_linear():
    m = nn.build(
        [
            nn.Conv2d(4, 3, name="conv"),
            nn.ReLU(name="a"),
            nn.MaxPool2d(3, stride=2, name="pool"),
            nn.Flatten(name="flat"),
            nn.Linear(6, name="fc1"),
            nn.ReLU(name="b"),
            nn.Linear(3, name="fc2"),
        ],
        (9, 9, 1),
    )
    g = training(m.graph)
    assert g.node("conv").attrs["relu"] and g.node("fc1").attrs["relu"]
    assert not g.node("fc2").attrs.get("relu")
    assert ops_of(g)["pool"] == "max_pool2d" and "a" not in ops_of(g)


def test_keeps_a_window_that_is_not_two_by_two():
    layers = [
        nn.BatchNorm(name="bn"),
        nn.MaxPool2d(3, stride=2, name="pool"),
        nn.Flatten(name="flat"),
        nn.Linear(3, name="fc"),
    ]
    ops = ops_of(training(nn.build(layers, (9, 9, 2)).graph))
    assert ops["bn"] == "batch_norm" and ops["pool"] == "max_pool2d"


@pytest.mark.parametrize(
    ("size", "ceil_mode", "folded"),
    [(8, True, True), (8, False, True), (9, True, False), (9, False, True)],
)
def test_folds_pooling_where_no_window_hangs_over(rng, size, ceil_mode, folded):
    """ceil_mode, as in the networks of the literature, makes no difference on even maps."""
    layers = [
        nn.BatchNorm(name="bn"),
        nn.ReLU(name="act"),
        nn.MaxPool2d(2, ceil_mode=ceil_mode, name="pool"),
        nn.Flatten(name="flat"),
        nn.Linear(3, name="fc"),
    ]
    model = nn.build(layers, (size, size, 2))
    g = training(model.graph)
    assert ("pool" not in ops_of(g)) == folded
    assert ops_of(g)["bn"] == ("batch_norm_pool" if folded else "batch_norm")
    x = rng.standard_normal((3, size, size, 2), dtype=np.float32)
    out = []
    for graph in (model.graph, g):
        own = {k: Tensor.from_numpy(t.numpy()) for k, t in model.tensors.items()}
        runner = Runner(graph, own, 3)
        runner.run(x=x)
        out.append(runner.fetch(model.output))
    np.testing.assert_array_equal(out[1], out[0])


@pytest.mark.parametrize("name", ["lenet5_prune", "vgg13_like"])
def test_folds_every_pooling_of_a_network(name):
    shape = models.network(name).input_shape
    g = training(models.build(name, shape, classes=10, seed=0).graph)
    assert "max_pool2d" not in ops_of(g).values()
    assert "batch_norm_pool" in ops_of(g).values()


@pytest.mark.parametrize("make", [residual, lambda: residual(False), two_norms])
def test_changes_no_number(rng, make):
    """One step of the folded graph against one of the plain graph."""
    results = []
    for fold in (False, True):
        m = make()
        g = training(m.graph, join=True) if fold else m.graph.copy()
        loss = CrossEntropy().emit(g, m.output)
        g, grads = grad(g, loss.loss)
        states = SGD(0.1, momentum=0.9).emit(g, grads)
        g.outputs = (loss.loss,)
        tensors = {**m.tensors, **states}
        runner = Runner(g, tensors, 4)
        data = np.random.default_rng(1)
        for _ in range(2):
            x = data.standard_normal((4, 8, 8, 3)).astype(np.float32)
            runner.run(x=x, labels=data.integers(0, 10, 4), lr=np.float32([0.1]))
        results.append({k: t.numpy() for k, t in tensors.items()})
    plain, folded = results
    assert plain.keys() == folded.keys()
    for k in plain:
        assert_close(folded[k], plain[k], 4 * 8 * 8)  # gradients sum over the batch's pixels
