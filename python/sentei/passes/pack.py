"""Filters in the order in which the kernels read them, for networks whose filters stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from sentei import _core
from sentei._core import Tensor
from sentei.graph import Graph, Node, Spec, Value
from sentei.ops.conv2d import window
from sentei.ops.conv2d_packed import CONV2D_PACKED
from sentei.ops.precision import precision_of
from sentei.passes.shapes import infer_specs

__all__ = ["Packed", "pack_filters"]

# By filter, method, size and modes: one for all batch sizes that read the same order.
Packed = MutableMapping[tuple[Any, ...], Tensor]


def pack_filters(
    graph: Graph, tensors: Mapping[str, Tensor], batch: int, kept: Packed | None = None
) -> tuple[Graph, dict[str, Tensor]]:
    """Pack every filter now that the CPU's convolutions would pack in every call.

    Only for filters that nobody writes to afterwards: the packed ones would not follow. On other
    devices there is nothing to pack.

    Args:
        graph: of inference. tensors: its parameters and states, filters among them. batch: for which
        the kernels are chosen. kept: what was packed for other batch sizes; filled.
    Returns:
        (graph, tensors): a graph with conv2d_packed in the place of conv2d, and its tensors; the
        results have the same bits.
    """
    kept = {} if kept is None else kept
    specs = infer_specs(graph, batch)
    found: dict[str, Tensor] = {}
    nodes = []
    for node in graph.nodes:
        packed = None
        w = node.inputs[1] if node.op.name == "conv2d" else None
        if w is not None and graph.values[w].role in ("param", "state"):
            packed = _packed(node, specs, w, tensors[w], kept)
        if packed is None or w is None:
            nodes.append(node)
            continue
        name = f"{node.name}.packed"
        found[name] = packed
        x, _, b = node.inputs
        attrs = {**node.attrs, "filter": tensors[w].shape}
        nodes.append(Node(node.name, CONV2D_PACKED, (x, name, b), node.outputs, attrs))
    if not found:
        return graph, dict(tensors)
    source = graph.copy()
    for name, t in found.items():
        source.values[name] = Value(name, "param", Spec(t.shape, t.dtype))
    return source.rebuild(nodes), {**tensors, **found}


def _packed(
    node: Node, specs: Mapping[str, Spec], name: str, w: Tensor, kept: Packed
) -> Tensor | None:
    x = node.inputs[0]
    assert x is not None
    shape, modes = specs[x].shape, (*window(node.attrs), precision_of(node.attrs))
    method, size, _ = _core.conv2d_packing(shape, w.shape, *modes, w.device)
    if size == 0:
        return None
    key = (name, method, size, shape[1:], modes)
    if key not in kept:
        packed = Tensor.empty((size,), "uint8")
        _core.conv2d_pack(w, packed, shape, *modes)
        kept[key] = packed
    return kept[key]
