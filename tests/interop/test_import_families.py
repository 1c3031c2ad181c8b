"""The torchvision families, exported by both exporters of PyTorch: equal, trainable, prunable."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from extras import need
from helpers import assert_close
from sentei.io import import_onnx, load, save
from sentei.losses import CrossEntropy
from sentei.optim import SGD
from sentei.passes import channel_groups, infer_specs
from sentei.prune import preview, pruning_map, remove, verify

need("onnx")
torch = need("torch")
from interop import torch_nets as nets  # noqa: E402

FAMILIES = sorted(nets.FAMILIES)
EXPORTERS = [False, True]
SIZE = 33  # odd: strides and pools meet the border
TERMS = 12_000  # of a sum through all layers of these networks


@functools.cache
def family(name, dynamo, training=False):
    """(network, file, model)."""
    net = nets.trained_a_little(nets.FAMILIES[name]())
    side = 16 if name == "vgg" else SIZE
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    if training:
        net.train()
    file = nets.export(net, x, dynamo=dynamo, training=training)
    return net.eval(), file, import_onnx(file)


def images(model, n=5, seed=3):
    return np.random.default_rng(seed).standard_normal((n, *model.input_shape)).astype(np.float32)


def of_torch(net, x):
    with torch.no_grad():
        return net(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))).numpy()


@pytest.mark.parametrize("dynamo", EXPORTERS, ids=["torchscript", "dynamo"])
@pytest.mark.parametrize("name", FAMILIES)
def test_says_what_torch_says(name, dynamo):
    net, _, model = family(name, dynamo)
    x = images(model)
    assert_close(model.predict(x), of_torch(net, x), TERMS)
