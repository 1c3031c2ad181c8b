"""[T] tables 4.2 and 4.4a: pruning by scores on MNIST."""

from __future__ import annotations

from sentei.optim import SGD
from sentei.workflow.reproduce.spec import LEVELS, Arm, Scores, Setting, Table, figures
from sentei.workflow.reproduce.tables.common import MNIST

Published = tuple[float, float]

COLUMNS = ("0 %", *LEVELS)
SETTLED = (
    "retraining after each filter: the source gives no length; 60 steps, a tenth of an epoch",
    "scores: over 2,000 training images, raw (no normalisation over the layer)",
)
_SETTING = Setting("lenet5_prune", 300, SGD(0.01))
_WHOLE = (99.29, 0.06)


def _arm(name: str, criterion: str, *at: Published) -> Arm:
    return Arm(name, _SETTING, figures(COLUMNS, _WHOLE, *at), Scores(criterion))


TABLES = (
    Table(
        "t4.2",
        "thesis on feature maps, table 4.2",
        "Terms of the Taylor expansion on MNIST, LeNet-5",
        MNIST,
        COLUMNS,
        (
            _arm("first", "first", (99.19, 0.03), (99.08, 0.08), (99.01, 0.06)),
            _arm("first and second", "first_second", (99.25, 0.02), (99.18, 0.03), (98.97, 0.05)),
            _arm("second", "fisher", (99.23, 0.05), (99.18, 0.05), (99.13, 0.06)),
        ),
        runs=5,
        compared=tuple(LEVELS),
        settled=SETTLED,
    ),
    Table(
        "t4.4a",
        "thesis on feature maps, table 4.4 a",
        "Scores on MNIST, LeNet-5",
        MNIST,
        COLUMNS,
        (
            _arm("L1+std", "l1_std", (99.28, 0.07), (99.22, 0.06), (98.91, 0.07)),
            _arm("norm", "norm", (99.29, 0.03), (99.21, 0.07), (99.15, 0.11)),
            _arm("Fisher", "fisher", (99.23, 0.05), (99.18, 0.05), (99.13, 0.06)),
            _arm("oracle", "oracle", (99.30, 0.08), (99.25, 0.04), (99.19, 0.05)),
            _arm("robust", "robust", (99.25, 0.06), (99.19, 0.07), (99.13, 0.04)),
            _arm("trace", "trace", (99.29, 0.03), (99.28, 0.02), (99.19, 0.05)),
        ),
        runs=5,
        compared=tuple(LEVELS),
        settled=SETTLED,
    ),
)
