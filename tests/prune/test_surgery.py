"""Masked network = pruned network, on random networks; what is tied goes together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from networks import networks, random_images, shake
from sentei import nn
from sentei.errors import DataError, GraphError
from sentei.nn import models
from sentei.passes import infer_specs
from sentei.prune import preview
from sentei.prune.surgery import keep_first, remove
from sentei.prune.units import pruning_map
from sentei.prune.verify import VerificationError, verify


@settings(max_examples=120, deadline=None, derandomize=True)
@given(networks(), st.data())
def test_masked_equals_pruned(model, data):
    include = data.draw(st.sampled_from([("conv2d",), ("conv2d", "linear")]))
    pruning = pruning_map(model.graph, include=include)
    widths, chosen = pruning.widths(), []
    for unit in data.draw(st.permutations(pruning.units)) if pruning.units else []:
        if len(chosen) < 4 and pruning.removable(unit, widths):
            chosen.append(unit)
            for layer, _ in unit.members:
                widths[layer] -= 1
    assume(chosen)
    smaller, keep = remove(model, pruning, chosen)
    infer_specs(smaller.graph, 2)
    assert smaller.costs().params < model.costs().params
    images = random_images(model, 3)
    proof = verify(model, smaller, pruning, chosen, images)
    assert proof.passed
    for (name, axis), indices in keep.items():
        assert smaller.tensors[name].shape[axis] == len(indices)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(networks())
def test_smallest_network_still_runs(model):
    pruning = pruning_map(model.graph, include=("conv2d", "linear"))
    gone = keep_first(pruning)
    assume(gone)
    smaller, _ = remove(model, pruning, gone)
    assert verify(model, smaller, pruning, gone, random_images(model, 2)).passed
    look = preview(model, include=("conv2d", "linear"))
    assert look.smallest.params <= smaller.costs().params


def test_a_wrong_weight_is_noticed():
    """The proof fails when what is left differs by one percent of one filter."""
    model = models.build("lenet5_prune", (28, 28, 1), classes=10, seed=0)
    shake(model, 1)
    pruning = pruning_map(model.graph)
    unit = pruning.units[0]
    smaller, _ = remove(model, pruning, [unit])
    images = random_images(model, 4)
    assert verify(model, smaller, pruning, [unit], images).passed
    array = smaller.tensors["conv1.weight"].numpy()
    array[0] *= 1.01
    smaller.tensors["conv1.weight"].copy_from(array)
    with pytest.raises(VerificationError, match="must equal the masked one"):
        verify(model, smaller, pruning, [unit], images)


@pytest.mark.parametrize("forgotten", ["bn1.gamma", "bn1.beta", "conv1.weight"])
def test_a_mask_without_scale_or_shift_is_noticed(forgotten):
    """A channel speaks again when its scale or its shift is not zeroed; its filter alone is silent."""
    model = models.build("lenet5_prune", (28, 28, 1), classes=10, seed=0)
    shake(model, 1)
    pruning = pruning_map(model.graph)
    gone = [u for u in pruning.units if u.first[0] == "conv1"][:8]
    smaller, _ = remove(model, pruning, gone)
    producing = {k: v for k, v in pruning.groups.producing.items() if k[0] != forgotten}
    groups = replace(pruning.groups, producing=producing)
    half = replace(pruning, groups=groups)
    if (
        forgotten == "conv1.weight"
    ):  # behind a batch norm of scale and shift 0 nothing of it is left
        assert verify(model, smaller, half, gone, random_images(model, 4)).passed
        return
    with pytest.raises(VerificationError, match="must equal the masked one"):
        verify(model, smaller, half, gone, random_images(model, 4))


def test_residual_channels_go_together():
    model = models.build("resnet18_like", (32, 32, 3), classes=10, seed=0)
    pruning = pruning_map(model.graph)
    sizes = {len({layer for layer, _ in u.members}) for u in pruning.units}
    assert sizes == {1, 2}  # a block's first conv alone; its second with the shortcut
    unit = next(u for u in pruning.units if len(u.members) == 2)
    smaller, _ = remove(model, pruning, [unit])
    for layer, _ in unit.members:
        assert pruning_map(smaller.graph).widths()[layer] == pruning.widths()[layer] - 1


def test_flatten_takes_every_pixel_of_a_channel():
    model = models.build("lenet5_prune", (28, 28, 1), classes=10, seed=0)
    pruning = pruning_map(model.graph)
    unit = pruning.units[-1]
    smaller, _ = remove(model, pruning, [unit])
    linear = next(n for n in model.graph.nodes if n.op.name == "linear")
    weight = linear.inputs[1]
    assert model.tensors[weight].shape[1] - smaller.tensors[weight].shape[1] == 7 * 7


def test_the_given_model_is_untouched():
    model = models.build("lenet5_prune", (28, 28, 1), classes=10, seed=0)
    before = {k: a.tobytes() for k, a in model.arrays().items()}
    pruning = pruning_map(model.graph)
    smaller, _ = remove(model, pruning, pruning.units[:3])
    assert {k: a.tobytes() for k, a in model.arrays().items()} == before
    kept = smaller.meta["kept"]
    again, _ = remove(smaller, pruning_map(smaller.graph), pruning_map(smaller.graph).units[:1])
    first = next(iter(kept))
    assert kept[first] == list(range(3, 32)) and again.meta["kept"][first] == list(range(4, 32))


def test_output_and_input_stay():
    model = nn.Sequential(nn.Conv2d(4, 3), nn.Flatten(), nn.Linear(3)).build((5, 5, 2))
    pruning = pruning_map(model.graph, include=("conv2d", "linear"))
    layers = {layer.name: layer for layer in pruning.layers}
    linear = next(v for v in layers.values() if v.op == "linear")
    assert linear.prunable == 0 and "the network's output" in (linear.reason or "")


def test_refusals():
    model = models.build("lenet5_prune", (28, 28, 1), classes=10, seed=0)
    pruning = pruning_map(model.graph)
    with pytest.raises(GraphError, match="at least one unit"):
        remove(model, pruning, [])
    with pytest.raises(GraphError, match="must keep at least one element"):
        remove(
            model, pruning, [u for u in pruning.units if u.first[0] == pruning.units[0].first[0]]
        )
    with pytest.raises(GraphError, match="ignore must match a layer, got 'nope'"):
        pruning_map(model.graph, ignore=["nope"])
    with pytest.raises(ValueError, match="floor must be at least 1, got 0"):
        pruning_map(model.graph, floor=0)
    with pytest.raises(ValueError, match="include must name ops"):
        pruning_map(model.graph, include=("pool",))


@pytest.mark.parametrize("kept", [5, {"conv1": [1, 2]}, {"conv1": "abc"}, {"none": []}])
def test_notes_that_do_not_fit_are_refused(kept):
    model = models.build("lenet5_prune", (28, 28, 1), classes=10)
    model.meta["kept"] = kept
    pruning = pruning_map(model.graph)
    with pytest.raises(DataError, match=r"meta\['kept'\] must give every channel"):
        remove(model, pruning, pruning.units[:1])


def same_map(a, b):
    """Two pruning maps say the same, whatever numbers the labels have."""
    assert [u.members for u in a.units] == [u.members for u in b.units]
    assert a.layers == b.layers and a.widths() == b.widths()
    assert set(a.groups.labels) == set(b.groups.labels)
    for u, v in zip(a.units, b.units, strict=True):
        for axis, left in a.groups.removal([u.label]).items():
            assert np.array_equal(left, b.groups.removal([v.label])[axis])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(networks(), st.data())
def test_map_without_units_is_that_of_the_pruned_graph(model, data):
    pruning = pruning_map(model.graph, include=("conv2d", "linear"))
    for _ in range(3):
        widths = pruning.widths()
        units = [u for u in pruning.units if pruning.removable(u, widths)]
        assume(units)
        chosen = [data.draw(st.sampled_from(units))]
        model, _ = remove(model, pruning, chosen)
        fresh = pruning_map(model.graph, include=("conv2d", "linear"))
        made = pruning.without(chosen)
        if made is not None:
            same_map(made, fresh)
        pruning = made or fresh


@pytest.mark.parametrize("name", ["lenet5_prune", "vgg13_like"])
def test_map_of_a_plain_stack_is_never_read_again(name):
    model = models.build(name, seed=0)
    pruning = pruning_map(model.graph)
    chosen = [pruning.units[3], pruning.units[-1]]
    smaller, _ = remove(model, pruning, chosen)
    made = pruning.without(chosen)
    assert made is not None
    same_map(made, pruning_map(smaller.graph))


def test_shared_tensors_are_those_that_lose_nothing():
    model = models.build("lenet5_prune", seed=0)
    pruning = pruning_map(model.graph)
    smaller, keep = remove(model, pruning, [pruning.units[-1]], share=True)
    apart, _ = remove(model, pruning, [pruning.units[-1]])
    touched = {name for name, _ in keep}
    for name, t in model.tensors.items():
        assert (smaller.tensors[name] is t) == (name not in touched)
        assert not apart.tensors[name].overlaps(t)
        assert np.array_equal(smaller.tensors[name].numpy(), apart.tensors[name].numpy())
        want = t.numpy()
        for axis in range(want.ndim):
            want = np.take(want, keep.get((name, axis), range(want.shape[axis])), axis)
        assert np.array_equal(smaller.tensors[name].numpy(), want)
