"""Whole-network gradients against differences of the loss along random directions."""

from __future__ import annotations

import numpy as np
import pytest

from sentei import nn
from sentei.errors import GraphError
from sentei.graph import Spec
from sentei.ops import SOFTMAX_CROSS_ENTROPY
from sentei.passes import grad
from sentei.run import Runner
from sentei.tensor import Tensor


def smooth_network():
    """No kinks, so that finite differences converge; fan-out, addition, concatenation, sharing."""
    x = nn.Input((6, 6, 2))
    a = nn.Tanh()(nn.BatchNorm()(nn.Conv2d(5, 3, padding=1, bias=False)(x)))
    b = nn.Add()(nn.Conv2d(5, 3, padding=1)(a), a)
    c = nn.Concat()(b, nn.Softplus()(nn.Conv2d(3, 1)(a)))
    d = nn.Sigmoid()(nn.DepthwiseConv2d(3, padding=1, stride=2)(c))
    e = nn.AvgPool2d(3)(d)
    y = nn.Linear(4)(nn.Tanh()(nn.Linear(7)(nn.Flatten()(e))))
    return nn.build(y, seed=3)


def with_loss(model):
    g = model.graph.copy()
    g.add_input("labels", Spec((-1,), "int64"))
    out = g.add(SOFTMAX_CROSS_ENTROPY, (g.outputs[0], "labels"), {"reduction": "mean"}, "loss")
    return g, out[0]


def test_directional_derivatives(rng):
    model = smooth_network()
    g, loss = with_loss(model)
    full, grads = grad(g, loss)
    assert set(grads) == set(g.by_role("param"))
    feeds = {
        "x": rng.standard_normal((8, 6, 6, 2)).astype(np.float32),
        "labels": rng.integers(0, 4, 8),
    }
    runner = Runner(full, model.tensors, 8, keep=[loss, *grads.values()])
    runner.run(**feeds)
    slopes = {k: runner.fetch(v).astype(np.float64) for k, v in grads.items()}
    base = model.arrays()

    def value(name, direction, t):
        arrays = {**base, name: (base[name] + t * direction).astype(np.float32)}
        run = Runner(g, {k: Tensor.from_numpy(a) for k, a in arrays.items()}, 8, keep=[loss])
        run.run(**feeds)
        return float(run.fetch(loss)[0])

    eps = 1e-2
    for name, slope in slopes.items():
        direction = slope / (np.linalg.norm(slope) or 1.0)
        got = (value(name, direction, eps) - value(name, direction, -eps)) / (2 * eps)
        assert got == pytest.approx(float((slope * direction).sum()), rel=2e-2, abs=2e-4), name


def test_gradient_of_a_temporary_value():
    model = smooth_network()
    g, loss = with_loss(model)
    full, grads = grad(g, loss, ["tanh1"])
    assert set(grads) == {"tanh1"} and full.values[grads["tanh1"]].role == "temp"


def test_refuses_unknown_values():
    g, loss = with_loss(smooth_network())
    with pytest.raises(GraphError, match="every value must be in the graph, got 'nothing'"):
        grad(g, loss, ["nothing"])
    with pytest.raises(GraphError, match="got 'lost'"):
        grad(g, "lost")


def test_a_parameter_off_the_path_has_no_gradient():
    model = smooth_network()
    g, loss = with_loss(model)
    g.add_param("unused", Spec((3,)))
    assert "unused" not in grad(g, loss)[1]
