"""The tables that can be reproduced, one module for each family."""

from __future__ import annotations

from sentei.errors import DataError
from sentei.suggest import unknown
from sentei.workflow.reproduce.spec import Table
from sentei.workflow.reproduce.tables import (
    auxiliary,
    batches,
    discriminant,
    initialisation,
    prune_cifar,
    prune_mnist,
    prune_resnet,
    semi_sync,
    sigmoid,
    sparse_lenet,
    sparse_mnist,
    sparse_vgg,
)

__all__ = ["TABLES", "table"]

TABLES: dict[str, Table] = {
    t.name: t
    for module in (
        semi_sync,
        initialisation,
        sparse_lenet,
        sparse_mnist,
        sparse_vgg,
        batches,
        discriminant,
        sigmoid,
        prune_mnist,
        prune_cifar,
        prune_resnet,
        auxiliary,
    )
    for t in module.TABLES
}


def table(name: str) -> Table:
    """The table of this name.

    Raises:
        DataError: there is none (the nearest is named).
    """
    if name not in TABLES:
        raise DataError(unknown("reproduce: NAME", name, TABLES))
    return TABLES[name]
