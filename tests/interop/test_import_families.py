"""The torchvision families, exported by both exporters of PyTorch: equal, trainable, prunable."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from extras import need
from helpers import assert_close
from sentei.data import Dataset
from sentei.io import import_onnx, load, save
from sentei.optim import SGD
from sentei.passes import infer_specs
from sentei.prune import preview, pruning_map, remove, verify
from sentei.prune.surgery import keep_first
from sentei.train import Trainer

need("onnx")
torch = need("torch")
from interop import torch_nets as nets  # noqa: E402

SIZE = 33  # odd: strides and pools meet the border
TERMS = 12_000  # of a sum through all layers of these networks
QUICK = [(name, False) for name in sorted(nets.FAMILIES)] + [("resnet", True)]
ALL = [
    *QUICK,
    *(
        pytest.param(n, True, marks=pytest.mark.slow)
        for n in sorted(nets.FAMILIES)
        if n != "resnet"
    ),
]


@functools.cache
def family(name, dynamo, training=False):
    """(network, model): eval mode folds batch norms, training keeps them."""
    net = nets.trained_a_little(nets.FAMILIES[name]())
    if training:
        for m in net.modules():
            if isinstance(m, torch.nn.Dropout):
                m.p = 0.0  # so that both compute the same
    side = 16 if name == "vgg" else SIZE
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    file = nets.export(net.train(training), x, dynamo=dynamo, training=training)
    return net.eval(), import_onnx(file)


def images(model, n=5, seed=3):
    return np.random.default_rng(seed).standard_normal((n, *model.input_shape)).astype(np.float32)


def to_torch(x):
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


@pytest.mark.parametrize(("name", "dynamo"), ALL)
def test_says_what_torch_says(name, dynamo):
    net, model = family(name, dynamo)
    x = images(model)
    with torch.no_grad():
        want = net(to_torch(x)).numpy()
    assert_close(model.predict(x), want, TERMS)


@pytest.mark.parametrize("name", sorted(nets.FAMILIES))
def test_kept_batch_norms_say_it_too(name):
    net, model = family(name, False, training=True)
    kept = sum(n.op.name == "batch_norm" for n in model.graph.nodes)
    assert kept == sum(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
    x = images(model)
    with torch.no_grad():
        want = net(to_torch(x)).numpy()
    assert_close(model.predict(x), want, TERMS)


def moved(array, how, like):
    """An array of ours as PyTorch holds it."""
    if how == "KRSC":
        return array.transpose(0, 3, 1, 2)
    if how == "OI" and like is not None:  # columns of a flattened image
        h, w, c = like
        return array.reshape(-1, h, w, c).transpose(0, 3, 1, 2).reshape(array.shape)
    return array


@pytest.mark.parametrize("name", sorted(nets.FAMILIES))
def test_one_step_of_training_is_that_of_torch(name):
    """Gradients of all parameters, batch norms in training mode: w - lr dw after one step of SGD."""
    net, model = family(name, False, training=True)
    model = model.copy()
    rng = np.random.default_rng(5)
    x, labels = images(model, 16, 5), rng.integers(0, 10, 16)
    Trainer(model, SGD(0.5), batch=16, seed=0).steps(Dataset(x, labels), 1)
    before = {k: p.detach().clone() for k, p in net.named_parameters()}
    net.train()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    try:
        net.zero_grad()
        torch.nn.functional.cross_entropy(net(to_torch(x)), torch.from_numpy(labels)).backward()
    finally:
        net.load_state_dict(state)
        net.eval()
    specs = infer_specs(model.graph, 1)
    origin = model.meta["onnx"]["tensors"]
    seen = set()
    for node in model.graph.nodes:
        for value in node.inputs[1:]:
            if value is None or model.graph.values[value].role != "param":
                continue
            about = origin[value]
            parameter = dict(net.named_parameters())[about["name"]]
            flat = next((n for n in model.graph.nodes if n.outputs[0] == node.inputs[0]), None)
            like = specs[flat.inputs[0]].shape[1:] if flat and flat.op.name == "flatten" else None
            got = moved(model.tensors[value].numpy(), about["moved"], like)
            want = (before[about["name"]] - 0.5 * parameter.grad).numpy()
            scale = float(np.abs(want).max()) + float(parameter.grad.abs().max())
            assert_close(got, want, TERMS, scale)
            seen.add(about["name"])
    assert seen == set(before)


@pytest.mark.parametrize(("name", "dynamo"), ALL)
def test_training_reduces_the_loss(name, dynamo):
    model = family(name, dynamo)[1].copy()
    rng = np.random.default_rng(6)
    data = Dataset(images(model, 30, 6), rng.integers(0, 10, 30))
    trainer = Trainer(model, SGD(0.02, momentum=0.9), batch=30, seed=0)
    first = trainer.steps(data, 1)["loss"]
    for _ in range(5):
        last = trainer.steps(data, 5)["loss"]
    assert last < 0.9 * first


@pytest.mark.parametrize("training", [False, True], ids=["folded", "kept"])
@pytest.mark.parametrize("name", sorted(nets.FAMILIES))
def test_masked_equals_pruned(name, training):
    _, model = family(name, False, training)
    pruning = pruning_map(model.graph)
    rng = np.random.default_rng(7)
    widths, chosen = pruning.widths(), []
    for k in rng.permutation(len(pruning.units)):
        unit = pruning.units[k]
        if len(chosen) < 6 and pruning.removable(unit, widths):
            chosen.append(unit)
            for layer, _ in unit.members:
                widths[layer] -= 1
    assert len(chosen) == 6
    smaller, _ = remove(model, pruning, chosen)
    assert smaller.costs().params < model.costs().params
    assert verify(model, smaller, pruning, chosen, images(model, 3)).passed


@pytest.mark.parametrize("name", sorted(nets.FAMILIES))
def test_every_hidden_convolution_can_be_pruned(name):
    _, model = family(name, False)
    look = preview(model)
    left = {x.name: x.reason for x in look.layers if x.op == "conv2d" and not x.prunable}
    if name == "squeezenet":  # its last convolution gives the logits
        assert len(left) == 1 and "output" in next(iter(left.values()))
    elif name == "mobilenet_v2":
        assert left and all("depthwise" in why for why in left.values())
    else:
        assert not left
    gone = keep_first(pruning_map(model.graph))
    smaller, _ = remove(model, pruning_map(model.graph), gone)
    assert smaller.predict(images(model, 2)).shape == (2, 10)


def test_saved_and_loaded(tmp_path):
    _, model = family("mobilenet_v2", False, training=True)
    save(model, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    x = images(model)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert again.meta == model.meta


def test_dropout_of_a_training_file_is_kept():
    net = nets.trained_a_little(nets.VGG())
    x = torch.zeros(2, 3, 16, 16)
    model = import_onnx(nets.export(net.train(), x, dynamo=False, training=True))
    (drop,) = [n for n in model.graph.nodes if n.op.name == "dropout"]
    assert drop.attrs["keep"] == 0.5 and "rng" in model.graph.values


REAL = [
    ("resnet18", 64, True),
    ("mobilenet_v2", 64, False),
    ("squeezenet1_1", 64, True),
    ("densenet121", 64, False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "dynamo"), REAL)
def test_torchvision_itself(name, size, dynamo):
    need("torchvision")
    net = nets.trained_a_little(getattr(nets.torchvision_models(), name)(weights=None))
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2))
    model = import_onnx(nets.export(net, x, dynamo=dynamo))
    with torch.no_grad():
        want = net(x).numpy()
    got = model.predict(np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1)))
    assert_close(got, want, 40 * TERMS)
    assert sum(layer.prunable for layer in preview(model).layers) > 1000
