"""Symbol: a value of a graph under construction; Layer: what can be called on one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from sentei.errors import GraphError, ShapeError
from sentei.graph import BATCH, Graph, Spec, op_named
from sentei.model import input_spec
from sentei.nn.check import text

__all__ = ["Input", "Layer", "Param", "Symbol", "apply", "claim"]


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """A value of the graph that is being built.

    graph: grows as layers are called. value: its name. spec: shape (batch axis = BATCH) and dtype.
    scope: prefix of the names of the layers called on it ("block1." inside a block).
    """

    graph: Graph
    value: str
    spec: Spec
    scope: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, (H, W, C) or (D,)."""
        return self.spec.shape[1:]

    def within(self, scope: str) -> Symbol:
        """The same value with another prefix for what follows."""
        return replace(self, scope=scope)

    def __str__(self) -> str:
        return f"{self.value} ({shown(self.spec.shape)})"


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter or state that a layer brings: "<layer>.<suffix>"."""

    suffix: str
    shape: tuple[int, ...]
    decay: bool = False
    role: Literal["param", "state"] = "param"


@dataclass(frozen=True)
class Layer:
    """A description of a layer; calling it on a Symbol appends it to the Symbol's graph.

    name: name in the graph; None gives one by kind and number (conv1, conv2, ...).
    """

    kind: ClassVar[str] = "layer"
    name: str | None = field(default=None, kw_only=True)

    def __call__(self, x: Symbol, name: str | None = None) -> Symbol:
        """Append the layer to x's graph and return its output.

        Args:
            x (Symbol): input. name (str): instead of the layer's own or automatic name.
        Raises:
            ShapeError: x does not fit. GraphError: the name is taken, or x is not a Symbol.
        """
        need_symbol(x, type(self).__name__)
        return self.emit(x, claim(x, type(self).kind, name or self.name))

    def emit(self, x: Symbol, name: str) -> Symbol:
        """Append the nodes under this full name."""
        raise NotImplementedError


def Input(shape: Sequence[int]) -> Symbol:
    """Start a graph with one input "x".

    Args:
        shape: of one sample, (H, W, C), or (D,) for a vector.
    Returns:
        Symbol of shape (N, *shape), float32.
    Raises:
        ShapeError: not one or three sizes of at least 1.
    """
    spec = input_spec(tuple(shape))
    graph = Graph()
    return Symbol(graph, graph.add_input("x", spec), spec)


def claim(x: Symbol, kind: str, name: str | None) -> str:
    """Full name for a new layer on x: scope + name, or scope + kind + the next number."""
    taken = {n.name for n in x.graph.nodes} | set(x.graph.values)

    def used(full: str) -> bool:
        return full in taken or any(t.startswith(full + ".") for t in taken)

    if name is not None:
        full = x.scope + text("nn", "name", name)
        if used(full):
            raise GraphError(f"nn: layer names must be unique, got {full!r} twice")
        return full
    k = 1
    while used(f"{x.scope}{kind}{k}"):
        k += 1
    return f"{x.scope}{kind}{k}"


def apply(
    op_name: str,
    inputs: Sequence[Symbol | Param | str | None],
    name: str,
    attrs: Mapping[str, Any] | None = None,
) -> Symbol:
    """Append one node: infer its output, then add its parameters, then the node.

    inputs: Symbols, new parameters, names of values of the graph, or None where one is left out.
    Nothing is added when the shapes do not fit.
    """
    op = op_named(op_name)
    x = next(i for i in inputs if isinstance(i, Symbol))
    specs: list[Spec | None] = []
    for i in inputs:
        if isinstance(i, Symbol):
            if i.graph is not x.graph:
                raise GraphError(
                    f"{name}: all inputs must come from one Input, got {x.value!r} and {i.value!r} of two"
                )
            specs.append(Spec((1, *i.shape), i.spec.dtype))
        elif isinstance(i, Param):
            specs.append(Spec(i.shape))
        else:
            specs.append(None if i is None else x.graph.values[i].spec)
    try:
        out = op.infer(specs, attrs or {})[0]
    except ShapeError as e:
        raise ShapeError(f"{name}: {e}") from None
    values: list[str | None] = []
    for i in inputs:
        if isinstance(i, Param):
            full = f"{name}.{i.suffix}"
            if i.role == "param":
                x.graph.add_param(full, Spec(i.shape), decay=i.decay)
            else:
                x.graph.add_state(full, Spec(i.shape))
            values.append(full)
        else:
            values.append(i.value if isinstance(i, Symbol) else i)
    value = x.graph.add(op, values, attrs, name)[0]
    return Symbol(x.graph, value, Spec((BATCH, *out.shape[1:]), out.dtype), x.scope)


def need_symbol(x: object, layer: str) -> None:
    """GraphError unless x is a Symbol."""
    if not isinstance(x, Symbol):
        raise GraphError(
            f"{layer}: input must be a Symbol, as nn.Input(shape) gives one, got {type(x).__name__}"
        )


def shown(shape: Sequence[int]) -> str:
    """Text of a shape with N for the batch axis: (N, 28, 28, 1)."""
    return "(" + ", ".join("N" if d == BATCH else str(d) for d in shape) + ")"


def need_image(x: Symbol, name: str, layer: str) -> tuple[int, int, int]:
    """(H, W, C) of an image input; ShapeError that names the layer otherwise."""
    if len(x.shape) != 3:
        raise ShapeError(
            f"{name}: {layer} needs an input of shape (N, H, W, C), got {shown(x.spec.shape)}"
        )
    return (x.shape[0], x.shape[1], x.shape[2])


def need_vector(x: Symbol, name: str, layer: str) -> int:
    """D of a vector input; ShapeError that names the layer and says Flatten otherwise."""
    if len(x.shape) != 1:
        raise ShapeError(
            f"{name}: {layer} needs an input of shape (N, D), got {shown(x.spec.shape)}; "
            "put Flatten() before it"
        )
    return x.shape[0]
