"""[T] table 4.11: pruning by auxiliary variables on CIFAR-10, VGG-13."""

from __future__ import annotations

from sentei.optim import SGD
from sentei.workflow.reproduce.spec import Arm, Gates, Setting, Table, figures
from sentei.workflow.reproduce.tables.common import CIFAR10

COLUMNS = ("0 %", "accuracy", "FLOPs removed")
_WHOLE = (87.73, 0.27)
_DECAY = SGD(0.01, weight_decay=5e-4)
_RATES = [0.3, 0.4, 0.4, 0.5, 0.5]


def _setting(dropout: float | list[float]) -> Setting:
    return Setting("vgg13_like", 300, SGD(0.01), {"dropout": dropout})


TABLES = (
    Table(
        "t4.11",
        "thesis on feature maps, table 4.11, VGG-13 on CIFAR-10",
        "Auxiliary variables on CIFAR-10, VGG-13",
        CIFAR10,
        COLUMNS,
        (
            Arm(
                "AutoPrune",
                _setting(0.01),
                figures(COLUMNS, _WHOLE, (82.03, 1.25), (84.95, 0.90)),
                Gates("autoprune", 1000, 0.5, 0.001, _DECAY, threshold=0.0),
            ),
            Arm(
                "sigmoid",
                _setting(_RATES),
                figures(COLUMNS, _WHOLE, (76.90, 3.92), (85.43, 1.91)),
                Gates("sigmoid", 200, 0.5, 0.1, _DECAY),
            ),
            Arm(
                "Pruning Block",
                _setting(_RATES),
                figures(COLUMNS, _WHOLE, (85.14, 0.75), (90.66, 0.39)),
                Gates("block", 200, 0.5, 0.1, _DECAY),
            ),
        ),
        compared=("accuracy", "FLOPs removed"),
        settled=(
            "variables on the filters of convolutions; the source has them on FC 1024 too",
            "weight decay while the variables learn, not in the training before",
            "the network is trained before (300 epochs, section 4.5) with the dropout of its arm",
        ),
    ),
)
