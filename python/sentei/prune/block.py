"""The Pruning Block: encoder, gates, activation, decoder after a convolution; and its folding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import GraphError
from sentei.graph import Graph, Node, Spec
from sentei.model import Model
from sentei.ops import CONV2D
from sentei.passes import infer_specs
from sentei.prune.gates import ALPHA, START, Builder, Layers, check_settings, matched, norm_after

__all__ = ["attach_blocks", "blocks_of", "fold_blocks", "folded"]

ACTIVATIONS = (
    "elu", "leaky_relu", "logistic", "prelu", "relu", "softplus", "tanh",
)  # fmt: skip
# Linear, channel by channel: a decoder passes through them.
PASSING = ("avg_pool2d", "global_avg_pool", "flatten", "dropout", "scale")
_ONE = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "relu": False}
Arrays = dict[str, NDArray[Any]]


def _encoder(layer: str) -> str:
    return f"{layer}.encoder"


def _decoder(layer: str) -> str:
    return f"{layer}.decoder"


def blocks_of(graph: Graph) -> tuple[str, ...]:
    """Layers that a Pruning Block follows."""
    names = {n.name for n in graph.nodes}
    return tuple(n.name for n in graph.nodes if {_encoder(n.name), _decoder(n.name)} <= names)


def _refused(graph: Graph) -> dict[str, str]:
    """Layers that no block can follow."""
    specs = infer_specs(graph, 1)
    found = {}
    for n in graph.nodes:
        if n.op.name == "linear":
            found[n.name] = "a Pruning Block follows convolutions only"
        elif n.op.name == "conv2d":
            x, w = specs[str(n.input("x"))], specs[str(n.input("w"))]
            if n.attrs.get("relu"):
                found[n.name] = "its ReLU is fused into it"
            elif w.shape[3] != x.shape[3]:
                found[n.name] = "an encoder cannot be folded into a convolution in groups"
    return found


def _activation_after(graph: Graph, value: str) -> Node | None:
    """The activation that alone reads a value."""
    readers = graph.consumers()[value]
    alone = len(readers) == 1 and value not in graph.outputs
    return readers[0] if alone and readers[0].op.name in ACTIVATIONS else None


def _start(width: int, c: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Encoder (C', C) and decoder (C, C'): the identity, or orthonormal directions of it."""
    if width == c:
        return np.eye(c), np.eye(c)
    q = np.linalg.qr(rng.standard_normal((max(width, c), min(width, c))))[0]
    enc = q if width > c else q.T
    return enc, enc.T


def attach_blocks(
    model: Model,
    *,
    layers: Layers = None,
    width: float = 1.0,
    alpha: float = ALPHA,
    start: float = START,
    freeze: bool = False,
    seed: int = 0,
) -> Model:
    """A copy of the model with a Pruning Block after every chosen convolution (and its batch norm).

    z = E u, then h(m) z, the layer's own activation, and D: E (C', C) and D (C, C') are 1x1
    convolutions without bias, with C' = width C. They begin as the identity (C' = C), so that the
    network starts where it was but for h(start).

    Args:
        layers: names or patterns of convolutions; None: those that an activation of their own
        follows. alpha, start, freeze: see attach_gates. seed: of E where C' differs from C.
    Raises:
        GraphError: a pattern matches no layer, or none that can have a block. ValueError: settings.
    Source:
        T eq. 4.24 to 4.26, figure 4.3.
    """
    graph = model.graph
    check_settings(graph, "sigmoid", alpha, start)
    if blocks_of(graph):
        raise GraphError("gates: the network must have no Pruning Block yet, got one that has")
    if not 0 < width < float("inf"):
        raise ValueError(f"gates: width must be a finite number above 0, got {width!r}")
    refused = _refused(graph)
    ends: dict[str, tuple[str, Node | None]] = {}  # layer -> (value u, activation)
    for n in graph.nodes:
        if n.op.name == "conv2d" and n.name not in refused:
            u = (norm_after(graph, n) or n).outputs[0]
            ends[n.name] = (u, _activation_after(graph, u))
    chosen = matched(graph, layers, [k for k, (_, act) in ends.items() if act], refused)
    blocks = {ends[layer][0]: layer for layer in chosen}
    builder, rng, renamed = Builder(model), np.random.default_rng(seed), dict[str, str]()
    acts = {a.name for layer in chosen if (a := ends[layer][1])}
    for node in graph.nodes:
        ins = tuple(None if v is None else renamed.get(v, v) for v in node.inputs)
        if node.name not in acts:
            builder.nodes.append(Node(node.name, node.op, ins, node.outputs, node.attrs))
        layer = blocks.get(node.outputs[0])
        if layer is None:
            continue
        c = model.tensors[str(graph.node(layer).input("w"))].shape[0]
        inner = max(1, round(width * c))
        enc, dec = (a.astype(np.float32) for a in _start(inner, c, rng))
        e, d = _encoder(layer), _decoder(layer)
        weight = builder.param(f"{e}.weight", enc.reshape(inner, 1, 1, c), decay=True)
        back = builder.param(f"{d}.weight", dec.reshape(c, 1, 1, inner), decay=True)
        gated = builder.gated(weight, builder.gate(e, inner, "sigmoid", alpha, start))
        builder.nodes.append(Node(e, CONV2D, (node.outputs[0], gated, None), (e,), _ONE))
        last, act = e, ends[layer][1]
        if act is not None:
            rest = act.inputs[1:]
            builder.nodes.append(Node(act.name, act.op, (e, *rest), act.outputs, act.attrs))
            last = act.outputs[0]
        builder.nodes.append(Node(d, CONV2D, (last, back, None), (d,), _ONE))
        renamed[last if act is not None else node.outputs[0]] = d
    builder.outputs = [renamed.get(o, o) for o in graph.outputs]
    return builder.model(freeze)


