"""A graph as plain nodes of ONNX, without a word of protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.graph import Graph, Node, Spec
from sentei.io.onnx_out.failures import ExportError
from sentei.ops.elementwise import tie_channels
from sentei.passes import infer_specs

__all__ = ["INPUT", "OUTPUT", "Emitter", "OnnxNode", "rows_by_channel"]

Order = NDArray[np.int64]
ENDS = INPUT, OUTPUT = "input", "output"  # of the file


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One node: operator, name, inputs ("" where one is left out), output, attributes."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attrs: Mapping[str, Any]


class Emitter:
    """Collects nodes and constants; what an op's `to_onnx` works with (sentei.graph.OnnxContext).

    Args:
        graph: of inference, without gates. arrays: its parameters and statistics. opset: to write for.
    """

    def __init__(self, graph: Graph, arrays: Mapping[str, NDArray[Any]], opset: int) -> None:
        self.opset = opset
        self.nodes: list[OnnxNode] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.names = {INPUT: INPUT}  # of values of the graph, what they are called there
        self._arrays = arrays
        self._specs: Mapping[str, Spec] = infer_specs(graph, 1)
        self._orders = rows_by_channel(graph, self._specs)
        self._taken = {*ENDS, *graph.values, *(n.name for n in graph.nodes)}
        self._at = self._kind = "image"
        self._name_left = ""  # of the node at work: the first that it becomes has its name

    # -- what an op may use --------------------------------------------------------------------
    def emit(self, kind: str, ins: Sequence[str | None], out: str = "", **attrs: Any) -> str:
        given = tuple("" if v is None else self._name(v) for v in ins)
        while given and given[-1] == "":
            given = given[:-1]
        output = self.unique(out or f"{self._at}.{kind.lower()}", out)
        name, self._name_left = self._name_left or self.unique(f"{self._at}.{kind.lower()}"), ""
        self.nodes.append(OnnxNode(kind, name, given, output, attrs))
        self.names[out or output] = self.names[output] = output
        return output

    def shape(self, value: str) -> tuple[int, ...]:
        return self._specs[value].shape

    def array(self, value: str) -> NDArray[Any]:
        if value not in self._arrays:
            raise self.refuse(f"{value} must be a parameter or a statistic, but it is computed")
        return self._arrays[value]

    def constant(self, array: NDArray[Any], stem: str) -> str:
        array = np.ascontiguousarray(array)
        before = self.constants.get(stem)
        same = before is not None and before.dtype == array.dtype
        if same and before is not None and np.array_equal(before, array):
            return stem
        name = self.unique(stem, stem if before is None and stem in self._arrays else "")
        self.constants[name] = array
        self.names[name] = name
        return name

    def order(self, value: str) -> Order | None:
        return self._orders.get(value)

    # -- what the exporter uses ----------------------------------------------------------------
    def unique(self, stem: str, own: str = "") -> str:
        """A name that nothing has; `own`, a name of the graph, may be kept unless the file's ends have it."""
        name, k = stem, 1
        while name in self._taken and (name != own or name in ENDS):
            k += 1
            name = f"{stem}_{k}"
        self._taken.add(name)
        return name

    def refuse(self, why: str) -> ExportError:
        """The error that names the node at work."""
        return ExportError(
            f"export: the node {self._at!r} ({self._kind}) must have a form in ONNX: {why}"
        )

    def add(self, node: Node) -> None:
        """Append what the node's op makes of it."""
        self._at, self._kind, self._name_left = node.name, node.op.name, node.name
        to_onnx = node.op.to_onnx
        if not callable(to_onnx):
            raise self.refuse(to_onnx or "its op has none in ONNX")
        to_onnx(self, node)

    def end(self, value: str) -> None:
        """Call the value (its name in the file) that the network ends in OUTPUT."""
        last = self.nodes[-1] if self.nodes else None
        if (
            last is not None
            and last.output == value
            and all(value not in n.inputs for n in self.nodes)
        ):
            self.nodes[-1] = replace(last, output=OUTPUT)
        else:  # something else reads it too, or it is the input
            self.nodes.append(OnnxNode("Identity", self.unique("end"), (value,), OUTPUT, {}))

    def _name(self, value: str) -> str:
        if value not in self.names:
            raise self.refuse(f"its input {value!r} must be computed from the image")
        return self.names[value]


def rows_by_channel(graph: Graph, specs: Mapping[str, Spec]) -> dict[str, Order]:
    """Rows that may stay in the order (C, H, W) in which ONNX flattens an image.

    That is so when all that follows, up to linear layers, treats every element alike: then the columns
    of the layers' weights change places instead of the pixels. Such an op says so by its ties.

    Returns:
        For the names of those rows: where each element stands in our order (H, W, C).
    """
    found: dict[str, Order] = {}
    consumers = graph.consumers()
    for node in graph.nodes:
        x = node.inputs[0] if node.inputs else None
        if node.op.name != "flatten" or x is None or len(specs[x].shape) != 4:
            continue
        h, w, c = specs[x].shape[1:]
        if min(h * w, c) == 1:
            continue  # both orders are the same
        rows, todo = set(), [node.outputs[0]]
        while todo:
            value = todo.pop()
            rows.add(value)
            if value in graph.outputs or not all(_alike(n, value) for n in consumers[value]):
                break
            todo += [n.outputs[0] for n in consumers[value] if n.op.name != "linear"]
        else:
            order = np.arange(prod((h, w, c)), dtype=np.int64).reshape(h, w, c)
            found |= dict.fromkeys(rows, order.transpose(2, 0, 1).ravel())
    return found


def _alike(node: Node, row: str) -> bool:
    """Whether a node gives the same, with columns in other places, for a row in another order."""
    others = [v for v in node.inputs[1:] if v == row]
    return not others and (node.op.name == "linear" or node.op.ties is tie_channels)
