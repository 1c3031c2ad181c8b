"""Layers whose output channels are cut over ranks: model parallelism inside a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from sentei._core import Tensor
from sentei.distributed.exchange import array_of
from sentei.distributed.mpi import Comm, comm
from sentei.errors import GraphError
from sentei.graph import Attrs, GradContext, Graph, Node, Op, Spec
from sentei.model import Model
from sentei.passes import infer_specs

__all__ = ["Split", "split"]

Specs = Sequence[Spec | None]
Tensors = Sequence[Tensor | None]
_KINDS = ("linear", "conv2d")


@dataclass(frozen=True)
class Split:
    """One rank's part of a network, to be trained on every rank with the same mini-batches.

    model: its graph exchanges activations and gradients; whole: the graph of the network that was
    split; parts: the parameters of which this rank has its rows only.
    """

    model: Model
    whole: Graph
    parts: tuple[str, ...]
    comm: Comm

    def join(self) -> Model:
        """The whole network, gathered from all ranks, which must all call this."""
        tensors = {}
        for name in self.whole.by_role("param", "state"):
            t = self.model.tensors[name]
            mine = array_of(t)
            tensors[name] = Tensor.from_numpy(
                self.comm.rows(mine) if name in self.parts else mine.copy()
            )
        return Model(self.whole.copy(), tensors, self.model.meta)


def split(model: Model, layers: Sequence[str], ranks: Comm | None = None) -> Split:
    """Cut the output channels of linear and convolution layers over the ranks.

    Rank r computes y_r = x w_r^T + b_r with rows r K / n ... (r + 1) K / n of w, then all gather
    y = (y_0, ..., y_{n-1}). Backward a rank takes its channels of dy, makes the gradient of its own
    rows, and dx = sum over ranks of dy_r w_r. All else is computed by every rank, to the same bits, so
    no gradient of a parameter is ever exchanged. A ReLU that alone reads the layer is computed
    before the gathering.

    Args:
        model: the same on all ranks, on the cpu; not changed. layers: names or patterns ("fc*").
        ranks: None: `sentei.distributed.comm()`.
    Raises:
        GraphError: a pattern fits no linear or convolution layer; its channels do not divide by the
        ranks; a grouped convolution; a weight that several layers share.
    Source:
        Dean et al. 2012, section 3.
    """
    group = ranks or comm()
    g = model.graph
    chosen = _chosen(g, layers)
    if group.size == 1:
        return Split(model.copy(), g, (), group)
    ops = _Ops(group)
    specs = infer_specs(g, 1)
    consumers, parts, rows = g.consumers(), [], {}
    for node in chosen.values():
        for p in node.inputs[1:]:
            if p is None:
                continue
            rows[p] = _rows(node, p, specs, group)
            if len(consumers[p]) != 1:
                raise GraphError(f"split: {p!r} must be read by one layer, got {len(consumers[p])}")
            parts.append(p)
    out = g.with_specs({p: Spec((b - a, *specs[p].shape[1:])) for p, (a, b) in rows.items()})
    names = out.copy()
    nodes: list[Node] = []
    after: dict[str, str] = {}  # a ReLU that is computed on the part: the layer's value there
    trained = _reached(g)
    for node in g.nodes:
        if node.name in chosen:
            x, y = node.inputs[0], node.outputs[0]
            if x in trained:
                x = _put(names, nodes, f"{node.name}.enter", ops.enter, x)
            part = names.add_value(names.unique(f"{node.name}.part"), "temp")
            nodes.append(Node(node.name, node.op, (x, *node.inputs[1:]), (part,), node.attrs))
            readers = consumers[y]
            if len(readers) == 1 and readers[0].op.name == "relu" and y not in g.outputs:
                after[y] = part
            else:
                nodes.append(Node(f"{node.name}.gather", ops.gather, (part,), (y,)))
        elif node.inputs and node.inputs[0] in after:
            inner = names.add_value(names.unique(f"{node.name}.part"), "temp")
            nodes.append(Node(node.name, node.op, (after[node.inputs[0]],), (inner,), node.attrs))
            nodes.append(Node(f"{node.name}.gather", ops.gather, (inner,), node.outputs))
        else:
            nodes.append(node)
    tensors = {
        k: Tensor.from_numpy(array_of(t)[slice(*rows[k])] if k in rows else array_of(t))
        for k, t in model.tensors.items()
    }
    return Split(Model(names.rebuild(nodes), tensors, model.meta), g, tuple(parts), group)


def _chosen(g: Graph, patterns: Sequence[str]) -> dict[str, Node]:
    known = [n for n in g.nodes if n.op.name in _KINDS]
    every = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    for p in every:
        if not any(fnmatchcase(n.name, p) for n in known):
            raise GraphError(
                f"split: layers must name some of {[n.name for n in known]}, got {p!r}"
            )
    return {n.name: n for n in known if any(fnmatchcase(n.name, p) for p in every)}


def _rows(node: Node, param: str, specs: Mapping[str, Spec], group: Comm) -> tuple[int, int]:
    k = specs[param].shape[0]
    if k % group.size:
        raise GraphError(
            f"split: {node.name} must have a multiple of {group.size} output channels, got {k}"
        )
    x, w = specs[str(node.inputs[0])], specs[str(node.inputs[1])]
    if node.op.name == "conv2d" and x.shape[-1] != w.shape[-1]:
        raise GraphError(f"split: {node.name} must be an ordinary convolution, got a grouped one")
    return k * group.rank // group.size, k * (group.rank + 1) // group.size


def _reached(g: Graph) -> set[str]:
    """Values that depend on a parameter: those that get a gradient."""
    found = set(g.by_role("param"))
    for n in g.nodes:
        if any(v in found for v in n.inputs):
            found.update(n.outputs)
    return found


def _put(names: Graph, nodes: list[Node], stem: str, op: Op, x: str | None) -> str:
    out = names.add_value(names.unique(stem), "temp")
    nodes.append(Node(stem, op, (x,), (out,)))
    return out


class _Ops:
    """The ops of a split network; they belong to one Comm and are in no table."""

    def __init__(self, group: Comm) -> None:
        self.group = group
        self.take = Op("exchange_take", ("dy",), ("dy_part",), self._part, self._take)
        self.gather = Op(
            "exchange_gather",
            ("y_part",),
            ("y",),
            self._whole,
            self._gather,
            backward=lambda ctx, node, dy: (ctx.emit(self.take, (dy[0],)),),
            workspace=lambda ins, outs, attrs, device: outs[0].nbytes,
        )
        self.reduce = Op("exchange_reduce", ("dx_part",), ("dx",), self._same, self._reduce)
        self.enter = Op(
            "exchange_enter",
            ("x",),
            ("y",),
            self._same,
            lambda ins, outs, attrs, ws: None,
            backward=self._enter_backward,
            alias="x",
        )

    def _enter_backward(
        self, ctx: GradContext, node: Node, dy: Sequence[str | None]
    ) -> Sequence[str | None]:
        return (ctx.emit(self.reduce, (dy[0],)),)

    def _same(self, ins: Specs, attrs: Attrs) -> tuple[Spec, ...]:
        assert ins[0] is not None
        return (ins[0],)

    def _whole(self, ins: Specs, attrs: Attrs) -> tuple[Spec, ...]:
        assert ins[0] is not None
        *head, k = ins[0].shape
        return (Spec((*head, k * self.group.size)),)

    def _part(self, ins: Specs, attrs: Attrs) -> tuple[Spec, ...]:
        assert ins[0] is not None
        *head, k = ins[0].shape
        return (Spec((*head, k // self.group.size)),)

    def _gather(
        self, ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None
    ) -> None:
        part, y = array_of(ins[0]), array_of(outs[0])
        assert ws is not None
        k, n = part.shape[-1], self.group.size
        parts = array_of(ws.view((n, part.size // k, k), 0, "float32"))
        self.group.same_parts(part, parts)
        y.reshape(-1, n, k)[...] = parts.transpose(1, 0, 2)

    def _take(self, ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
        dy, part = array_of(ins[0]), array_of(outs[0])
        k = part.shape[-1]
        part[...] = dy[..., self.group.rank * k : (self.group.rank + 1) * k]

    def _reduce(
        self, ins: Tensors, outs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None
    ) -> None:
        dx = array_of(outs[0])
        np.copyto(dx, array_of(ins[0]))
        self.group.sum(dx)
