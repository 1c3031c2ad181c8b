"""The memory plan: nothing that lives at the same time overlaps, and planned = unplanned."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from networks import networks, random_images
from sentei.graph import Spec
from sentei.ops import SOFTMAX_CROSS_ENTROPY
from sentei.ops.eager import eager
from sentei.passes import grad, infer_specs, inference, plan_memory
from sentei.run import Runner
from sentei.tensor import Tensor


def step_graph(model):
    g = model.graph.copy()
    g.add_input("labels", Spec((-1,), "int64"))
    out = g.add(SOFTMAX_CROSS_ENTROPY, (g.outputs[0], "labels"), {"reduction": "mean"}, "loss")
    return grad(g, out[0])


def lifetimes(graph, plan, keep):
    """First and last step of every block, from the graph alone."""
    life = {}
    for i, node in enumerate(graph.nodes):
        used = [
            v
            for k, v in zip(range(len(node.inputs)), node.inputs, strict=True)
            if v is not None
            and not (k < node.op.arity and node.op.argument(k) in node.op.shape_only)
        ]
        for v in [*used, *node.outputs]:
            root = plan.root[v]
            if root in plan.blocks:
                first, last = life.get(root, (i, i))
                life[root] = (min(first, i), max(last, i))
    for v in [*graph.outputs, *keep]:
        root = plan.root[v]
        if root in life:
            life[root] = (life[root][0], len(graph.nodes))
    return life


@settings(max_examples=40, deadline=None, derandomize=True)
@given(networks(), st.integers(1, 3))
def test_nothing_alive_overlaps(model, batch):
    graph, grads = step_graph(model)
    specs = infer_specs(graph, batch)
    keep = list(grads.values())
    plan = plan_memory(graph, specs, keep)
    life = lifetimes(graph, plan, keep)
    assert set(life) == set(plan.blocks)
    spans = [(plan.blocks[v].offset, specs[v].nbytes, *life[v]) for v in life]
    spans += [(w.offset, w.size, i, i) for i, w in plan.workspaces.items()]
    for k, (offset, size, first, last) in enumerate(spans):
        assert offset % 64 == 0 and offset + size <= plan.arena_bytes
        for o2, s2, f2, l2 in spans[:k]:
            if first <= l2 and f2 <= last:
                assert offset + size <= o2 or o2 + s2 <= offset


@settings(max_examples=30, deadline=None, derandomize=True)
@given(networks(), st.integers(1, 3))
def test_planned_equals_eager(model, batch):
    """Running in the arena gives the bits of running each op on memory of its own."""
    graph = inference(model.graph)
    x = random_images(model, batch)
    runner = Runner(graph, model.tensors, batch)
    runner.run(x=x)
    values = {**model.tensors, "x": Tensor.from_numpy(x)}
    for node in graph.nodes:
        outs = eager(node.op, [None if v is None else values[v] for v in node.inputs], **node.attrs)
        values.update(zip(node.outputs, outs, strict=True))
    assert runner.fetch(graph.outputs[0]).tobytes() == values[graph.outputs[0]].numpy().tobytes()


def test_arena_is_smaller_than_the_sum(rng):
    from sentei.nn import models

    model = models.build("vgg13_like", (32, 32, 3), classes=10, seed=0)
    graph, _ = step_graph(model)
    specs = infer_specs(graph, 10)
    plan = plan_memory(graph, specs)
    total = sum(specs[v].nbytes for v in plan.blocks) + sum(
        w.size for w in plan.workspaces.values()
    )
    assert plan.arena_bytes < 0.6 * total


@settings(max_examples=10, deadline=None, derandomize=True)
@given(networks())
def test_same_run_twice_same_bits(model):
    graph, grads = step_graph(model)
    results = []
    for _ in range(2):
        copy = model.copy()
        runner = Runner(graph, copy.tensors, 4, keep=grads.values())
        feeds = {"x": random_images(model, 4), "labels": np.arange(4, dtype=np.int64)}
        if "rng" in runner.inputs:
            feeds["rng"] = np.array([1, 2], np.int64)
        runner.run(**feeds)
        results.append([runner.fetch(v).tobytes() for v in grads.values()])
    assert results[0] == results[1]
