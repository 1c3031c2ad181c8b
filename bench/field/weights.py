"""The same network in sentei and in PyTorch: weights from one to the other, also of pruned ones.

Layers are paired in the order of the network (convolutions, batch norms, linear layers), which both
sides share. Filters are (K, R, S, C) here and (K, C, R, S) there; a linear layer behind Flatten reads
rows, columns, channels here and channels, rows, columns there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sentei import Tensor
from sentei.graph import Graph, Node, Spec
from sentei.model import Model

LAYERS = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
KINDS = {"conv2d": nn.Conv2d, "batch_norm": nn.BatchNorm2d, "linear": nn.Linear}
# argument of the op here -> attribute of the module there
PARTS = {
    "conv2d": {"w": "weight", "b": "bias"},
    "linear": {"w": "weight", "b": "bias"},
    "batch_norm": {
        "gamma": "weight",
        "beta": "bias",
        "running_mean": "running_mean",
        "running_var": "running_var",
    },
}


def pairs(graph: Graph, net: nn.Module) -> Iterator[tuple[Node, nn.Module]]:
    """Layers of both that hold numbers, in order.

    Raises:
        ValueError: the networks are not the same.
    """
    ours = [n for n in graph.nodes if n.op.name in KINDS]
    theirs = [m for m in net.modules() if isinstance(m, LAYERS)]
    kinds = [KINDS[n.op.name] for n in ours]
    if kinds != [type(m) for m in theirs]:
        raise ValueError(f"weights: networks must have the same layers, got {kinds} and {theirs}")
    yield from zip(ours, theirs, strict=True)


def to_torch(model: Model, net: nn.Module) -> nn.Module:
    """Put the numbers of a model into its twin, which takes on the model's widths."""
    channels = _channels(model.graph)
    for node, module in pairs(model.graph, net):
        for argument, attribute in PARTS[node.op.name].items():
            value = node.input(argument)
            if value is None:
                continue
            a = model.tensors[value].numpy()
            if node.op.name == "conv2d" and argument == "w":
                a = a.transpose(0, 3, 1, 2)
            if argument == "w" and node.name in channels:
                c = channels[node.name]
                a = a.reshape(len(a), -1, c).transpose(0, 2, 1).reshape(len(a), -1)
            t = torch.from_numpy(np.ascontiguousarray(a))
            is_parameter = isinstance(getattr(module, attribute), nn.Parameter)
            setattr(module, attribute, nn.Parameter(t) if is_parameter else t)
        _set_widths(module)
    return net


def to_sentei(net: nn.Module, graph: Graph) -> Model:
    """A model with the numbers and the widths of a twin.

    Args:
        graph: of the network, of any widths.
    """
    found: dict[str, NDArray[Any]] = {}
    channels = 0
    behind = _channels(graph)
    for node, module in pairs(graph, net):
        for argument, attribute in PARTS[node.op.name].items():
            value = node.input(argument)
            if value is None:
                continue
            a = getattr(module, attribute).detach().numpy()
            if node.op.name == "conv2d" and argument == "w":
                a = a.transpose(0, 2, 3, 1)
                channels = len(a)
            if argument == "w" and node.name in behind:
                a = a.reshape(len(a), channels, -1).transpose(0, 2, 1).reshape(len(a), -1)
            found[value] = np.array(a, order="C", copy=True)
    specs = {k: Spec(a.shape, str(a.dtype)) for k, a in found.items()}
    tensors = {k: Tensor.from_numpy(a) for k, a in found.items()}
    return Model(graph.with_specs(specs), tensors)


def _channels(graph: Graph) -> dict[str, int]:
    """Channels of the map that each linear layer behind a Flatten reads."""
    found: dict[str, int] = {}
    width = 0
    for node in graph.nodes:
        if node.op.name == "conv2d":
            spec = graph.values[str(node.input("w"))].spec
            assert spec is not None
            width = spec.shape[0]
        elif node.op.name == "flatten":
            for after in graph.consumers()[node.outputs[0]]:
                if after.op.name == "linear":
                    found[after.name] = width
    return found


def _set_widths(module: nn.Module) -> None:
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    if isinstance(module, nn.Conv2d):
        module.out_channels, module.in_channels = weight.shape[0], weight.shape[1]
    elif isinstance(module, nn.BatchNorm2d):
        module.num_features = weight.shape[0]
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight.shape
