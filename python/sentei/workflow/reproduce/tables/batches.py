"""[T] table 2.13: mini-batches of few classes."""

from __future__ import annotations

from typing import Any

from sentei.optim import SGD
from sentei.workflow.reproduce.spec import Arm, Setting, Table, figures
from sentei.workflow.reproduce.tables.common import ACCURACY, CIFAR10, sparse

_PUBLISHED = {  # 1, 2, 4 classes in a mini-batch
    "baseline": ((87.20, 0.30), (87.61, 0.01), (88.04, 0.08)),
    "batch norm": ((14.78, 1.7), (65.53, 5.34), (87.97, 0.89)),
    "sparse": ((87.72, 0.10), (88.20, 0.16), (88.41, 0.30)),
}


def _arm(kind: str, classes: int, published: tuple[float, float]) -> Arm:
    options: dict[str, Any] = {"batch_norm": kind == "batch norm"}
    setting = Setting(
        "vgg13_like",
        1000,
        SGD(0.01),
        options,
        regularizers=sparse(0.1) if kind == "sparse" else (),
        classes_per_batch=classes,
    )
    group = f"{classes} class" if classes == 1 else f"{classes} classes"
    return Arm(f"{kind}, {group}", setting, figures(ACCURACY, published), group=group)


TABLES = (
    Table(
        "t2.13",
        "thesis on feature maps, table 2.13",
        "Mini-batches of 1, 2 and 4 classes on CIFAR-10, VGG-13",
        CIFAR10,
        ACCURACY,
        tuple(
            _arm(kind, classes, _PUBLISHED[kind][k])
            for k, classes in enumerate((1, 2, 4))
            for kind in _PUBLISHED
        ),
    ),
)
