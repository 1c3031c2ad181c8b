"""Gates on filters: attaching, training in turns, closing, and the smaller network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import vectors
from networks import networks, random_images
from sentei import nn, optim
from sentei.errors import DataError, GraphError
from sentei.graph import Graph
from sentei.model import Model
from sentei.passes import freeze_statistics, thaw_statistics
from sentei.prune import (
    Closing,
    Target,
    TargetUnreachableError,
    attach_blocks,
    attach_gates,
    close_gates,
    fold_blocks,
    gates_of,
    outlook,
    pruning_map,
    smallest_costs,
)
from sentei.prune.gates import Gate
from sentei.regularizers import OpenGates
from sentei.train import Trainer
from toys import same_bits, toy_data, toy_net


def set_m(model: Model, layer: str, values) -> None:
    gate = next(g for g in gates_of(model.graph) if g.layer == layer)
    model.tensors[gate.m].copy_from(np.asarray(values, np.float32))


def native(model: Model, images):
    """Outputs of a model with its gates run as gates."""
    return model.predictor(len(images), fused=False)(images)


def test_attaching_changes_nothing_but_h():
    model = toy_net(norm=True, dropout=False)
    images = toy_data(20).images
    gated = attach_gates(model, "step")
    assert [g.layer for g in gates_of(gated.graph)] == ["conv1", "conv2"]
    np.testing.assert_array_equal(native(gated, images), native(model, images))
    assert gated.graph.node("bn1").inputs[1:3] == ("bn1.gamma.gated", "bn1.beta.gated")
    assert gated.graph.node("conv2").inputs[1:3] == ("conv2.weight.gated", "conv2.bias.gated")
    assert not gates_of(model.graph)
    assert Graph.from_json(gated.graph.to_json()).to_json() == gated.graph.to_json()
    # h scales the batch norm's output, so that of a layer and of its channel
    set_m(gated, "conv1", [1, -1, 1, -1, -1])
    masked = model.copy()
    for name in ("bn1.gamma", "bn1.beta"):
        kept = masked.tensors[name].numpy() * np.array([1, 0, 1, 0, 0], np.float32)
        masked.tensors[name].copy_from(kept)
    np.testing.assert_array_equal(native(gated, images), native(masked, images))


def test_patterns_choose_layers():
    model = toy_net()
    assert [g.layer for g in gates_of(attach_gates(model, layers="*2").graph)] == ["conv2"]
    names = [g.layer for g in gates_of(attach_gates(model, layers=["fc1", "conv*"]).graph)]
    assert names == ["conv1", "conv2", "fc1"]
    with pytest.raises(GraphError, match=r"layers must name some of \['conv1', .*\], got 'cnov1'"):
        attach_gates(model, layers="cnov1")
    with pytest.raises(GraphError, match="got 'fc2': fc2: it is the network's output"):
        attach_gates(model, layers="fc2")
    with pytest.raises(GraphError, match="got 'fc1': fc1: a Pruning Block follows convolutions"):
        attach_blocks(model, layers="fc1")
    with pytest.raises(GraphError, match="must have a layer that can be pruned, got none"):
        attach_gates(nn.build(nn.Sequential(nn.Flatten(), nn.Linear(3)), (2, 2, 1)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: attach_gates(m, "hard"), "kind must be 'step' or 'sigmoid', got 'hard'"),
        (lambda m: attach_gates(m, alpha=0), "alpha must be a finite number above 0, got 0"),
        (lambda m: attach_gates(m, start=1.5), "start must be within .-1, got 1.5"),
        (lambda m: attach_gates(m, place="input"), "place must be 'output' or 'norm_input'"),
        (lambda m: attach_gates(attach_gates(m)), "network must have none yet"),
        (lambda m: attach_blocks(attach_gates(m)), "network must have none yet"),
        (lambda m: attach_blocks(m, width=0), "width must be a finite number above 0, got 0"),
        (lambda m: Closing(1.0), r"threshold must be in \[0, 1\) of h, got 1.0"),
        (lambda m: Closing(-0.1), r"threshold must be in \[0, 1\) of h, got -0.1"),
        (lambda m: Closing(-1.1, "m"), r"threshold must be in \[-1, 1\) of m, got -1.1"),
        (lambda m: Closing(of="w"), "of must be 'h' or 'm', got 'w'"),
        (lambda m: Closing(floor=0), "floor must be at least 1, got 0"),
        (lambda m: close_gates(m, Closing(), m.costs()), "network must have gates, got none"),
        (lambda m: fold_blocks(attach_blocks(m)), "gates must be closed before"),
        (lambda m: OpenGates(-1.0), "OpenGates: lam must be at least 0, got -1.0"),
        (
            lambda m: Trainer(m, optim.SGD(0.1), regularizers=[OpenGates(1.0)], batch=20),
            "OpenGates: the network must have gates, got none",
        ),
        (
            lambda m: optim.InTurns(optim.SGD(0.1), optim.SGD(0.1), -1),
            "InTurns: bound must be at least 0, got -1",
        ),
        (
            lambda m: Trainer(m, optim.InTurns(optim.SGD(0.1), optim.SGD(0.1)), batch=20),
            "InTurns: the network must have gates",
        ),
    ],
)
def test_refuses(call, message):
    with pytest.raises((ValueError, GraphError), match=message):
        call(toy_net())


def test_refuses_other_optimizers():
    with pytest.raises(TypeError, match="gates must be SGD, got Adam"):
        optim.InTurns(optim.SGD(0.1), optim.Adam(0.1))
    with pytest.raises(TypeError, match=r"weights must be an optimizer, got 0\.1"):
        optim.InTurns(0.1, optim.SGD(0.1))
    gated = attach_gates(toy_net())
    set_m(gated, "conv1", [np.nan] * 5)
    with pytest.raises(DataError, match="auxiliary variables of conv1 must be finite"):
        close_gates(gated, Closing(), toy_net().costs())


@pytest.mark.parametrize("case", ["removed", "removed_01"])
def test_vectors_of_what_is_removed(case):
    v = vectors("aux_masks")
    m, threshold, alpha = v[f"{case}.m"], float(v[f"{case}.threshold"]), float(v["alpha"])
    step = Gate("conv1", "conv1.m", {"kind": "step", "alpha": alpha})
    smooth = Gate("conv1", "conv1.m", {"kind": "sigmoid", "alpha": alpha})
    for gate, of, name in (
        (step, "h", "autoprune"),
        (smooth, "h", "sigmoid_on_h"),
        (smooth, "m", "sigmoid_on_m"),
    ):
        np.testing.assert_array_equal(Closing(threshold, of).closed(gate, m), v[f"{case}.{name}"])


@settings(max_examples=15, deadline=None, derandomize=True)
@given(networks(), st.sampled_from(["step", "sigmoid"]), st.booleans(), st.integers(0, 999))
def test_closed_networks_compute_what_the_masked_ones_do(model, kind, freeze, seed):
    """close_gates proves both steps itself; here that the proof sees every kind of network."""
    if not any(x.prunable for x in pruning_map(model.graph).layers):
        with pytest.raises(GraphError, match="must have a layer that can be pruned, got none"):
            attach_gates(model, kind)
        return
    gated = attach_gates(model, kind, freeze=freeze)
    rng = np.random.default_rng(seed)
    for g in gates_of(gated.graph):
        set_m(gated, g.layer, rng.uniform(-0.3, 0.3, gated.tensors[g.m].shape))
    before = {k: t.numpy() for k, t in gated.tensors.items()}
    closed = close_gates(gated, Closing(), model.costs())
    same_bits(before, gated.tensors)
    assert closed.max_abs_diff <= closed.tolerance
    assert not gates_of(closed.model.graph)
    assert closed.final.macs == closed.model.costs().macs <= model.costs().macs
    assert len(closed.steps) == closed.shut and closed.forced == 0
    assert {n.op.name for n in closed.model.graph.nodes} <= {n.op.name for n in model.graph.nodes}
    images = random_images(gated, 4)
    everything_open = attach_gates(model, "step")
    np.testing.assert_array_equal(
        close_gates(everything_open, Closing(), model.costs()).model.predict(images),
        model.predict(images),
    )


def test_closing_by_threshold_floor_and_target():
    model = toy_net(norm=True)
    gated = attach_gates(model, "sigmoid")
    set_m(gated, "conv1", [-0.5, 0.2, -0.2, 0.1, 0.3])
    set_m(gated, "conv2", [-0.9, -0.8, -0.7, -0.6])
    seen = outlook(gated, Closing(), model.costs())
    assert seen.layers == (("conv1", 2, 5), ("conv2", 4, 4)) and (seen.closed, seen.total) == (6, 9)
    closed = close_gates(gated, Closing(), model.costs())
    assert closed.model.meta["kept"] == {"conv1": [1, 3, 4], "conv2": [3]}
    assert (closed.shut, closed.forced, closed.opened) == (5, 0, 1)
    assert [(s.layer, s.channel) for s in closed.steps] == [
        ("conv2", 0), ("conv2", 1), ("conv2", 2), ("conv1", 0), ("conv1", 2),
    ]  # fmt: skip
    # the one that the floor kept is open: its weights are the layer's own
    w = model.tensors["conv2.weight"].numpy()[3:, :, :, [1, 3, 4]]
    np.testing.assert_array_equal(closed.model.tensors["conv2.weight"].numpy(), w)
    h = 1 / (1 + np.exp(-50 * np.float32([0.2, 0.1, 0.3]).astype(float)))
    np.testing.assert_allclose(closed.model.tensors["bn1.gamma"].numpy(), h, rtol=1e-6)
    wide = close_gates(gated, Closing(floor=3), model.costs())
    assert [len(v) for v in wide.model.meta["kept"].values()] == [3, 3]
    on_m = close_gates(gated, Closing(-0.55, "m"), model.costs())
    assert on_m.model.meta["kept"] == {"conv2": [3]}
    aim = Target(flops=closed.final.flops - 1)
    forced = close_gates(gated, Closing(target=aim), model.costs())
    assert forced.model.meta["kept"]["conv1"] == [1, 4] and forced.forced == 1
    assert forced.final.flops <= aim.budget(model.costs())
    with pytest.raises(TargetUnreachableError, match="target must be reachable, but at most 5"):
        close_gates(gated, Closing(target=Target(flops=5)), model.costs())
    assert smallest_costs(gated, Closing()).macs < forced.final.macs


def trained(kind="sigmoid", steps=6, *, freeze=False, **kwargs):
    gated = attach_gates(toy_net(), kind, freeze=freeze)
    t = Trainer(
        gated,
        optim.InTurns(optim.SGD(0.05, momentum=0.9, weight_decay=1e-3), optim.SGD(0.1)),
        batch=20,
        seed=3,
        regularizers=[OpenGates(0.5)],
        **kwargs,
    )
    t.steps(toy_data(), steps)
    return t


@pytest.mark.parametrize("kind", ["step", "sigmoid"])
def test_weights_and_gates_learn_in_turns(kind):
    t = trained(kind, 0)
    gates = {g.m for g in gates_of(t.model.graph)}
    running = {k for k in t.model.tensors if ".running_" in k}
    for turn in (0, 1, 0, 1):
        before = {k: v.numpy() for k, v in t.model.tensors.items()}
        t.steps(toy_data(), 1)
        moved = {k for k, v in t.model.tensors.items() if not np.array_equal(v.numpy(), before[k])}
        assert running <= moved
        assert moved - running == (gates if turn else set(before) - gates - running)


def test_a_step_of_the_gates_follows_the_loss():
    """One batch, no batch norm, no dropout: the loss of training is that of evaluation."""
    data, lam, lr = toy_data(20), 0.5, 0.01
    smooth = (nn.Conv2d(5, 3), nn.Tanh(), nn.Conv2d(4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(3))
    gated = attach_gates(nn.build(smooth, (6, 6, 2)), "sigmoid", alpha=5.0)
    t = Trainer(
        gated,
        optim.InTurns(optim.SGD(0.0), optim.SGD(lr)),
        batch=20,
        regularizers=[OpenGates(lam)],
    )
    before = t.model.tensors["conv1.m"].numpy()
    t.steps(data, 2)
    step = (before - t.model.tensors["conv1.m"].numpy()) / lr
    for i in range(5):
        ends = []
        for e in (1e-2, -1e-2):
            m = before.copy()
            m[i] += e
            probe = gated.copy()
            for name in ("conv1.m", "conv2.m"):
                probe.tensors[name].copy_from(np.full(probe.tensors[name].shape, 0.1, np.float32))
            probe.tensors["conv1.m"].copy_from(m)
            loss = Trainer(probe, optim.SGD(0.1), batch=20).evaluate(data)["loss"]
            ends.append(loss + lam * float(np.mean(1 / (1 + np.exp(-5.0 * m.astype(float))))))
        assert step[i] == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=0.02, abs=2e-4)


def test_gates_are_clipped_and_get_no_decay():
    gated = attach_gates(toy_net(), "step")
    huge = optim.InTurns(optim.SGD(0.0), optim.SGD(1e6), bound=0.75)
    t = Trainer(gated, huge, batch=20, regularizers=[OpenGates(1.0)])
    t.steps(toy_data(), 2)
    m = np.concatenate([t.model.tensors[k].numpy() for k in ("conv1.m", "conv2.m")])
    assert set(np.abs(m)) == {np.float32(0.75)}
    assert not any(gated.graph.values[g.m].decay for g in gates_of(gated.graph))


@pytest.mark.parametrize("stop", [1, 2, 5])
@pytest.mark.parametrize("kind", ["step", "sigmoid"])
def test_resumed_is_never_stopped(tmp_path, kind, stop):
    whole = trained(kind, 8)
    part = trained(kind, stop)
    part.save_checkpoint(tmp_path / "c.safetensors")
    again = Trainer.resume(tmp_path / "c.safetensors")
    assert isinstance(again.optimizer, optim.InTurns)
    assert again.regularizers == (OpenGates(0.5),)
    again.steps(toy_data(), 8 - stop)
    same_bits(again.model.tensors, whole.model.tensors)
    same_bits(again.state_tensors, whole.state_tensors)


def test_frozen_statistics_stand_still():
    model = toy_net()
    assert thaw_statistics(freeze_statistics(model.graph)).to_json() == model.graph.to_json()
    t = trained(freeze=True)
    for name in ("bn1.running_mean", "bn1.running_var"):
        np.testing.assert_array_equal(t.model.tensors[name].numpy(), model.tensors[name].numpy())
    assert not np.array_equal(
        t.model.tensors["bn1.gamma"].numpy(), model.tensors["bn1.gamma"].numpy()
    )
    closed = close_gates(t.model, Closing(), model.costs())
    assert closed.model.graph.node("bn1").op.name == "batch_norm"


def test_ahead_of_a_batch_norm_the_gates_feel_no_loss():
    """T 4.23: there the scale cancels, so that only the penalty moves m."""
    model = toy_net()
    means = []
    for place in ("output", "norm_input"):
        gated = attach_gates(model, "sigmoid", layers="conv1", place=place)
        t = Trainer(gated, optim.InTurns(optim.SGD(0.0), optim.SGD(0.01)), batch=20)
        t.steps(toy_data(), 2)
        means.append(np.abs(t.model.tensors["conv1.m"].numpy() - np.float32(0.1)).max())
    assert means[1] < 1e-3 * means[0]


@pytest.mark.devices
@pytest.mark.parametrize("kind", ["step", "sigmoid"])
def test_in_turns_on_a_device(device, kind):
    base = trained(kind, 0)
    runs = []
    for where in ("cpu", device):
        t = Trainer(
            base.model.copy().to(where), base.optimizer, batch=20, seed=3,
            regularizers=base.regularizers,
        )  # fmt: skip
        runs.append((t.steps(toy_data(), 5), {k: v.numpy() for k, v in t.model.tensors.items()}))
    for k, value in runs[0][0].items():
        assert runs[1][0][k] == pytest.approx(value, rel=1e-3)
    for k, array in runs[0][1].items():
        np.testing.assert_allclose(runs[1][1][k], array, atol=2e-4, err_msg=k)


@pytest.mark.devices
def test_a_loss_that_is_not_finite_is_found_in_either_turn(device):
    from sentei.data import Dataset
    from sentei.errors import NonFiniteError

    data = toy_data()
    for turn in (0, 1):
        t = trained(steps=0)
        t = Trainer(t.model.to(device), t.optimizer, batch=20, seed=3, regularizers=t.regularizers)
        t.steps(data, 2 + turn)
        before = {k: v.numpy() for k, v in t.model.tensors.items()}
        bad = Dataset(np.full_like(data.images, 3e38), data.labels)
        with pytest.raises(NonFiniteError, match=f"loss of step {2 + turn} .*the layer"):
            t.steps(bad, 4)
        for k in ("conv1.weight", "conv1.m"):
            np.testing.assert_array_equal(t.model.tensors[k].numpy(), before[k])
