"""Containers, and from layers to a Model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sentei import init as initialisers
from sentei.errors import GraphError
from sentei.graph import Graph
from sentei.model import Model
from sentei.nn.activations import Identity
from sentei.nn.shape import Add, Join
from sentei.nn.symbol import Input, Layer, Symbol, need_symbol

__all__ = ["Residual", "Sequential", "build", "graph_of"]


@dataclass(frozen=True, init=False)
class Sequential(Layer):
    """Layers one after another. With a name, the names of its layers start with "<name>."."""

    kind: ClassVar[str] = "seq"
    layers: tuple[Layer, ...] = field(default=())

    def __init__(self, *layers: Layer, name: str | None = None) -> None:
        flat = layers[0] if len(layers) == 1 and isinstance(layers[0], list | tuple) else layers
        for k, layer in enumerate(flat):
            if isinstance(layer, Join):
                raise GraphError(
                    f"Sequential: layers must take one input, got {layer!r} in place {k}: "
                    "call it on Symbols, or use Residual"
                )
            if not isinstance(layer, Layer):
                raise GraphError(
                    f"Sequential: layers must be layers of sentei.nn, got {layer!r} in place {k}"
                )
        object.__setattr__(self, "layers", tuple(flat))
        object.__setattr__(self, "name", name)

    def __call__(self, x: Symbol, name: str | None = None) -> Symbol:
        need_symbol(x, "Sequential")
        prefix = name or self.name
        y = x.within(f"{x.scope}{prefix}.") if prefix else x
        for layer in self.layers:
            y = layer(y)
        return y.within(x.scope)

    def graph(self, input_shape: Sequence[int]) -> Graph:
        """The graph for samples of this shape, without numbers (see nn.graph_of)."""
        return graph_of(self, input_shape)

    def build(
        self,
        input_shape: Sequence[int],
        *,
        seed: int = 0,
        init: str | initialisers.Scheme = "kaiming",
    ) -> Model:
        """The model for samples of this shape (see nn.build)."""
        return build(self, input_shape, seed=seed, init=init)


@dataclass(frozen=True)
class Residual(Layer):
    """Block with a way round it, y = after(body(x) + shortcut(x)).

    Args:
        body (Layer): usually a Sequential. shortcut (Layer): Identity() where shapes agree, else
        e.g. a 1x1 convolution. after (Layer): follows the addition, usually ReLU().
    Layers inside are named "<name>.conv1", ..., those of the shortcut "<name>.shortcut.conv1", ...
    """

    kind: ClassVar[str] = "block"
    body: Layer
    shortcut: Layer = field(default_factory=Identity)
    after: Layer = field(default_factory=Identity)

    def __post_init__(self) -> None:
        for argument in ("body", "shortcut", "after"):
            if not isinstance(getattr(self, argument), Layer):
                raise GraphError(
                    f"Residual: {argument} must be a layer of sentei.nn, "
                    f"got {getattr(self, argument)!r}"
                )

    def emit(self, x: Symbol, name: str) -> Symbol:
        inner = f"{name}."
        y = self.body(x.within(inner))
        way = self.shortcut(x.within(f"{inner}shortcut."))
        return self.after(Add()(y.within(inner), way).within(inner)).within(x.scope)


def graph_of(
    layers: Layer | Sequence[Layer] | Symbol, input_shape: Sequence[int] | None = None
) -> Graph:
    """The graph of layers or of a Symbol that ends one; costs and shapes need no more.

    Args:
        layers: a layer, a list of them, or the Symbol of the output. input_shape: of one sample,
        (H, W, C) or (D,); only for layers.
    Raises:
        GraphError: input_shape is missing, or given with a Symbol. ShapeError: layers do not fit.
    """
    if isinstance(layers, Symbol):
        if input_shape is not None:
            raise GraphError("build: input_shape must be left out when a Symbol is given")
        end = layers
    else:
        if input_shape is None:
            raise GraphError("build: input_shape must be given with layers, e.g. (28, 28, 1)")
        whole = layers if isinstance(layers, Layer) else Sequential(*layers)
        end = whole(Input(input_shape))
    if end.value in end.graph.by_role("input"):
        raise GraphError("build: the network must have at least one layer that does something")
    needed = {end.value}
    nodes = []
    for node in reversed(end.graph.nodes):
        if needed & set(node.outputs):
            needed |= {v for v in node.inputs if v is not None}
            nodes.append(node)
    graph = end.graph.rebuild(reversed(nodes), (end.value,))
    if "x" not in needed:
        raise GraphError("build: the output must depend on the input")
    graph.values = {k: v for k, v in graph.values.items() if v.role != "input" or k in needed}
    return graph


def build(
    layers: Layer | Sequence[Layer] | Symbol,
    input_shape: Sequence[int] | None = None,
    *,
    seed: int = 0,
    init: str | initialisers.Scheme = "kaiming",
    meta: dict[str, Any] | None = None,
) -> Model:
    """Make a Model: the graph, and every parameter drawn from the seed and its own name.

    Args:
        layers, input_shape: as graph_of. seed (int): of the initial weights. init: a name of
        sentei.init, or a scheme made by one of its functions. meta: kept in the model's file.
    Returns:
        Model in its training form.
    """
    graph = graph_of(layers, input_shape)
    tensors = initialisers.initialise(graph, init, seed=seed)
    known = {"init": init if isinstance(init, str) else getattr(init, "name", "custom")}
    return Model(graph, tensors, {**known, "seed": seed, **(meta or {})})
