"""Statistics in the store of convolutions: what is rewritten, and that training goes the same way."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import array, assert_close
from sentei import losses, nn, optim
from sentei.graph import Graph, Spec
from sentei.ops import BATCH_NORM, CONV2D
from sentei.passes import fuse_statistics, grad, precision, training
from sentei.run import Runner
from sentei.tensor import Tensor
from sentei.train import Trainer, step
from toys import toy_data, toy_net
from train_settings import everything

WINDOW = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)}


def network(bias: bool = False):
    """Convolution and norm, with ReLU, joined with a branch, and pooled."""
    x = nn.Input((8, 8, 3))
    a = nn.Conv2d(8, 3, padding=1, bias=bias, name="conv1")(x)
    a = nn.ReLU(name="act1")(nn.BatchNorm(name="bn1")(a))
    b = nn.BatchNorm(name="bn2")(nn.Conv2d(8, 3, padding=1, bias=bias, name="conv2")(a))
    y = nn.ReLU(name="act2")(nn.Add(name="join")(b, a))
    y = nn.BatchNorm(name="bn3")(nn.Conv2d(13, 3, stride=2, bias=bias, name="conv3")(y))
    y = nn.MaxPool2d(2, name="pool")(nn.ReLU(name="act3")(y))
    y = nn.Conv2d(5, 1, bias=bias, name="conv4")(y)  # no norm behind it
    return nn.build(nn.Linear(10, name="fc")(nn.Flatten(name="flat")(y)), seed=3)


def ops_of(graph):
    return {n.name: n.op.name for n in graph.nodes}


def test_what_is_rewritten():
    plain = training(network().graph)
    g = fuse_statistics(plain)
    ops = ops_of(g)
    assert {k: ops[k] for k in ("bn1", "bn2", "bn3")} == {
        "bn1": "batch_norm_given",
        "bn2": "batch_norm_add_given",
        "bn3": "batch_norm_pool_given",
    }
    assert [ops[f"conv{i}"] for i in (1, 2, 3)] == ["conv2d_statistics"] * 3
    assert ops["conv4"] == "conv2d"
    assert set(plain.values) <= set(g.values) and g.outputs == plain.outputs
    assert g.node("bn1").inputs[-2:] == g.node("conv1").outputs[1:]
    assert g.node("bn1").attrs == plain.node("bn1").attrs
    assert fuse_statistics(g) is g
    rounded = precision(g, "tf32")
    assert rounded.node("conv1").attrs["precision"] == "tf32"


def norms(relu: bool, two: bool = False) -> Graph:
    g = Graph()
    g.add_input("x", Spec((-1, 4, 4, 2)))
    w = g.add_param("w", Spec((3, 3, 3, 2)))
    y = g.add(CONV2D, ("x", w, None), {**WINDOW, "relu": relu}, "conv")[0]
    for i in range(1 + two):
        c = [g.add_param(f"{k}{i}", Spec((3,))) for k in ("gamma", "beta")]
        c += [g.add_state(f"{k}{i}", Spec((3,))) for k in ("mean", "var")]
        out = g.add(BATCH_NORM, (y, *c), {}, f"bn{i}")[0]
    g.outputs = (y, out)
    return g


def test_a_convolution_with_relu_stays():
    g = norms(relu=True)
    assert fuse_statistics(g) is g


def test_two_norms_share_the_statistics_and_others_may_read_y():
    g = fuse_statistics(norms(relu=False, two=True))
    assert g.node("bn0").inputs[-2:] == g.node("bn1").inputs[-2:] == g.node("conv").outputs[1:]
    assert g.outputs[0] == g.node("conv").outputs[0]


@pytest.mark.devices
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("when", ["before gradients", "behind gradients"])
def test_the_same_steps(device, when, bias):
    """Losses, parameters, momenta and running averages of two steps, fused and not."""
    results = []
    for fused in (False, True):
        m = network(bias)
        g = training(m.graph)
        if fused and when == "before gradients":
            g = fuse_statistics(g)
        loss = losses.CrossEntropy().emit(g, m.output)
        g, grads = grad(g, loss.loss)
        states = optim.SGD(0.1, momentum=0.9).emit(g, grads)
        g.outputs = (loss.loss,)
        if fused and when == "behind gradients":
            g = fuse_statistics(g)
        assert ("conv2d_statistics" in ops_of(g).values()) == fused
        tensors = {k: Tensor.from_numpy(t.numpy()).to(device) for k, t in m.tensors.items()}
        tensors |= {k: Tensor.from_numpy(t.numpy()).to(device) for k, t in states.items()}
        runner = Runner(g, tensors, 4, device=device)
        data = np.random.default_rng(1)
        for _ in range(2):
            x = data.standard_normal((4, 8, 8, 3)).astype(np.float32)
            runner.run(x=x, labels=data.integers(0, 10, 4), lr=np.float32([0.1]))
        results.append({k: t.numpy() for k, t in tensors.items()})
    plain, fused = results
    assert plain.keys() == fused.keys()
    for k, value in plain.items():
        # A bias before a norm has no gradient but rounding.
        assert_close(fused[k], value, 100, max(1e-2, float(np.abs(value).max())))


@pytest.mark.devices
def test_training_steps_of_a_device_are_fused(device, monkeypatch):
    """And come to the same as those that are not."""
    runs = []
    for fused in (True, False):
        if not fused:
            monkeypatch.setattr(step, "fuse_statistics", lambda g: g)
        t = Trainer(toy_net(dropout=False).to(device), optim.SGD(0.1, momentum=0.9), batch=20)
        names = ops_of(t._step.graph).values()
        want = fused and device != "cpu"
        assert ("conv2d_statistics" in names) == ("batch_norm_given" in names) == want
        history = t.fit(toy_data(), toy_data(20), epochs=2, progress="none")
        runs.append((everything(t), [row["loss"] for row in history]))
    (a, first), (b, second) = runs
    assert a.keys() == b.keys()
    assert_close(np.array(first), np.array(second), 400)
    for k, value in b.items():
        want_values = array(value)
        if want_values.dtype.kind == "f":
            assert_close(a[k], want_values, 400, max(1e-2, float(np.abs(want_values).max())))
