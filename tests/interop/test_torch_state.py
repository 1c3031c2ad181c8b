"""State dicts of PyTorch: layouts, names, pruned networks, files, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from extras import need
from helpers import assert_close
from networks import networks, shake
from sentei import nn
from sentei.errors import DataError, DTypeError, GraphError, ShapeError
from sentei.io import load, load_torch_state_dict, save, to_torch_state_dict
from sentei.nn import models
from sentei.prune.surgery import remove
from sentei.prune.units import pruning_map

torch = need("torch")

from torch_twins import LeNet, ResNet, randomise, said, widths_of  # noqa: E402

TERMS = 4096  # of the longest sum, through all layers


def images_for(model, n=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *model.input_shape)).astype(np.float32)


def pruned(model, every=3):
    """Without every third unit that may go."""
    pruning = pruning_map(model.graph, include=("conv2d", "linear"))
    widths, gone = pruning.widths(), []
    for unit in pruning.units[::every]:
        if pruning.removable(unit, widths):
            gone.append(unit)
            for layer, _ in unit.members:
                widths[layer] -= 1
    return remove(model, pruning, gone)[0]


def lenet(seed=0):
    model = models.build("lenet5_prune", seed=seed)
    shake(model, seed)
    return model


def resnet(seed=0):
    model = models.build("resnet20", seed=seed)
    shake(model, seed)
    return model


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "pruned"])
@pytest.mark.parametrize("name", ["lenet", "resnet"])
def test_a_torch_module_says_the_same(name, cut):
    model = lenet() if name == "lenet" else resnet()
    model = pruned(model) if cut else model
    widths = widths_of(model)
    twin = LeNet(**widths) if name == "lenet" else ResNet(widths)
    state = to_torch_state_dict(model, twin)
    assert list(state) == list(twin.state_dict())
    twin.load_state_dict(state, strict=True)
    x = images_for(model)
    assert_close(model.predict(x), said(twin, x), TERMS)


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "pruned"])
def test_the_other_way(cut):
    model = pruned(lenet()) if cut else lenet()
    twin = randomise(LeNet(**widths_of(model)), 3)
    load_torch_state_dict(model, twin.state_dict())
    x = images_for(model)
    assert_close(model.predict(x), said(twin, x), TERMS)
    back = to_torch_state_dict(model, twin)
    for key, t in twin.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(back[key], t), key


@settings(max_examples=40, deadline=None, derandomize=True)
@given(networks())
def test_there_and_back_is_exact(model):
    """Also residual, concatenated, grouped and depthwise layers, PReLU, and linear layers behind Flatten."""
    before = model.arrays()
    state = to_torch_state_dict(model)
    other = model.copy()
    other.load_arrays({k: np.zeros_like(a) for k, a in before.items()})
    load_torch_state_dict(other, state)
    for k, a in other.arrays().items():
        np.testing.assert_array_equal(a, before[k])


def test_what_lies_behind_a_flatten_is_permuted():
    """Batch norm on a row, rows that are joined, and a second linear layer."""
    x = nn.Input((3, 2, 4))
    a, b = nn.Flatten()(nn.Conv2d(5, 1)(x)), nn.Flatten()(nn.MaxPool2d(1)(x))
    y = nn.Linear(3)(nn.Linear(6)(nn.ReLU()(nn.BatchNorm()(nn.Concat()(a, b)))))
    model = nn.build(y)
    shake(model, 0)

    class Twin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = torch.nn.Conv2d(4, 5, 1)
            self.bn1 = torch.nn.BatchNorm1d(54)
            self.fc1, self.fc2 = torch.nn.Linear(54, 6), torch.nn.Linear(6, 3)

        def forward(self, x):
            row = torch.cat([self.conv1(x).flatten(1), x.flatten(1)], 1)
            return self.fc2(self.fc1(torch.relu(self.bn1(row))))

    twin = Twin()
    twin.load_state_dict(to_torch_state_dict(model, twin))
    images = images_for(model)
    assert_close(model.predict(images), said(twin, images), TERMS)


def test_by_order_for_modules_that_count_otherwise():
    model = lenet()
    t = torch.nn
    twin = t.Sequential(
        *(t.Conv2d(1, 32, 5, padding=2, bias=False), t.BatchNorm2d(32), t.ReLU(), t.MaxPool2d(2)),
        *(t.Conv2d(32, 64, 5, padding=2, bias=False), t.BatchNorm2d(64), t.ReLU(), t.MaxPool2d(2)),
        *(t.Flatten(), t.Linear(3136, 1024), t.ReLU(), t.Linear(1024, 10)),
    )
    with pytest.raises(
        DataError, match=r'lacks bn1.bias, .* and 9 more, and has 0.weight.*\(by="order"'
    ):
        to_torch_state_dict(model, twin)
    twin.load_state_dict(to_torch_state_dict(model, twin, by="order"), strict=True)
    x = images_for(model)
    assert_close(model.predict(x), said(twin, x), TERMS)
    other = lenet(1)
    load_torch_state_dict(other, twin.state_dict(), by="order")
    np.testing.assert_array_equal(other.predict(x), model.predict(x))


def test_tensors_are_copies_on_the_cpu():
    model = lenet()
    state = to_torch_state_dict(model)
    before = model.arrays()
    for t in state.values():
        assert t.is_contiguous() and t.device.type == "cpu"
        t.zero_()
    for k, a in model.arrays().items():
        np.testing.assert_array_equal(a, before[k])


def test_files(tmp_path):
    from safetensors.torch import save_file

    twin = randomise(LeNet(), 5)
    path = tmp_path / "twin.safetensors"
    save_file(twin.state_dict(), path)
    model = lenet()
    load_torch_state_dict(model, path)
    x = images_for(model)
    assert_close(model.predict(x), said(twin, x), TERMS)
    save(model, tmp_path / "model.safetensors")
    again = to_torch_state_dict(load(tmp_path / "model.safetensors"), twin)
    assert torch.equal(again["fc1.weight"], twin.fc1.weight)


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "pytorch_model.bin", "x.ckpt", "NET.PT"])
def test_pickles_are_refused_unread(tmp_path, name):
    with pytest.raises(
        DataError, match=r"must be a \.safetensors file, got a pickle, .*: python -c \"import torch"
    ):
        load_torch_state_dict(lenet(), tmp_path / name)


def test_the_line_that_converts_works(tmp_path, monkeypatch):
    import re
    import shlex

    monkeypatch.chdir(tmp_path)
    twin = randomise(LeNet(), 5)
    torch.save(twin.state_dict(), "net.pt")
    with pytest.raises(DataError) as e:
        load_torch_state_dict(lenet(), "net.pt")
    line = re.search(r'python -c ".*"$', str(e.value)).group()
    exec(shlex.split(line)[2], {})
    model = lenet()
    load_torch_state_dict(model, "net.safetensors")
    np.testing.assert_array_equal(model.tensors["fc2.bias"].numpy(), twin.fc2.bias.detach().numpy())


def test_files_that_are_none(tmp_path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"\xff" * 64)
    with pytest.raises(DataError, match="must be a whole safetensors file"):
        load_torch_state_dict(lenet(), bad)
    with pytest.raises(DataError, match="must be a file"):
        load_torch_state_dict(lenet(), tmp_path)
    with pytest.raises(FileNotFoundError):
        load_torch_state_dict(lenet(), tmp_path / "none.safetensors")
    from safetensors.torch import save_file

    save_file({"fc2.bias": torch.zeros(10, dtype=torch.bfloat16)}, bad)
    with pytest.raises(DTypeError, match=r"fc2\.bias must be float32, got BF16"):
        load_torch_state_dict(lenet(), bad)


def test_nothing_is_half_loaded():
    model = lenet()
    before = model.arrays()
    good = LeNet().state_dict()

    def refused(kind, match, change):
        state = dict(good)
        change(state)
        with pytest.raises(kind, match=match):
            load_torch_state_dict(model, state)
        for k, a in model.arrays().items():
            np.testing.assert_array_equal(a, before[k])

    refused(DataError, "lacks fc2.bias$", lambda s: s.pop("fc2.bias"))
    refused(DataError, "has more.weight$", lambda s: s.update({"more.weight": torch.zeros(2)}))
    refused(
        ShapeError,
        r"fc2.bias of state_dict must have shape \(10,\) to match fc2.bias, got \(9,\)",
        lambda s: s.update({"fc2.bias": torch.zeros(9)}),
    )
    refused(
        DTypeError,
        "fc2.bias must be float32, got float16; nothing is cast",
        lambda s: s.update({"fc2.bias": torch.zeros(10).half()}),
    )
    refused(DTypeError, "got str under 'arch'", lambda s: s.update({"arch": "lenet"}))

    def wrapped(s):
        for k in list(s):
            s[f"module.{k}"] = s.pop(k)

    refused(DataError, "take 'module.' off every name", wrapped)
    with pytest.raises(ValueError, match='by must be "name" or "order"'):
        load_torch_state_dict(model, good, by="luck")
    with pytest.raises(DTypeError, match="state_dict must be a state dict, got list"):
        load_torch_state_dict(model, [1])
    with pytest.raises(DTypeError, match="like must be a module or a state dict, got int"):
        to_torch_state_dict(model, 3)


def test_pruned_does_not_fit_the_whole():
    with pytest.raises(ShapeError, match=r"conv1\.weight of like must have shape"):
        to_torch_state_dict(pruned(lenet()), LeNet())
    with pytest.raises(DataError, match="must have the 6 layers of the model, got 2"):
        to_torch_state_dict(lenet(), torch.nn.Sequential(*[torch.nn.Linear(2, 2)] * 2), by="order")


def test_layers_that_pytorch_has_not_got():
    model = nn.build([nn.Conv2d(4, 3), nn.ChannelScale()], (5, 5, 2))
    with pytest.raises(GraphError, match="or PReLU, got channel_scale in 'scale1'"):
        to_torch_state_dict(model)


def test_without_pytorch(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'pip install "sentei\[torch\]"'):
        to_torch_state_dict(lenet())


def test_damaged_notes():
    model = lenet()
    model.meta["torch"] = {"names": [1]}
    with pytest.raises(DataError, match="meta\\['torch'\\]\\['names'\\] must give names"):
        to_torch_state_dict(model)
