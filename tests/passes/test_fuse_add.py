"""Folding of additions for inference: the sum and its ReLU are one node."""

from __future__ import annotations

import numpy as np

from sentei import nn
from sentei.nn import models
from sentei.passes import fuse, inference
from sentei.run import Runner
from sentei.tensor import Tensor


def folded(model):
    arrays = {k: t.numpy() for k, t in model.tensors.items()}
    return fuse(inference(model.graph), arrays)


def outputs(graph, arrays, x):
    runner = Runner(graph, {k: Tensor.from_numpy(a) for k, a in arrays.items()}, len(x))
    runner.run(x=x)
    return runner.fetch(graph.outputs[0])


def joined(relu=True, read_twice=False):
    x = nn.Input((6, 6, 3))
    a = nn.Conv2d(8, 3, padding=1, name="conv1")(x)
    b = nn.BatchNorm(name="bn")(nn.Conv2d(8, 3, padding=1, bias=False, name="conv2")(x))
    y = nn.Add(name="join")(a, b)
    if relu:
        z = nn.ReLU(name="act")(y)
        y = nn.Add(name="again")(y, z) if read_twice else z
    return nn.build(nn.Linear(3, name="fc")(nn.Flatten(name="flat")(y)), seed=2)


def test_folds_relu_into_the_addition(rng):
    model = joined()
    graph, arrays = folded(model)
    ops = [n.op.name for n in graph.nodes]
    assert "relu" not in ops and ops.count("add") == 1
    assert graph.node("join").attrs["relu"] is True
    x = rng.standard_normal((4, 6, 6, 3), dtype=np.float32)
    plain = inference(model.graph)
    want = outputs(plain, {k: model.tensors[k].numpy() for k in plain.by_role("param", "state")}, x)
    np.testing.assert_allclose(outputs(graph, arrays, x), want, rtol=1e-4, atol=1e-5)


def test_leaves_a_sum_that_others_read(rng):
    graph, _ = folded(joined(read_twice=True))
    assert [n.op.name for n in graph.nodes].count("relu") == 1
    assert not any(n.attrs.get("relu") for n in graph.nodes if n.op.name == "add")
    graph, _ = folded(joined(relu=False))
    assert not graph.node("join").attrs.get("relu")


def test_folds_every_block_of_a_residual_network():
    model = models.build("resnet18_like", (32, 32, 3), classes=10, seed=0)
    graph, _ = folded(model)
    ops = [n.op.name for n in graph.nodes]
    assert ops.count("add") == 9 and "relu" not in ops
