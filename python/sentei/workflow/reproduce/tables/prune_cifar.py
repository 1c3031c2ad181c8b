"""[T] tables 4.5a and 4.8a: pruning by scores on CIFAR-10, VGG-13."""

from __future__ import annotations

from sentei.optim import SGD
from sentei.workflow.reproduce.spec import LEVELS, Arm, Scores, Setting, Table, figures
from sentei.workflow.reproduce.tables.common import CIFAR10

Published = tuple[float, float]

COLUMNS = ("0 %", *LEVELS)
SETTLED = (
    "retraining after each filter: the source gives no length; 50 steps, a tenth of an epoch",
    "scores: over 2,000 training images",
)
_SETTING = Setting("vgg13_like", 300, SGD(0.01))
_WHOLE = (87.73, 0.27)


def _arm(name: str, criterion: str, *at: Published, normalize: float | None = None) -> Arm:
    prune = Scores(criterion, normalize, retrain=50)
    return Arm(name, _SETTING, figures(COLUMNS, _WHOLE, *at), prune)


TABLES = (
    Table(
        "t4.5a",
        "thesis on feature maps, table 4.5 a",
        "Scores on CIFAR-10, VGG-13",
        CIFAR10,
        COLUMNS,
        (
            _arm("L1+std", "l1_std", (87.45, 0.27), (85.97, 0.69), (81.37, 0.34)),
            _arm("norm", "norm", (85.02, 1.03), (72.96, 1.54), (34.80, 6.49)),
            _arm("Fisher", "fisher", (87.44, 0.22), (85.81, 0.42), (74.46, 0.81)),
            _arm("oracle", "oracle", (87.72, 0.70), (86.12, 0.20), (81.30, 0.46)),
            _arm("robust", "robust", (89.38, 0.22), (88.94, 0.46), (83.80, 1.87)),
            _arm("trace", "trace", (89.02, 0.24), (88.86, 0.12), (86.24, 0.33)),
        ),
        compared=tuple(LEVELS),
        settled=SETTLED,
    ),
    Table(
        "t4.8a",
        "thesis on feature maps, table 4.8 a",
        "Scores with L1 normalisation on CIFAR-10, VGG-13",
        CIFAR10,
        COLUMNS,
        (
            _arm("oracle", "oracle", (89.70, 0.29), (89.26, 0.22), (85.77, 0.49), normalize=1.0),
            _arm("robust", "robust", (89.62, 0.13), (89.15, 0.11), (86.52, 0.42), normalize=1.0),
            _arm("trace", "trace", (88.74, 0.21), (87.27, 0.30), (83.80, 0.09), normalize=1.0),
        ),
        compared=tuple(LEVELS),
        settled=SETTLED,
    ),
)
