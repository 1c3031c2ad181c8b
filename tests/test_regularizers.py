"""Regularizers: where they attach and what they add."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_vector
from sentei import losses, optim, regularizers
from sentei.describe import described, from_description
from sentei.errors import GraphError
from sentei.train.step import StepRunner, build_step
from toys import mlp, toy_data, toy_net


def objective(model, terms) -> tuple[float, float, StepRunner]:
    step = build_step(model, losses.CrossEntropy(), terms, optim.SGD(0.0))
    data = toy_data(12)
    r = StepRunner(step, {**model.tensors, **step.states}, 12)
    feeds = {"x": data.images, "labels": data.labels, "lr": np.zeros(1, np.float32)}
    assert r.step(feeds)
    return r.number(step.total), r.number(step.loss), r


@pytest.mark.parametrize("form", ["neuron", "channel"])
@pytest.mark.parametrize("where", ["input", "output"])
def test_log_activity(form, where):
    model = toy_net(dropout=False)
    kind = regularizers.LogActivity(0.7, "relu1", form, where)
    total, loss, _ = objective(model, [kind])
    x = toy_data(12).images
    from sentei.model import Model

    g = model.graph.copy()
    node = g.node("relu1")
    g.outputs = (node.inputs[0] if where == "input" else node.outputs[0],)
    # the training form: statistics of the batch
    from sentei.run import Runner

    r = Runner(g, Model(model.graph, model.tensors).copy().tensors, 12)
    r.run(x=x)
    u = r.fetch(g.outputs[0]).astype(np.float64)
    d = u[0].size
    s = np.log1p(u**2).sum() if form == "neuron" else np.log1p((u**2).sum((1, 2))).sum()
    assert_vector(total - loss, np.array(0.7 * s / (12 * d)), 1e-5)


def test_all_activations_by_default():
    model = toy_net(dropout=False)
    step = build_step(model, losses.CrossEntropy(), [regularizers.LogActivity(0.1)], optim.SGD(0.1))
    assert sum(n.op.name == "sparse_penalty" for n in step.graph.nodes) == 3


def test_discriminant():
    total, loss, _ = objective(toy_net(dropout=False), [regularizers.Discriminant(0.5)])
    assert 0 < (total - loss) / 0.5 <= 3.0001  # sum of three ratios, each at most 1


def test_descriptions():
    for r in (
        regularizers.LogActivity(0.1, ["a", "b*"], "channel", "output"),
        regularizers.Discriminant(2.0),
    ):
        assert from_description(described(r), regularizers.KINDS) == r


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: regularizers.LogActivity(-1.0), "lam"),
        (lambda: regularizers.LogActivity(1.0, form="row"), "form"),
        (lambda: regularizers.LogActivity(1.0, where="side"), "where"),
        (lambda: regularizers.Discriminant(float("nan")), "lam"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_refuses_graphs():
    ce = losses.CrossEntropy()
    with pytest.raises(GraphError, match=r"layers must name some of .*got 'nowhere'"):
        build_step(mlp([4, 3]), ce, [regularizers.LogActivity(1.0, "nowhere")], optim.SGD(0.1))
    with pytest.raises(GraphError, match="network without ReLU"):
        build_step(mlp([4, 3]), ce, [regularizers.LogActivity(1.0)], optim.SGD(0.1))
    with pytest.raises(GraphError, match="must take class labels"):
        build_step(mlp([4, 3]), losses.Squared(), [regularizers.Discriminant()], optim.SGD(0.1))