def folded(graph: Graph, arrays: Mapping[str, NDArray[Any]] | None = None) -> tuple[Graph, Arrays]:
    """The graph with its blocks folded; gates must be folded before.

    An encoder goes into the convolution before it, with the batch norm's affine map: that
    convolution then has a bias and no batch norm. A decoder goes into all convolutions and linear
    layers that read it, through average pools, flattening and dropout; where something else reads
    it (a max pool, an addition) it stays, and counts.

    Args:
        graph: forward graph. arrays: its parameters and states; None: shapes only.
    Returns:
        The graph, and its arrays (empty without any).
    """
    out: Arrays | None = None if arrays is None else dict(arrays)
    for layer in blocks_of(graph):
        graph = _fold_encoder(graph, out, layer)
        graph = _fold_decoder(graph, out, layer)
    kept = {} if out is None else {k: v for k, v in out.items() if k in graph.values}
    return graph, kept


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    spec = graph.values[name].spec
    assert spec is not None
    return spec.shape


def _fold_encoder(graph: Graph, arrays: Arrays | None, layer: str) -> Graph:
    conv, enc = graph.node(layer), graph.node(_encoder(layer))
    x, w, b = conv.inputs
    e = str(enc.inputs[1])
    norm = norm_after(graph, conv)
    assert w is not None
    k = _shape(graph, e)[0]
    bias = b if norm is None else f"{layer}.bias"
    g = graph.with_specs({w: Spec((k, *_shape(graph, w)[1:]))})
    if norm is not None and bias not in g.values:
        g.add_param(str(bias), Spec((k,)))
    elif bias is not None:
        g = g.with_specs({bias: Spec((k,))})
    if arrays is not None:
        E = arrays[e].reshape(k, -1).astype(np.float64)
        shift = 0.0 if b is None else arrays[b].astype(np.float64)
        if norm is not None:
            gamma, beta, mean, var = (arrays[str(v)].astype(np.float64) for v in norm.inputs[1:5])
            scale = gamma / np.sqrt(var + norm.attrs["eps"])
            shift = E @ (beta + scale * (shift - mean))
            E = E * scale
        elif b is not None:
            shift = E @ shift
        arrays[w] = np.tensordot(E, arrays[w].astype(np.float64), 1).astype(np.float32)
        if bias is not None:
            arrays[bias] = np.asarray(shift, np.float32)
    gone = {enc.name, *([norm.name] if norm is not None else [])}
    nodes = []
    for n in g.nodes:
        ins = tuple(layer if v == enc.outputs[0] else v for v in n.inputs)
        if n is conv:
            nodes.append(Node(layer, CONV2D, (x, w, bias), (layer,), conv.attrs))
        elif n.name not in gone:
            nodes.append(Node(n.name, n.op, ins, n.outputs, n.attrs))
    return g.rebuild(nodes, [layer if o == enc.outputs[0] else o for o in g.outputs])


def _readers(graph: Graph, value: str, c: int) -> list[Node] | None:
    """All layers that a linear map of this value's channels can be folded into; None: not all can."""
    if value in graph.outputs:
        return None
    found: list[Node] = []
    for n in graph.consumers()[value]:
        if n.op.name in PASSING and n.inputs[0] == value:
            more = _readers(graph, n.outputs[0], c)
            if more is None:
                return None
            found += more
        elif n.op.name == "linear" or (
            n.op.name == "conv2d" and _shape(graph, str(n.inputs[1]))[3] == c
        ):
            found.append(n)
        else:
            return None
    return found


def _fold_decoder(graph: Graph, arrays: Arrays | None, layer: str) -> Graph:
    dec = graph.node(_decoder(layer))
    value, d, _ = dec.inputs
    assert value is not None and d is not None
    c, _, _, k = _shape(graph, d)
    readers = _readers(graph, dec.outputs[0], c)
    if not readers:
        return graph
    specs = {}
    for w in dict.fromkeys(str(n.inputs[1]) for n in readers):
        shape = _shape(graph, w)
        wide = (*shape[:-1], k) if len(shape) == 4 else (shape[0], shape[1] // c * k)
        specs[w] = Spec(wide)
        if arrays is not None:
            D = arrays[d].reshape(c, k).astype(np.float64)
            rows = arrays[w].astype(np.float64).reshape(-1, c) @ D
            arrays[w] = rows.reshape(wide).astype(np.float32)
    g = graph.with_specs(specs)
    nodes = []
    for n in g.nodes:
        if n is not dec:
            ins = tuple(value if v == dec.outputs[0] else v for v in n.inputs)
            nodes.append(Node(n.name, n.op, ins, n.outputs, n.attrs))
    return g.rebuild(nodes)


def fold_blocks(model: Model) -> Model:
    """A model with its Pruning Blocks folded away, which computes the same in inference.

    Raises:
        GraphError: it has gates still (close_gates takes them out).
    """
    if any(n.op.name == "gate" for n in model.graph.nodes):
        raise GraphError("fold_blocks: the gates must be closed before, got a network with gates")
    layers = blocks_of(model.graph)
    if not layers:
        return model.copy()
    graph, arrays = folded(model.graph, model.arrays())
    tensors = {k: Tensor.from_numpy(a).to(model.device) for k, a in arrays.items()}
    result = Model(graph, tensors, model.meta)
    left = {n.name for n in graph.nodes}
    mixed = {*layers, *map(_encoder, layers)}  # their channels are no channels of the original
    kept = result.meta.get("kept") or {}
    result.meta["kept"] = {k: v for k, v in kept.items() if k in left and k not in mixed}
    return result
