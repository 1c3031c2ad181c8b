"""[T] tables 2.2 and 2.3: sparse activity on CIFAR, LeNet-5."""

from __future__ import annotations

from typing import Any

from sentei.optim import SGD
from sentei.workflow.reproduce.spec import Arm, Setting, Table, figures
from sentei.workflow.reproduce.tables.common import ACCURACY, CIFAR10, CIFAR100, sparse


def _arm(
    name: str, published: tuple[float, float], epochs: int, optimizer: SGD, **more: Any
) -> Arm:
    setting = Setting("lenet5_sparse", epochs, optimizer, **more)
    return Arm(name, setting, figures(ACCURACY, published))


TABLES = (
    Table(
        "t2.2",
        "thesis on feature maps, table 2.2",
        "Sparse activity on CIFAR-10, LeNet-5",
        CIFAR10,
        ACCURACY,
        (
            _arm("baseline", (69.80, 0.25), 1000, SGD(0.1)),
            _arm("weight decay", (68.36, 0.25), 1000, SGD(0.01, weight_decay=5e-5)),
            _arm("ELU", (70.10, 0.12), 1000, SGD(0.1), options={"activation": "elu"}),
            _arm("batch norm", (75.76, 0.34), 1000, SGD(0.1), options={"batch_norm": True}),
            _arm("sparse", (75.93, 0.34), 1000, SGD(0.001), regularizers=sparse(1.0)),
        ),
    ),
    Table(
        "t2.3",
        "thesis on feature maps, table 2.3",
        "Sparse activity on CIFAR-100, LeNet-5",
        CIFAR100,
        ACCURACY,
        (
            _arm("baseline", (33.39, 0.62), 2000, SGD(0.01)),
            _arm("weight decay", (34.01, 0.27), 2000, SGD(0.01, weight_decay=5e-4)),
            _arm("ELU", (35.04, 0.30), 2000, SGD(0.1), options={"activation": "elu"}),
            _arm("batch norm", (41.01, 0.16), 2000, SGD(0.1), options={"batch_norm": True}),
            _arm("sparse", (46.72, 0.95), 2000, SGD(0.001), regularizers=sparse(1.0)),
        ),
    ),
)
