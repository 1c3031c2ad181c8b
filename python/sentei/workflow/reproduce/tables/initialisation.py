"""[I] table 4: initial weights of a plain network of 34 layers."""

from __future__ import annotations

from sentei.optim import SGD
from sentei.workflow.reproduce.spec import Arm, Data, Setting, Table, figures

_COLUMNS = ("max", "first quartile", "median", "third quartile")
_DATA = Data(
    "folder",
    (224, 224, 3),
    10,
    None,
    "fit",
    224,
    (3.0, 1.0),
    "the first ten fungi of iNaturalist 2019 (its training images, kingdom Fungi, by number of the "
    "species): one folder for each class in --data-dir",
)


def _arm(name: str, init: str, *published: float) -> Arm:
    optimizer = SGD(0.001, momentum=0.9, weight_decay=1e-4)
    setting = Setting("f34", 300, optimizer, batch=64, init=init)
    return Arm(name, setting, figures(_COLUMNS, *published))


TABLES = (
    Table(
        "i4",
        "paper on the initialisation of convolutions, table 4",
        "Initial weights on ten fungi, F34",
        _DATA,
        _COLUMNS,
        (
            _arm("Xavier", "glorot", 24.61, 24.61, 24.61, 24.61),
            _arm("Kaiming", "kaiming", 69.92, 68.36, 69.04, 69.48),
            _arm("proposed", "henmi_kato", 70.90, 69.19, 69.73, 70.21),
        ),
        runs=10,
        statistic="quartiles",
        settled=(
            "Xavier is the two-sided one that the table cites; Kaiming by fan in; proposed by (6): "
            "the source does not say",
        ),
    ),
)
