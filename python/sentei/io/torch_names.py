"""Which tensor of a model is which tensor of a PyTorch state dict, and how the one is laid out as the other.

Filters are (K, R, S, C / G) here and (K, C / G, R, S) there. A row that `flatten` makes runs over rows,
columns, channels here and over channels, rows, columns there, so what a linear layer (or a batch norm)
behind it holds per element of that row is permuted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError, GraphError
from sentei.graph import Graph, Node, Spec
from sentei.model import Model
from sentei.passes import infer_specs

__all__ = ["COUNTER", "META", "Slot", "slots"]

META = "torch"  # model.meta[META] = {"names": {value name: key}}
COUNTER = "num_batches_tracked"  # PyTorch's batch norm counts steps; nothing here does

# argument of the op -> last part of the key
_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "running_mean": "running_mean",
    "running_var": "running_var",
}
_PARTS: dict[str, dict[str, str]] = {
    "conv2d": {"w": "weight", "b": "bias"},
    "linear": {"w": "weight", "b": "bias"},
    "batch_norm": _NORM,
    "prelu": {"a": "weight"},
}
# What makes rows of its own, whatever the order of its input was.
_ENDS = {"conv2d", "linear", "global_avg_pool", "max_pool2d", "avg_pool2d"}

Order = NDArray[np.int64]


@dataclass(frozen=True)
class Slot:
    """One tensor. value: its name here. layer, leaf, key: the node, the last part and the whole of its
    name there. order: element k of its last axis there is element order[k] here."""

    value: str
    layer: str
    leaf: str
    key: str
    spec: Spec
    order: Order | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in PyTorch."""
        s = self.spec.shape
        return (s[0], s[3], s[1], s[2]) if len(s) == 4 else s

    def outwards(self, a: NDArray[Any]) -> NDArray[Any]:
        """Our array in PyTorch's layout; memory of its own."""
        if a.ndim == 4:
            a = a.transpose(0, 3, 1, 2)
        return np.array(a if self.order is None else a[..., self.order], order="C", copy=True)

    def inwards(self, a: NDArray[Any]) -> NDArray[Any]:
        """PyTorch's array in our layout."""
        if a.ndim == 4:
            a = a.transpose(0, 2, 3, 1)
        if self.order is None:
            return np.ascontiguousarray(a)
        out = np.empty(a.shape, a.dtype)
        out[..., self.order] = a
        return out


def slots(model: Model, who: str) -> list[Slot]:
    """Every parameter and state of a model, in the order of the network.

    Args:
        who: name of the caller, for messages.
    Raises:
        GraphError: something is held by a layer that PyTorch has not got. DataError: meta is damaged.
    """
    graph = model.graph
    names = _names(model, who)
    orders = _orders(graph)
    found: dict[str, Slot] = {}
    for node, argument, value in _held(graph):
        if value in found:  # shared by two layers: the first names it
            continue
        leaf = _PARTS.get(node.op.name, {}).get(argument)
        spec = graph.values[value].spec
        if leaf is None or spec is None:
            raise GraphError(
                f"{who}: layers must be convolutions, linear layers, batch norms or PReLU, "
                f"got {node.op.name} in {node.name!r}"
            )
        key = names.get(value) or f"{value.rpartition('.')[0] or node.name}.{leaf}"
        per_input = argument != "b"  # a bias has an element per output
        order = orders.get(str(node.inputs[0])) if per_input else None
        if order is not None and spec.shape[-1] != order.size:  # one slope of PReLU for all
            order = None
        found[value] = Slot(value, node.name, leaf, key, spec, order)
    return list(found.values())


def _held(graph: Graph) -> Iterator[tuple[Node, str, str]]:
    held = set(graph.by_role("param", "state"))
    for node in graph.nodes:
        for argument, value in node.arguments():
            if value in held:
                yield node, argument, value


def _names(model: Model, who: str) -> Mapping[str, str]:
    about = model.meta.get(META) or {}
    names = about.get("names", {}) if isinstance(about, Mapping) else None
    if not isinstance(names, Mapping) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in names.items()
    ):
        raise DataError(f"{who}: meta['{META}']['names'] must give names of PyTorch as text")
    return names


def _orders(graph: Graph) -> dict[str, Order]:
    """For every row whose elements are ordered differently in PyTorch: where its k-th element is here."""
    specs = infer_specs(graph, 1)
    orders: dict[str, Order] = {}
    for node in graph.nodes:
        out = node.outputs[0]
        if node.op.name == "flatten":
            shape = specs[str(node.inputs[0])].shape[1:]
            if len(shape) == 3 and shape[0] * shape[1] > 1:
                numbers = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
                orders[out] = numbers.transpose(2, 0, 1).reshape(-1)
            elif str(node.inputs[0]) in orders:
                orders[out] = orders[str(node.inputs[0])]
        elif node.op.name == "concat":
            if any(v in orders for v in node.inputs):
                orders[out] = _joined([str(v) for v in node.inputs], orders, specs)
        elif node.op.name not in _ENDS:
            given = next((orders[v] for v in node.inputs if v in orders), None)
            if given is not None and specs[out].shape[-1:] == given.shape:
                orders[out] = given
    return orders


def _joined(rows: list[str], orders: Mapping[str, Order], specs: Mapping[str, Spec]) -> Order:
    parts, at = [], 0
    for row in rows:
        width = specs[row].shape[-1]
        parts.append(at + orders.get(row, np.arange(width, dtype=np.int64)))
        at += width
    return np.concatenate(parts)
