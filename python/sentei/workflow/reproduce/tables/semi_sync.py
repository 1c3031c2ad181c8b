"""[S] tables 1 and 2: the semi-synchronous update of VGG-16 on CIFAR-10."""

from __future__ import annotations

from dataclasses import replace

from sentei.optim import SGD, Optimizer, SemiSync
from sentei.workflow.reproduce.spec import Arm, Setting, Table, figures
from sentei.workflow.reproduce.tables.common import ACCURACY, CIFAR10

_DATA = replace(CIFAR10, standardize="fit", size=224)
_SGD = SGD(0.001, momentum=0.9)
_SEMI = SemiSync(_SGD)  # both FC layers of 4096


def _arm(
    name: str,
    published: float | tuple[float, float],
    optimizer: Optimizer = _SGD,
    norm: str = "none",
    dropout: float = 0.0,
) -> Arm:
    options = {"batch_norm": norm, "dropout": dropout}
    setting = Setting("vgg16", 50, optimizer, options, batch=32)
    return Arm(name, setting, figures(ACCURACY, published))


_RATE = "dropout: the source gives no rate; 0.5"

TABLES = (
    Table(
        "s1",
        "paper on the semi-synchronous update, table 1",
        "Semi-synchronous update on CIFAR-10, VGG-16",
        _DATA,
        ACCURACY,
        (
            _arm("synchronous", 75.7),
            _arm("semi-synchronous", 77.2, _SEMI),
            _arm("dropout", 77.8, dropout=0.5),
            _arm("batch norm (FC)", 82.2, norm="fc"),
            _arm("batch norm (conv)", 86.6, norm="conv"),
            _arm("batch norm (both)", 81.9, norm="both"),
        ),
        runs=1,
        settled=(_RATE,),
    ),
    Table(
        "s2",
        "paper on the semi-synchronous update, table 2",
        "Semi-synchronous update with batch norm on CIFAR-10, VGG-16",
        _DATA,
        ACCURACY,
        (
            _arm("synchronous", (86.16, 0.29), norm="conv"),
            _arm("synchronous, dropout", (86.45, 0.86), norm="conv", dropout=0.5),
            _arm("semi-synchronous", (88.65, 0.23), _SEMI, "conv"),
            _arm("semi-synchronous, dropout", (84.83, 1.27), _SEMI, "conv", 0.5),
        ),
        runs=10,
        settled=(_RATE,),
    ),
)
