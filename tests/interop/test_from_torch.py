"""PyTorch modules become models: the same outputs, names and training parts; the module stays as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from extras import need
from helpers import assert_close
from sentei import nn as ours
from sentei import optim, prune, train
from sentei.data import Dataset
from sentei.errors import DataError, DTypeError, GraphError, ShapeError
from sentei.io import from_torch, load, load_torch_state_dict, save, to_torch_state_dict
from sentei.prune.surgery import remove
from sentei.prune.units import pruning_map

torch = need("torch")
need("onnx")
need("onnxscript")

from torch_twins import LeNet, ResNet, randomise, said, widths_of  # noqa: E402

nn = torch.nn
TERMS = 4096


def images(shape, n=4, seed=0):
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(np.float32)


@pytest.fixture(scope="module")
def lenet():
    module = randomise(LeNet(), 0)
    return module, from_torch(module, torch.zeros(1, 1, 28, 28))


@pytest.fixture(scope="module")
def resnet():
    module = randomise(ResNet(), 0)
    return module, from_torch(module, torch.randn(3, 3, 32, 32))


@pytest.mark.parametrize("name", ["lenet", "resnet"])
def test_it_says_the_same_under_the_same_names(name, request, tmp_path):
    module, model = request.getfixturevalue(name)
    x = images(model.input_shape)
    assert_close(model.predict(x), said(module, x), TERMS)
    state = to_torch_state_dict(model)
    want = dict(module.state_dict())
    assert state.keys() == want.keys()
    for key, t in want.items():
        assert torch.equal(state[key], t), key
    about = {"class": type(module).__name__, "names": {}, "left_out": []}
    assert model.meta["torch"] == about
    save(model, tmp_path / "m.safetensors")
    assert to_torch_state_dict(load(tmp_path / "m.safetensors")).keys() == want.keys()


def test_what_only_training_needs_is_there(lenet):
    _, model = lenet
    ops = [n.op.name for n in model.graph.nodes]
    assert ops.count("batch_norm") == 2 and ops.count("dropout") == 1
    assert next(n for n in model.graph.nodes if n.op.name == "dropout").attrs["keep"] == 0.5
    decay = {v.name: v.decay for v in model.graph.values.values() if v.role == "param"}
    assert decay["conv1.weight"] and not decay["bn1.gamma"] and not decay["fc2.bias"]
    assert {n.attrs["momentum"] for n in model.graph.nodes if n.op.name == "batch_norm"} == {0.1}


def test_numbers_of_a_batch_norm():
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, eps=1e-3, momentum=0.25), nn.Dropout2d(),
        nn.Flatten(), nn.Dropout(0.2, inplace=True), nn.Linear(64, 3),
    )  # fmt: skip
    model = from_torch(randomise(module, 1), torch.zeros(1, 3, 6, 6))
    norm = next(n for n in model.graph.nodes if n.op.name == "batch_norm")
    assert norm.attrs["eps"] == pytest.approx(1e-3)
    assert norm.attrs["momentum"] == pytest.approx(0.25)
    drop = next(n for n in model.graph.nodes if n.op.name == "dropout")
    assert drop.attrs["keep"] == pytest.approx(0.8) and module[4].inplace
    assert model.meta["torch"]["left_out"] == ["2"]
    assert set(to_torch_state_dict(model, module)) == set(module.state_dict())


def test_the_module_stays_as_it_was():
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    module.append(nn.Linear(3 * 16, 2)).train()
    module[1].eval()  # a frozen one
    module[0].weight.requires_grad_(False)
    loss = module(torch.randn(4, 2, 6, 6)).sum()
    loss.backward()
    called = []
    module[2].register_forward_hook(lambda *_: called.append("forward"))
    module[0].register_forward_pre_hook(lambda *_: called.append("before"))
    module.register_full_backward_hook(lambda *_: called.append("backward"))

    class Log:
        """Holds what cannot be copied, as hooks may."""

        def __call__(self, *_):
            called.append("log")

        def __deepcopy__(self, memo):
            raise AssertionError("a hook was copied")

    module[0].register_forward_hook(Log())
    flags = [m.training for m in module.modules()]
    grads = {k: None if p.grad is None else p.grad.clone() for k, p in module.named_parameters()}
    needs = {k: p.requires_grad for k, p in module.named_parameters()}
    state = {k: t.clone() for k, t in module.state_dict().items()}
    places = {k: t.data_ptr() for k, t in module.state_dict().items()}
    example = torch.randn(1, 2, 6, 6)
    drawn = torch.get_rng_state()

    model = from_torch(module, example)

    assert called == [] and torch.equal(torch.get_rng_state(), drawn)
    assert [m.training for m in module.modules()] == flags
    assert {k: p.requires_grad for k, p in module.named_parameters()} == needs
    for k, p in module.named_parameters():
        assert (p.grad is None) == (grads[k] is None) and (p.grad is None or p.grad.equal(grads[k]))
    for k, t in module.state_dict().items():
        assert t.equal(state[k]) and t.data_ptr() == places[k]
    model.tensors["0.weight"].copy_from(np.zeros((3, 3, 3, 2), np.float32))
    assert module[0].weight.equal(state["0.weight"]), "memory of its own"
    module(torch.randn(1, 2, 6, 6))
    assert called == ["before", "log", "forward"]


def test_trained_pruned_and_taken_back(resnet):
    _, model = resnet
    rng = np.random.default_rng(0)
    data = Dataset(rng.standard_normal((40, 32, 32, 3)).astype(np.float32), rng.integers(0, 10, 40))
    trainer = train.Trainer(model.copy(), optim.SGD(0.01, momentum=0.9), batch=20, seed=0)
    trainer.fit(data, epochs=1)
    assert trainer.model.tensors["bn1.running_mean"].numpy().any()
    result = prune.IterativePruner(
        trainer.model, prune.Target(flops="60%"), "l1_std", trainer=trainer, train=data,
        retrain_steps=1, per_round=40, score_images=data.images[:20], score_labels=data.labels[:20],
    ).run()  # fmt: skip
    assert result.verified and result.final.flops <= 0.6 * result.original.flops
    smaller = ResNet(widths_of(result.model))
    smaller.load_state_dict(to_torch_state_dict(result.model, smaller))
    x = images(model.input_shape)
    assert_close(result.model.predict(x), said(smaller, x), TERMS)


def test_pruned_here_trained_on_there(lenet):
    _, model = lenet
    pruning = pruning_map(model.graph, include=("conv2d", "linear"))
    smaller, _ = remove(model, pruning, pruning.units[:5])
    twin = LeNet(**widths_of(smaller))
    twin.load_state_dict(to_torch_state_dict(smaller, twin))
    twin.train()
    loss = nn.functional.cross_entropy(twin(torch.randn(4, 1, 28, 28)), torch.arange(4))
    loss.backward()
    torch.optim.SGD(twin.parameters(), 0.1).step()
    load_torch_state_dict(smaller, twin.state_dict())
    x = images(model.input_shape)
    assert_close(smaller.predict(x), said(twin, x), TERMS)


def test_rows():
    module = randomise(
        nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)), 0
    )
    model = from_torch(module, torch.zeros(3, 7))
    x = images((7,))
    with torch.no_grad():
        assert_close(model.predict(x), module.eval()(torch.from_numpy(x)).numpy(), TERMS)


# -- refusals --------------------------------------------------------------------------------------
class Odd(nn.Module):
    def forward(self, x):
        return torch.cumsum(x, 1)


class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Broken(nn.Module):
    def forward(self, x):
        raise RuntimeError("no such thing\nmore")


def with_part(part):
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), part), nn.Flatten())


@pytest.mark.parametrize(
    ("part", "match"),
    [
        (Odd(), r"from_torch: submodule '1.1' \(Odd\): node .*CumSum"),
        (Branch(), r"torch.onnx.export exports, but submodule '1.1' \(Branch\) fails: \w+: .+"),
        (Broken(), r"submodule '1.1' \(Broken\) fails: RuntimeError: no such thing$"),
        (nn.GELU(), r"submodule '1.1' \(GELU\): node .* \(Gelu\): this operator is not supported"),
        (nn.LayerNorm(4), r"submodule '1.1' \(LayerNorm\): node "),
    ],
)
def test_parts_that_cannot_be_read_are_named(part, match):
    with pytest.raises(DataError, match=match):
        from_torch(with_part(part), torch.zeros(1, 1, 6, 6))


def test_weights_that_are_computed():
    from torch.nn.utils import parametrizations
    from torch.nn.utils import prune as masks

    module = with_part(nn.Conv2d(2, 2, 1))
    masks.l1_unstructured(module[1][1], "weight", 0.5)
    with pytest.raises(
        GraphError, match=r"'1.1' \(Conv2d\) must have plain weights, got ones that L1U"
    ):
        from_torch(module, torch.zeros(1, 1, 6, 6))
    with pytest.raises(GraphError, match=r"'1.1' \(BatchNorm2d\) must have a momentum, got None"):
        from_torch(with_part(nn.BatchNorm2d(2, momentum=None)), torch.zeros(1, 1, 6, 6))
    with pytest.raises(GraphError, match=r"1.1.weight must have a shape, got a lazy one"):
        from_torch(with_part(nn.LazyConv2d(2, 1)), torch.zeros(1, 1, 6, 6))
    module = with_part(nn.Conv2d(2, 2, 1))
    parametrizations.weight_norm(module[1][1])
    with pytest.raises(GraphError, match=r"'1.1' \(Parametrized\w+\) must have plain weights"):
        from_torch(module, torch.zeros(1, 1, 6, 6))


def test_what_is_not_a_module_or_an_example():
    module, x = with_part(nn.ReLU()), torch.zeros(1, 1, 6, 6)
    with pytest.raises(DTypeError, match=r"module must be a torch.nn.Module, got dict"):
        from_torch({}, x)
    with pytest.raises(DTypeError, match=r"got a wrapped one: give its .module"):
        from_torch(nn.DataParallel(module), x)
    with pytest.raises(DTypeError, match=r"got a compiled one: give its ._orig_mod"):
        from_torch(torch.compile(module, backend="eager"), x)
    with pytest.raises(DTypeError, match=r"0.weight must be float32, got float64"):
        from_torch(copy.deepcopy(module).double(), x)
    with pytest.raises(
        DTypeError, match=r"example must be a float32 torch.Tensor, got torch.int64"
    ):
        from_torch(module, x.long())
    with pytest.raises(DTypeError, match=r"example must be a float32 torch.Tensor, got .*float32"):
        from_torch(module, x.numpy())
    for shape in ((1, 6, 6), (0, 1, 6, 6)):
        with pytest.raises(ShapeError, match=r"example must be images \(N, C, H, W\) or rows"):
            from_torch(module, torch.zeros(shape))


@pytest.mark.parametrize(
    ("package", "match"),
    [
        ("torch", r'PyTorch is needed and not installed: pip install "sentei\[torch\]"'),
        (
            "onnxscript",
            r'packages onnx and onnxscript are needed, .*: pip install "sentei\[torch\]"',
        ),
    ],
)
def test_without_the_packages(monkeypatch, package, match):
    import sys

    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=match):
        from_torch(with_part(nn.ReLU()), torch.zeros(1, 1, 6, 6))


def test_a_model_that_says_something_else_is_noticed(lenet):
    """Once again with one filter of the module changed after it was read."""
    from sentei.io import torch_in

    module, model = lenet
    other, x = copy.deepcopy(module).eval(), torch.randn(2, 1, 28, 28)
    torch_in._compare(torch, model, other, x)
    with torch.no_grad():
        other.conv1.weight[0] *= 1.5
    with pytest.raises(
        DataError, match=r"must say what the module says of the example, got a diff"
    ):
        torch_in._compare(torch, model, other, x)


def test_our_own_networks_go_there_and_come_back():
    """resnet20 of ours -> PyTorch -> ours: bit for bit, though layers are named by PyTorch's rules."""
    model = ours.models.build("resnet20", seed=3)
    twin = ResNet()
    twin.load_state_dict(to_torch_state_dict(model, twin))
    again = from_torch(twin, torch.zeros(1, 3, 32, 32))
    assert again.arrays().keys() == model.arrays().keys()
    for k, a in model.arrays().items():
        np.testing.assert_array_equal(again.tensors[k].numpy(), a)


@pytest.mark.parametrize(
    "layer",
    [nn.ReLU6(), nn.Hardtanh(), nn.ELU(), nn.BatchNorm2d(4, affine=False)],
    ids=lambda m: type(m).__name__,
)
def test_layers_whose_constants_are_cast(layer):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), layer).eval()
    x = torch.randn(2, 3, 8, 8)
    model = from_torch(net, x)
    got = model.predict(x.permute(0, 2, 3, 1).contiguous().numpy())
    want = net(x).detach().permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
