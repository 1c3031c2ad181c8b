"""The graph as it grows, with names, parameters and what is known of their origin."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.graph import Graph, Node, Spec, op_named
from sentei.io.onnx_in.node import NodeView
from sentei.io.onnx_in.values import Layout, Shape, Value

__all__ = ["MOST_ELEMENTS", "Builder"]

MOST_ELEMENTS = 1 << 26  # of a value per sample: 256 MiB


class Builder:
    """Appends nodes for one file.

    batch: what the file's arithmetic on shapes takes for the number of samples. origin: for every
    parameter and state, the initializer that it was and how its axes were moved.
    """

    def __init__(self, opset: int, batch: int) -> None:
        self.graph = Graph()
        self.tensors: dict[str, Tensor] = {}
        self.origin: dict[str, dict[str, str]] = {}
        self.opset, self.batch = opset, batch
        self.notes: list[str] = []
        self.readers: Mapping[str, int] = {}  # how many inputs read a value of the file
        self.names: Counter[str] = Counter()  # how many values of the file are one of the graph
        self.folded = 0  # bytes of constants that arithmetic has made
        self.streams = 0  # dropouts, each with numbers of its own
        self._flat: dict[str, str] = {}
        self._taken = {"x", "rng"}
        self._next: dict[str, int] = {}

    # -- names ---------------------------------------------------------------------------------
    def claim(self, *wishes: str, kind: str) -> str:
        """A free name: the first wish that is usable and free, else the kind and the next number."""
        for wish in wishes:
            if (
                re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}", wish)
                and wish not in self._taken
            ):
                return self._take(wish)
        while f"{kind}{self._next.get(kind, 1)}" in self._taken:
            self._next[kind] = self._next.get(kind, 1) + 1
        return self._take(f"{kind}{self._next.get(kind, 1)}")

    def _take(self, name: str) -> str:
        """Keep a name and what it lies in: with "a.b.c" also "a.b" and "a" are no names of nodes."""
        parts = name.split(".")
        self._taken.update(".".join(parts[:i]) for i in range(1, len(parts) + 1))
        return name

    def layer_name(self, n: NodeView, kind: str, *, weight: int = 1) -> str:
        """Name of a layer with parameters: what its weight is called in the file, or its module."""
        label = n.label(weight)
        stem = label.removesuffix(".weight") if label.endswith(".weight") else ""
        # A batch norm's numbers may be shared between layers of equal ones; its module is its own.
        wishes = (n.raw.scope, stem) if kind == "bn" else (stem, n.raw.scope)
        return self.claim(*wishes, kind=kind)

    # -- values --------------------------------------------------------------------------------
    def input(self, name: str, shape: Shape) -> Value:
        """Add an input of these sizes per sample: (C, H, W) as an image, anything else as a row."""
        if len(shape) == 3:
            c, h, w = shape
            x = Value(name, (h, w, c), shape, Layout.image(c, h, w))
        else:
            size = int(np.prod(shape, dtype=np.int64)) if shape else 1
            x = Value(name, (size,), shape, Layout.plain(*shape))
        self.graph.add_input(name, Spec((-1, *x.own)))
        return x

    def param(
        self,
        layer: str,
        suffix: str,
        array: NDArray[Any],
        *,
        decay: bool = False,
        state: bool = False,
        origin: str = "",
        moved: str = "",
    ) -> str:
        """Add a parameter or a statistic with its numbers, in memory of its own."""
        name = f"{layer}.{suffix}"
        own = np.ascontiguousarray(array, np.float32)  # from_numpy copies
        if state:
            self.graph.add_state(name, Spec(own.shape))
        else:
            self.graph.add_param(name, Spec(own.shape), decay=decay)
        self.tensors[name] = Tensor.from_numpy(own)
        if origin:
            self.origin[name] = {"name": origin, "moved": moved}
        return name

    def emit(
        self,
        op: str,
        n: NodeView,
        inputs: Sequence[Value | str | None],
        name: str,
        **attrs: Any,
    ) -> tuple[str, Shape]:
        """Append a node; returns its first output and that output's shape per sample."""
        values = [i.name if isinstance(i, Value) else i for i in inputs]
        specs: list[Spec | None] = []
        for i in inputs:
            if isinstance(i, Value):
                specs.append(Spec((1, *i.own)))
            else:
                specs.append(None if i is None else self.graph.values[i].spec)
        record = op_named(op)
        try:
            out = record.infer(specs, attrs)[0]
        except (ValueError, TypeError) as e:
            raise n.refuse(f"its sizes do not fit together: {e}") from None
        if out.size > MOST_ELEMENTS:
            raise n.refuse(
                f"its output must have at most {MOST_ELEMENTS} elements per sample, got {out.size}"
            )
        return self.graph.add(record, values, attrs, name)[0], out.shape[1:]

    def map(self, op: str, n: NodeView, x: Value, kind: str, **attrs: Any) -> Value:
        """An elementwise op: everything stays where it is."""
        name, own = self.emit(op, n, (x,), self.claim(kind=kind), **attrs)
        return replace(x, name=name, own=own)

    def pooled(self, op: str, n: NodeView, x: Value, kind: str, **attrs: Any) -> Value:
        """An op from image to image."""
        name, own = self.emit(op, n, (x,), self.claim(kind=kind), **attrs)
        return self.image(name, own)

    def image(self, name: str, own: Shape) -> Value:
        h, w, c = own
        return Value(name, own, (c, h, w), Layout.image(c, h, w))

    def row(self, n: NodeView, x: Value) -> Value:
        """x as a row (N, D): images are flattened in our order."""
        if len(x.shape) != 1:
            raise n.refuse(
                f"its input must be rows (N, D), got sizes {x.shape} per sample; put a Flatten before it"
            )
        if len(x.own) == 1:
            return x
        if x.name not in self._flat:
            self._flat[x.name], _ = self.emit("flatten", n, (x,), self.claim(kind="flatten"))
        return replace(x, name=self._flat[x.name], own=x.shape)

    def node_of(self, x: Value) -> Node | None:
        """The node that makes a value."""
        return next((m for m in reversed(self.graph.nodes) if x.name in m.outputs), None)

    def give_bias(self, node: Node, bias: NDArray[np.float32], origin: str) -> None:
        """Give a convolution or linear layer made without a bias one."""
        b = self.param(node.name, "bias", bias, origin=origin)
        at = self.graph.nodes.index(node)
        self.graph.nodes[at] = replace(node, inputs=(*node.inputs[:2], b))
