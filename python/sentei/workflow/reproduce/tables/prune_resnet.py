"""[T] table 4.7: pruning by scores on CIFAR-10, residual network."""

from __future__ import annotations

from sentei.optim import SGD, Step
from sentei.workflow.reproduce.spec import LEVELS, Arm, Scores, Setting, Table, figures
from sentei.workflow.reproduce.tables.common import CIFAR10
from sentei.workflow.reproduce.tables.prune_cifar import COLUMNS, SETTLED

Published = tuple[float, float]

_SGD = SGD(0.1, momentum=0.9, weight_decay=1e-4)
_SETTING = Setting("resnet18_like", 300, _SGD, schedule=Step((80, 120), 0.1))
_LAST = SGD(0.001, momentum=0.9, weight_decay=1e-4)


def _arm(name: str, criterion: str, *at: Published) -> Arm:
    prune = Scores(criterion, retrain=50, optimizer=_LAST)
    return Arm(name, _SETTING, figures(COLUMNS, (89.17, 1.36), *at), prune)


TABLES = (
    Table(
        "t4.7",
        "thesis on feature maps, table 4.7",
        "Scores on CIFAR-10, residual network",
        CIFAR10,
        COLUMNS,
        (
            _arm("L1+std", "l1_std", (84.80, 1.06), (82.37, 1.43), (74.15, 1.56)),
            _arm("Fisher", "fisher", (86.80, 0.31), (84.93, 0.37), (79.17, 1.0)),
            _arm("oracle", "oracle", (85.73, 0.05), (85.03, 0.44), (78.29, 0.24)),
            _arm("robust", "robust", (86.78, 0.78), (83.17, 0.20), (77.99, 1.11)),
            _arm("trace", "trace", (82.24, 2.11), (78.80, 2.71), (62.69, 9.04)),
        ),
        compared=tuple(LEVELS),
        settled=(*SETTLED, "retraining at the step size that training ends with, 0.001"),
    ),
)
