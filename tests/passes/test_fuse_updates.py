"""Merged updates: the same trajectory bit for bit, and nothing moved that must not be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sentei import losses, optim
from sentei.graph import Graph, Spec
from sentei.ops import ADD, SGD_UPDATE
from sentei.passes.fuse_updates import fuse_updates
from sentei.run import Runner
from sentei.tensor import Tensor
from sentei.train.step import StepRunner, build_step
from toys import mlp


def kinds(graph):
    return [n.op.name for n in graph.nodes if n.op.mutates and n.op.name != "counter_advance"]


def trained(step, model, rng, device):
    """All parameters and states after three steps."""
    tensors = {k: Tensor.from_numpy(t.numpy()).to(device) for k, t in model.tensors.items()}
    tensors |= {k: Tensor.from_numpy(t.numpy()).to(device) for k, t in step.states.items()}
    runner = StepRunner(step, tensors, 5)
    for k in range(3):
        feeds = {
            name: rng.standard_normal(t.shape).astype(np.float32)
            if t.dtype == "float32"
            else rng.integers(0, 3, t.shape)
            for name, t in runner.inputs.items()
        }
        assert runner.step(feeds | {"lr": np.array([0.1 / (k + 1)], np.float32)})
    return {k: t.numpy() for k, t in tensors.items()}


@pytest.mark.devices
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("semi", [False, True])
def test_the_same_trajectory(device, momentum, semi):
    model = mlp([4, 9, 7, 3])
    opt = optim.SGD(0.1, weight_decay=0.01, l2=0.02, momentum=momentum)
    step = build_step(model, losses.CrossEntropy(), (), optim.SemiSync(opt) if semi else opt)
    fused = replace(step, graph=fuse_updates(step.graph))
    own = ["semi_sync_update"] * (4 if semi else 0)
    assert sorted(kinds(step.graph)) == sorted(own + ["sgd_update"] * (2 if semi else 6))
    assert sorted(kinds(fused.graph)) == sorted([*own, "sgd_update_many"])
    node = next(n for n in fused.graph.nodes if n.op.name == "sgd_update_many")
    assert set(model.graph.by_role("param")) - set(node.changed()) == {
        v for n in fused.graph.nodes if n.op.name == "semi_sync_update" for v in n.changed()
    } & set(model.graph.by_role("param"))
    assert node.attrs["weight_decay"].count(0.01) == (1 if semi else 3)  # biases have none
    a = trained(step, model, np.random.default_rng(1), device)
    b = trained(fused, model, np.random.default_rng(1), device)
    assert a.keys() == b.keys() and any(
        not np.array_equal(a[k], model.tensors[k]) for k in model.tensors
    )
    for k in a:
        assert a[k].tobytes() == b[k].tobytes(), k


def updates(reader=None, shared=False):
    """Three updates; `reader` reads that parameter after the first of them."""
    g = Graph()
    g.add_input("lr", Spec((1,)))
    for name in "abc":
        g.add_param(name, Spec((3,)))
        g.add_input(f"d{name}", Spec((3,)))
    for k, name in enumerate("aac" if shared else "abc"):
        g.add(SGD_UPDATE, (name, f"d{name}", None, "lr"), {}, f"u{k}")
        if k == 0 and reader:
            g.outputs = g.add(ADD, (reader, reader), name="twice")
    return g


def results(g):
    tensors = {n: Tensor.from_numpy(np.full(3, i, np.float32)) for i, n in enumerate("abc")}
    r = Runner(g, {n: t for n, t in tensors.items() if n in g.values}, 1)
    feeds = {f"d{n}": np.full(3, 10.0 * (i + 1), np.float32) for i, n in enumerate("abc")}
    r.run(lr=np.ones(1, np.float32), **feeds)
    return {n: t.numpy().tolist() for n, t in tensors.items()} | {
        o: r.fetch(o).tolist() for o in g.outputs
    }


@pytest.mark.parametrize(
    ("reader", "left"),
    [(None, ["u_many"]), ("a", ["u0", "twice", "u_many"]), ("b", ["twice", "u_many"])],
)
def test_a_value_read_in_between_is_not_moved_past_its_reader(reader, left):
    g = updates(reader)
    fused = fuse_updates(g)
    assert [n.name.replace("update.many", "u_many") for n in fused.nodes] == left
    assert results(fused) == results(g)


def test_a_parameter_updated_twice_is_updated_in_order():
    g = updates(shared=True)
    fused = fuse_updates(g)
    assert [n.op.name for n in fused.nodes] == ["sgd_update", "sgd_update_many"]
    assert results(fused) == results(g)


def test_with_and_without_momentum_and_other_step_sizes_stay_apart():
    g = Graph()
    for lr in ("lr", "lr2"):
        g.add_input(lr, Spec((1,)))
    for i in range(7):
        for kind in "wgv":
            g.add_state(f"{kind}{i}", Spec((2,)))
        v = f"v{i}" if i < 3 else None
        attrs = {"momentum": 0.1 * i} if v else {}
        g.add(SGD_UPDATE, (f"w{i}", f"g{i}", v, "lr2" if i == 6 else "lr"), attrs)
    fused = fuse_updates(g)
    assert [(n.op.name, n.inputs[:2]) for n in fused.nodes] == [
        ("sgd_update_many", ("lr", "w0")),
        ("sgd_update_many", ("lr", "w3")),
        ("sgd_update", ("w6", "g6")),
    ]
    assert fused.nodes[0].attrs["momentum"] == (0.0, 0.1, 0.2)
    assert len({n.name for n in fused.nodes}) == 3
    assert [n.op.name for n in Graph.from_json(fused.to_json()).nodes] == [
        n.op.name for n in fused.nodes
    ]


@pytest.mark.devices
def test_what_a_merged_update_changed_is_put_back(device):
    """A loss that is not finite: the cpu updates nothing, a device rewinds."""
    model = mlp([4, 9, 3])
    step = build_step(model, losses.CrossEntropy(), (), optim.SGD(0.1, momentum=0.9))
    step = replace(step, graph=fuse_updates(step.graph))
    tensors = {
        k: Tensor.from_numpy(t.numpy()).to(device) for k, t in (model.tensors | step.states).items()
    }
    before = {k: t.numpy().tobytes() for k, t in tensors.items()}
    runner = StepRunner(step, tensors, 5)
    feeds = {
        k: np.full(t.shape, np.nan, np.float32) if t.dtype == "float32" else np.zeros(t.shape, int)
        for k, t in runner.inputs.items()
    }
    if runner.step(feeds | {"lr": np.array([0.1], np.float32)}):
        assert all(t.numpy().tobytes() != before[k] for k, t in tensors.items())
        runner.rewind()
    assert {k: t.numpy().tobytes() for k, t in tensors.items()} == before
