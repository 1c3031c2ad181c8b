"""[T] table 3.6: the discriminant regulariser."""

from __future__ import annotations

from typing import Any

from sentei.optim import SGD, Adam, Constant, Optimizer, Schedule, Step
from sentei.regularizers import Discriminant
from sentei.workflow.reproduce.spec import Arm, Data, Setting, Table, figures
from sentei.workflow.reproduce.tables.common import ACCURACY, CIFAR10, CIFAR100, MNIST

Published = tuple[float, float]

_FALLS = Step((80, 120), 0.1)
_SAME = Constant()


def _pair(
    network: str,
    epochs: int,
    optimizer: Optimizer,
    lam: float,
    without: Published,
    with_: Published,
    schedule: Schedule = _SAME,
) -> tuple[Arm, Arm]:
    common: dict[str, Any] = {"schedule": schedule}
    plain = Setting(network, epochs, optimizer, **common)
    more = Setting(network, epochs, optimizer, regularizers=(Discriminant(lam),), **common)
    return (
        Arm(network, plain, figures(ACCURACY, without), group=network),
        Arm(f"{network}, discriminant", more, figures(ACCURACY, with_), group=network),
    )


def _table(name: str, words: str, data: Data, *pairs: tuple[Arm, Arm]) -> Table:
    return Table(
        name,
        f"thesis on feature maps, table 3.6, {words}",
        f"Discriminant regulariser on {words}",
        data,
        ACCURACY,
        tuple(arm for pair in pairs for arm in pair),
        settled=("deep_cnn: Adam's step size 0.001 of the text, not 0.01 of the table",)
        if data is not MNIST
        else (),
    )


TABLES = (
    _table(
        "t3.6-mnist",
        "MNIST",
        MNIST,
        _pair("lenet5_disc_1", 300, Adam(0.001), 1.0, (98.52, 0.03), (98.51, 0.02)),
        _pair("lenet5_disc_2", 300, SGD(0.01), 1.0, (99.29, 0.06), (99.32, 0.01)),
    ),
    _table(
        "t3.6-cifar10",
        "CIFAR-10",
        CIFAR10,
        _pair("deep_cnn", 1000, Adam(0.001), 1.0, (90.20, 0.27), (92.42, 0.20)),
        _pair("vgg13_like", 1000, SGD(0.01), 0.1, (89.42, 0.11), (89.56, 0.12)),
        _pair("resnet18_like", 1000, SGD(0.1), 0.1, (89.67, 0.10), (89.75, 0.20), _FALLS),
    ),
    _table(
        "t3.6-cifar100",
        "CIFAR-100",
        CIFAR100,
        _pair("deep_cnn", 1000, Adam(0.001), 1.0, (64.07, 0.34), (69.22, 0.19)),
        _pair("vgg13_like", 1000, SGD(0.01), 1.0, (66.61, 0.07), (66.83, 0.30)),
        _pair("resnet18_like", 1000, SGD(0.1), 0.1, (58.56, 0.23), (61.96, 0.52), _FALLS),
    ),
)
