"""[T] tables 2.9 and 2.10: sparse activity on CIFAR, VGG-13."""

from __future__ import annotations

from typing import Any

from sentei.optim import SGD
from sentei.workflow.reproduce.spec import Arm, Data, Setting, Table, figures
from sentei.workflow.reproduce.tables.common import ACCURACY, CIFAR10, CIFAR100, sparse

_LR = 0.01
# Ahead of a batch norm the penalty takes what the convolution gives; the ReLU of FC has none.
_NORM_INPUT = ("bn*", "relu7", "pool*")


def _arm(
    name: str, published: tuple[float, float], decay: float = 0.0, norm: bool = False, **more: Any
) -> Arm:
    options = {"batch_norm": norm, **more.pop("options", {})}
    setting = Setting("vgg13_like", 1000, SGD(_LR, weight_decay=decay), options, **more)
    return Arm(name, setting, figures(ACCURACY, published))


def _arms(lam: float, *published: tuple[float, float]) -> tuple[Arm, ...]:
    plain, decay, elu, norm, sparse_, before, after, channel = published
    return (
        _arm("baseline", plain),
        _arm("weight decay", decay, 5e-6),
        _arm("ELU", elu, options={"activation": "elu"}),
        _arm("batch norm", norm, norm=True),
        _arm("sparse", sparse_, regularizers=sparse(lam)),
        _arm("sparse, then batch norm", before, norm=True, regularizers=sparse(0.1, _NORM_INPUT)),
        _arm("batch norm, then sparse", after, norm=True, regularizers=sparse(0.1)),
        _arm("channel-wise", channel, regularizers=sparse(0.1, form="channel")),
    )


def _table(name: str, data: Data, words: str, arms: tuple[Arm, ...]) -> Table:
    source = f"thesis on feature maps, table {name[1:]}"
    return Table(name, source, f"Sparse activity on {words}, VGG-13", data, ACCURACY, arms)


TABLES = (
    _table(
        "t2.9",
        CIFAR10,
        "CIFAR-10",
        _arms(
            0.1,
            (88.48, 0.24),
            (88.53, 0.03),
            (88.51, 0.19),
            (89.42, 0.11),
            (88.79, 0.07),
            (89.80, 0.06),
            (89.28, 0.07),
            (88.78, 0.16),
        ),
    ),
    _table(
        "t2.10",
        CIFAR100,
        "CIFAR-100",
        _arms(
            1.0,
            (59.06, 0.52),
            (59.13, 0.56),
            (65.32, 0.14),
            (66.61, 0.07),
            (66.14, 0.13),
            (67.47, 0.20),
            (67.13, 0.30),
            (63.58, 0.38),
        ),
    ),
)
