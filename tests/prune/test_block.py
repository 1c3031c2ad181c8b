"""Pruning Blocks: attaching, folding, cost; against the reference vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import array, assert_vector, cases, vectors
from networks import networks, random_images
from sentei import nn, optim
from sentei.graph import Graph
from sentei.model import Model
from sentei.passes import infer_specs
from sentei.prune import (
    Closing,
    attach_blocks,
    blocks_of,
    close_gates,
    fold_blocks,
    gates_of,
    smallest_costs,
)
from sentei.prune.block import folded
from sentei.regularizers import OpenGates
from sentei.train import Trainer
from toys import same_bits, toy_data, toy_net

V = vectors("pruning_block")


def network_of(case: str) -> Model:
    """The network of a case, its block included."""

    def v(key: str) -> np.ndarray:
        return V[f"{case}.{key}"].astype(np.float32)

    c, inner = v("w1").shape[0], v("m").size
    pool = {0: [], 1: [nn.AvgPool2d(2)], 2: [nn.MaxPool2d(2)]}[int(V[f"{case}.pool"])]
    linear = f"{case}.fc_w" in V
    last = [nn.Flatten(), nn.Linear(len(v("fc_w")))] if linear else None
    last = last or [nn.Conv2d(len(v("w2")), 3, padding=1)]
    eps = float(V[f"{case}.bn_eps"])
    layers = [nn.Conv2d(c, 3, padding=1, bias=False), nn.BatchNorm(eps=eps), nn.ReLU(), *pool]
    model = nn.build([*layers, *last], v("x").shape[1:])
    end = "fc1" if linear else "conv2"
    block = attach_blocks(model, layers="conv1", width=inner / c, alpha=float(V[f"{case}.alpha"]))
    given = {
        "conv1.weight": v("w1"),
        "bn1.gamma": v("bn_gamma"),
        "bn1.beta": v("bn_beta"),
        "bn1.running_mean": v("bn_mean"),
        "bn1.running_var": v("bn_var"),
        "conv1.encoder.weight": v("encoder")[:, None, None, :],
        "conv1.encoder.m": v("m"),
        "conv1.decoder.weight": v("decoder")[:, None, None, :],
        f"{end}.weight": v("fc_w") if linear else v("w2"),
        f"{end}.bias": v("b2"),
    }
    assert set(given) == set(block.tensors)
    for name, value in given.items():
        block.tensors[name].copy_from(np.ascontiguousarray(value))
    return block


@pytest.mark.parametrize("case", cases("pruning_block"))
def test_vectors(case):
    block, x = network_of(case), V[f"{case}.x"]
    tol = 1e-5
    for fused in (True, False):
        assert_vector(block.predictor(len(x), fused=fused)(x), V[f"{case}.y"], tol)
    closed = close_gates(block, Closing(1e-3), block.costs())
    assert closed.model.meta["kept"]["conv1.encoder"] == V[f"{case}.kept"].tolist()
    small = fold_blocks(closed.model)
    assert_vector(small.predict(x), V[f"{case}.folded.y"], tol)
    tensors = {k: array(t) for k, t in small.tensors.items()}
    assert_vector(tensors["conv1.weight"], V[f"{case}.folded.w1"], tol)
    assert_vector(tensors["conv1.bias"], V[f"{case}.folded.b1"], tol)
    if case == "max_pool":
        assert blocks_of(closed.model.graph) == ("conv1",)
        names = [n.name for n in small.graph.nodes]
        assert names == ["conv1", "relu1", "conv1.decoder", "pool1", "conv2"]
        got = tensors["conv1.decoder.weight"][:, 0, 0, :]
        assert_vector(got, V[f"{case}.folded.decoder"], tol)
    elif f"{case}.folded.fc_w" in V:
        assert_vector(tensors["fc1.weight"], V[f"{case}.folded.fc_w"], tol)
    else:
        assert_vector(tensors["conv2.weight"], V[f"{case}.folded.w2"], tol)
    assert not any("batch_norm" in n.op.name for n in small.graph.nodes)
    assert closed.final.macs == small.costs().macs


@settings(max_examples=20, deadline=None, derandomize=True)
@given(networks(), st.sampled_from([0.5, 1.0, 1.4]), st.booleans(), st.integers(0, 999))
def test_folding_changes_no_output(model, width, every, seed):
    layers = None
    if every:  # those without an activation too, such as the ends of residual blocks
        layers = ["*conv*"]
    try:
        block = attach_blocks(model, layers=layers, width=width, seed=seed)
    except ValueError as e:
        able = [n for n in model.graph.nodes if n.op.name == "conv2d"]
        if layers is None:
            assert "must have a layer that can be pruned" in str(e)  # noqa: PT017
        else:
            assert not able or "can be pruned" in str(e) or "name some of" in str(e)  # noqa: PT017
        return
    rng = np.random.default_rng(seed)
    for g in gates_of(block.graph):
        t = block.tensors[g.m]
        t.copy_from(rng.uniform(-0.3, 0.3, t.shape).astype(np.float32))
    images = random_images(block, 4)
    closed = close_gates(block, Closing(), model.costs())
    small = fold_blocks(closed.model)
    want = closed.model.predictor(4, fused=False)(images)
    got = small.predictor(4, fused=False)(images)
    assert np.abs(got - want).max() <= 1e-5 * max(1.0, np.abs(want).max())
    again = Graph.from_json(small.graph.to_json())  # as a file holds it
    assert again.to_json() == small.graph.to_json()
    # shapes alone give the same graph as numbers do
    alone, none = folded(closed.model.graph)
    assert none == {} and alone.to_json() == small.graph.to_json()
    assert infer_specs(alone, 1) and closed.final.macs == small.costs().macs


def test_a_block_starts_where_the_network_was():
    model = toy_net(norm=True)
    images = toy_data(20).images
    want = model.predict(images)
    block = attach_blocks(model)
    assert [n.name for n in block.graph.nodes][:8] == [
        "conv1", "bn1", "conv1.encoder.gate", "conv1.encoder.weight.gated", "conv1.encoder",
        "relu1", "conv1.decoder", "conv2",
    ]  # fmt: skip
    for g in gates_of(block.graph):
        t = block.tensors[g.m]
        t.copy_from(np.ones(t.shape, np.float32))  # h = 1
    np.testing.assert_allclose(block.predict(images), want, rtol=1e-5, atol=1e-5)
    assert block.graph.values["conv1.encoder.weight"].decay
    with pytest.raises(ValueError, match="must have no Pruning Block yet"):
        attach_blocks(close_gates(block, Closing(), model.costs()).model)


def test_decoders_fold_where_readers_are_linear():
    """conv1's decoder goes into conv2; conv2's into fc1 through the flattening."""
    block = attach_blocks(toy_net(norm=True))
    closed = close_gates(block, Closing(), toy_net().costs())
    names = [n.name for n in fold_blocks(closed.model).graph.nodes]
    assert names == [
        "conv1",
        "relu1",
        "conv2",
        "relu2",
        "flatten1",
        "fc1",
        "relu3",
        "dropout1",
        "fc2",
    ]
    assert closed.final.macs == toy_net().costs().macs
    least = smallest_costs(block, Closing())
    assert least.macs == 6 * 6 * 9 * 2 + 2 * 2 * 9 + 2 * 2 * 11 + 33


def test_training_with_blocks_resumes_and_prunes(tmp_path):
    def trainer() -> Trainer:
        return Trainer(
            attach_blocks(toy_net()),
            optim.InTurns(optim.SGD(0.05, momentum=0.9), optim.SGD(0.3)),
            batch=20,
            seed=3,
            regularizers=[OpenGates(3.0)],
        )

    whole = trainer()
    whole.steps(toy_data(), 40)
    part = trainer()
    part.steps(toy_data(), 17)
    part.save_checkpoint(tmp_path / "c.safetensors")
    again = Trainer.resume(tmp_path / "c.safetensors")
    again.steps(toy_data(), 23)
    same_bits(again.model.tensors, whole.model.tensors)
    closed = close_gates(whole.model, Closing(), toy_net().costs())
    assert closed.shut > 0
    small = fold_blocks(closed.model)
    assert small.costs().macs < toy_net().costs().macs
    images = toy_data(30, seed=8).images
    want = closed.model.predict(images)
    assert np.abs(small.predict(images) - want).max() <= 1e-5 * np.abs(want).max()
