"""Fold an inference graph: batch norm into the convolution or linear layer before it, ReLU into the store of
these and of additions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sentei.graph import Graph, Node, Spec

__all__ = ["fuse"]

Arrays = dict[str, NDArray[np.float32]]
_LINEAR = ("conv2d", "linear")


def fuse(graph: Graph, params: Mapping[str, NDArray[np.float32]]) -> tuple[Graph, Arrays]:
    """Fold conv/linear + batch norm (inference) + ReLU chains, and addition + ReLU, into single nodes.

    With s = gamma / sqrt(var + eps):  w' = s w,  b' = beta + s (b - mean); computed in float64.
    Only a value that nothing else reads is folded. Output value names stay.

    Returns:
        The folded graph and all arrays it needs.
    """
    g = graph.copy()
    arrays: Arrays = dict(params)
    changed = True
    while changed:
        changed = False
        consumers, producers = g.consumers(), g.producers()
        for node in g.nodes:
            before = producers.get(node.inputs[0] or "") if node.inputs else None
            if before is None or before.attrs.get("relu"):
                continue
            if before.op.name not in (*_LINEAR, "add"):
                continue
            out = before.outputs[0]
            if len(consumers[out]) != 1 or out in g.outputs:
                continue
            if node.op.name == "batch_norm_inference" and before.op.name in _LINEAR:
                g = _fold_norm(g, before, node, arrays)
            elif node.op.name == "relu":
                attrs = {**before.attrs, "relu": True}
                g = _replace(
                    g,
                    before,
                    node,
                    Node(before.name, before.op, before.inputs, node.outputs, attrs),
                )
            else:
                continue
            changed = True
            break
    used = {v for n in g.nodes for v in n.inputs if v is not None}
    return g, {k: v for k, v in arrays.items() if k in used}


def _replace(g: Graph, before: Node, node: Node, merged: Node) -> Graph:
    nodes = [merged if n is node else n for n in g.nodes if n is not before]
    return g.rebuild(nodes)


def _fold_norm(g: Graph, before: Node, node: Node, arrays: Arrays) -> Graph:
    gamma, beta, mean, var = (
        arrays[v].astype(np.float64) for v in node.inputs[1:5] if v is not None
    )
    x, w_name, b_name = before.inputs
    assert w_name is not None
    w = arrays[w_name].astype(np.float64)
    scale = gamma / np.sqrt(var + node.attrs["eps"])
    bias = arrays[b_name].astype(np.float64) if b_name is not None else 0.0
    folded_w = (w * scale.reshape(-1, *[1] * (w.ndim - 1))).astype(np.float32)
    folded_b = (beta + scale * (bias - mean)).astype(np.float32)
    g = g.copy()
    names = [g.unique(f"{before.name}.folded_{k}") for k in ("weight", "bias")]
    for name, array in zip(names, (folded_w, folded_b), strict=True):
        arrays[name] = array
        g.add_param(name, Spec(array.shape))
    attrs = {**before.attrs, "relu": bool(node.attrs.get("relu", False))}
    merged = Node(before.name, before.op, (x, *names), node.outputs[:1], attrs)
    return _replace(g, before, node, merged)
