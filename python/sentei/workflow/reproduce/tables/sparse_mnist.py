"""[T] table 2.6: sparse activity on MNIST."""

from __future__ import annotations

from typing import Any

from sentei.optim import SGD
from sentei.workflow.reproduce.spec import Arm, Setting, Table, figures
from sentei.workflow.reproduce.tables.common import ACCURACY, MNIST, sparse


def _arm(name: str, mean: float, deviation: float, lr: float, **more: Any) -> Arm:
    setting = Setting("lenet5_sparse", 1000, SGD(lr), **more)
    return Arm(name, setting, figures(ACCURACY, (mean, deviation)))


TABLES = (
    Table(
        "t2.6",
        "thesis on feature maps, table 2.6",
        "Sparse activity on MNIST, LeNet-5",
        MNIST,
        ACCURACY,
        (
            _arm("baseline", 99.18, 0.03, 0.1),
            _arm("batch norm", 99.27, 0.04, 0.1, options={"batch_norm": True}),
            _arm("sparse", 99.31, 0.03, 0.01, regularizers=sparse(0.1)),
            _arm("channel-wise", 99.39, 0.02, 0.01, regularizers=sparse(0.1, form="channel")),
        ),
        settled=("the source gives no epochs for MNIST: the 1,000 of table 2.2",),
    ),
)
