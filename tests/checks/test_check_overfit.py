"""Overfitting a handful: what can be learnt is, and what is wrong gets its name."""

from __future__ import annotations

import numpy as np
import pytest

from sentei import losses, nn
from sentei.errors import DataError
from sentei.workflow.check import check_overfit, handful
from sentei.workflow.check.anatomy import without_dropout
from toys import mlp, same_bits, toy_data, toy_net

DATA = toy_data(9)


def test_learns_by_heart_and_leaves_the_model():
    model = toy_net()
    before = model.arrays()
    found = check_overfit(model, DATA.images, DATA.labels, steps=300, lr=0.01)
    assert found.reached and not found.findings
    assert found.losses[-1] <= 0.01 < found.losses[0] and found.steps < 300
    same_bits(before, model.arrays())


def test_regression():
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    found = check_overfit(mlp([4, 20, 2]), x, x[:, :2] ** 2, losses.Squared(), lr=0.01)
    assert found.reached


def finding(model, x=DATA.images, labels=DATA.labels, **kw):
    found = check_overfit(model, x, labels, **kw)
    assert not found.reached
    return " ".join(found.findings)


def test_dead_units():
    layers = nn.Sequential(nn.Flatten(), nn.Linear(8), nn.ReLU(), nn.Linear(3))
    model = nn.build(layers, (6, 6, 2))
    model.tensors["fc1.bias"].copy_from(np.full(8, -100, np.float32))
    assert "relu1 gives 0 for every sample" in finding(model, steps=120)


def test_nothing_comes_through():
    layers = [nn.Flatten(), *[nn.Linear(8), nn.Sigmoid()] * 14, nn.Linear(3)]
    said = finding(nn.build(nn.Sequential(*layers), (6, 6, 2)), steps=120)
    assert "outputs are nearly the same" in said


def test_contradicting_labels():
    x = np.repeat(DATA.images[:1], 3, 0)
    said = finding(toy_net(), x, np.array([0, 1, 0]), steps=120)
    assert "samples 0 and 1 are the same image with different labels" in said


def test_too_few_steps_and_too_large_ones():
    assert "give it more" in finding(mlp([72, 3]), DATA.images.reshape(9, -1), steps=2)
    said = finding(mlp([72, 3]), DATA.images.reshape(9, -1), steps=150, lr=1e-4)
    assert "still falling" in said and "raise --lr" in said


def test_not_finite():
    model = mlp([4, 30, 3])
    x = np.full((3, 4), 1e30, np.float32)
    model.tensors["fc1.weight"].copy_from(np.full((30, 4), 1e30, np.float32))
    said = finding(model, x, np.array([0, 1, 2]))
    assert "not finite at step 0, first in the layer 'fc1'" in said


def test_without_dropout():
    model = toy_net()
    plain = without_dropout(model)
    assert not any(n.op.name == "dropout" for n in plain.graph.nodes)
    assert not [v for v in plain.graph.values.values() if v.name == "rng"]
    assert plain.graph.by_role("param") == model.graph.by_role("param")


def test_handful_takes_every_class():
    labels = np.array([0] * 50 + [1] * 5 + [2] * 3)
    chosen = handful(labels, 9, seed=4)
    assert np.bincount(labels[chosen]).tolist() == [3, 3, 3]
    assert np.array_equal(chosen, handful(labels, 9, seed=4))
    assert not np.array_equal(chosen, handful(labels, 9, seed=5))
    assert np.bincount(labels[handful(labels, 20)]).tolist() == [12, 5, 3]
    assert len(handful(np.zeros((6, 2), np.float32), 4)) == 4


def test_refuses():
    with pytest.raises(DataError, match="at least one sample"):
        check_overfit(toy_net(), DATA.images[:0], DATA.labels[:0])
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        check_overfit(toy_net(), DATA.images, DATA.labels, steps=0)
