"""Networks by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sentei import init as initialisers
from sentei.errors import GraphError
from sentei.graph import Graph
from sentei.model import Model
from sentei.nn.build import Sequential
from sentei.nn.build import build as build_model
from sentei.nn.check import integer
from sentei.nn.models.lenet import lenet5_disc_1, lenet5_disc_2, lenet5_prune, lenet5_sparse
from sentei.nn.models.resnet import f34, resnet18_like, resnet20, resnet56
from sentei.nn.models.vgg import deep_cnn, vgg13_like, vgg13_stl, vgg16
from sentei.suggest import unknown

__all__ = ["Network", "build", "graph", "layers", "names", "network"]

_MNIST, _CIFAR, _STL, _LARGE = (28, 28, 1), (32, 32, 3), (96, 96, 3), (224, 224, 3)


@dataclass(frozen=True)
class Network:
    """A network of the literature: the function that makes its layers, and the usual image."""

    make: Callable[..., Sequential]
    input_shape: tuple[int, int, int]

    @property
    def options(self) -> dict[str, Any]:
        """Names and defaults of what can be chosen."""
        given = inspect.signature(self.make).parameters
        return {k: p.default for k, p in given.items() if p.kind is p.KEYWORD_ONLY}

    @property
    def summary(self) -> str:
        """One line that describes it."""
        return (inspect.getdoc(self.make) or "").partition("\n")[0]


_NETWORKS = {
    "lenet5_sparse": Network(lenet5_sparse, _CIFAR),
    "vgg13_like": Network(vgg13_like, _CIFAR),
    "lenet5_disc_1": Network(lenet5_disc_1, _MNIST),
    "lenet5_disc_2": Network(lenet5_disc_2, _MNIST),
    "deep_cnn": Network(deep_cnn, _CIFAR),
    "resnet18_like": Network(resnet18_like, _CIFAR),
    "lenet5_prune": Network(lenet5_prune, _MNIST),
    "vgg13_stl": Network(vgg13_stl, _STL),
    "vgg16": Network(vgg16, _LARGE),
    "f34": Network(f34, _LARGE),
    "resnet20": Network(resnet20, _CIFAR),
    "resnet56": Network(resnet56, _CIFAR),
}


def names() -> list[str]:
    """Names of all networks."""
    return list(_NETWORKS)


def network(name: str) -> Network:
    """The network of this name; GraphError with the nearest name when there is none."""
    if name not in _NETWORKS:
        raise GraphError(unknown("models: name", name, _NETWORKS))
    return _NETWORKS[name]


def layers(name: str, classes: int = 10, **options: Any) -> Sequential:
    """Layers of a network.

    Args:
        name: one of names(). classes (int): outputs. options: see network(name).options.
    Raises:
        GraphError: unknown name or option.
    """
    found = network(name)
    integer(name, "classes", classes)
    for option in options:
        if option not in found.options:
            raise GraphError(
                unknown(f"{name}: option", option, found.options)
                if found.options
                else f"{name}: takes no options, got {option!r}"
            )
    return found.make(classes, **options)


def graph(
    name: str, input_shape: Sequence[int] | None = None, classes: int = 10, **options: Any
) -> Graph:
    """Graph of a network without numbers, for costs and shapes. Arguments as build."""
    return layers(name, classes, **options).graph(input_shape or network(name).input_shape)


def build(
    name: str,
    input_shape: Sequence[int] | None = None,
    classes: int = 10,
    seed: int = 0,
    init: str | initialisers.Scheme = "kaiming",
    **options: Any,
) -> Model:
    """Model of a network with initial weights.

    Args:
        name: one of names(). input_shape: (H, W, C) of an image; None takes the usual one.
        classes (int): outputs. seed (int), init: of the weights (sentei.init). options: see
        network(name).options.
    Raises:
        GraphError: unknown name or option. ShapeError: the image is too small.
    """
    shape = tuple(input_shape or network(name).input_shape)
    made = layers(name, classes, **options)
    meta = {"network": {"name": name, "classes": classes, "options": options}}
    return build_model(made, shape, seed=seed, init=init, meta=meta)
