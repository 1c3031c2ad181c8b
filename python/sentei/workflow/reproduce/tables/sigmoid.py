"""[T] table 3.9: softmax and sigmoid classifiers, with and without the discriminant; deep CNN."""

from __future__ import annotations

from sentei.losses import CrossEntropy, SigmoidCrossEntropy
from sentei.optim import Adam
from sentei.regularizers import Discriminant
from sentei.workflow.reproduce.spec import Arm, Data, Setting, Table, figures
from sentei.workflow.reproduce.tables.common import ACCURACY, CIFAR10, CIFAR100


def _arm(published: tuple[float, float], sigmoid: bool, lam: float = 0.0) -> Arm:
    setting = Setting(
        "deep_cnn",
        1000,
        Adam(0.001),
        loss=SigmoidCrossEntropy() if sigmoid else CrossEntropy(),
        regularizers=(Discriminant(lam),) if lam else (),
    )
    name = ("sigmoid" if sigmoid else "softmax") + (", discriminant" if lam else "")
    return Arm(name, setting, figures(ACCURACY, published))


def _table(name: str, words: str, data: Data, lam: float, *p: tuple[float, float]) -> Table:
    return Table(
        name,
        f"thesis on feature maps, table 3.9, deep CNN on {words}",
        f"Softmax and sigmoid classifiers on {words}",
        data,
        ACCURACY,
        (_arm(p[0], False), _arm(p[1], True), _arm(p[2], False, lam), _arm(p[3], True, lam)),
    )


TABLES = (
    _table(
        "t3.9-cifar10",
        "CIFAR-10",
        CIFAR10,
        1.0,
        (90.20, 0.27),
        (91.38, 0.03),
        (92.63, 0.16),
        (92.28, 0.04),
    ),
    _table(
        "t3.9-cifar100",
        "CIFAR-100",
        CIFAR100,
        0.1,
        (64.07, 0.34),
        (66.47, 0.28),
        (64.87, 0.05),
        (70.59, 0.35),
    ),
)
