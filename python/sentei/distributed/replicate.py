"""From the step of one process to that of one rank of several: see docs/methods/data-parallel.md."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.distributed.exchange import Exchange, array_of, buckets
from sentei.distributed.mpi import Comm, comm, local_ranks
from sentei.errors import GraphError
from sentei.graph import Node, op_named
from sentei.optim import LBFGS, Optimizer
from sentei.passes import fuse_statistics, infer_specs
from sentei.regularizers import LogActivity, OpenGates, Regularizer
from sentei.train.step import StepGraph
from sentei.train.world import World

__all__ = ["DataParallel"]

_NORMS = ("batch_norm", "batch_norm_add", "batch_norm_pool")
_NORM_GRADIENTS = tuple(f"{n}_backward" for n in _NORMS)


class DataParallel(World):
    """Ranks with a part of every mini-batch each, whose step is that of one process on all of it.

    Args:
        ranks: of `sentei.distributed.comm()`; None: those.
        overlap: exchange a gradient as soon as it is done, while the others are computed; else all
            at the end. None: where ranks are on several machines; on one the exchange itself is work
            of the cores, and gains nothing (bench/distributed/bench_split.py). The bits are the same.
    """

    def __init__(self, ranks: Comm | None = None, *, overlap: bool | None = None) -> None:
        self.comm = ranks or comm()
        self.rank, self.size = self.comm.rank, self.comm.size
        self.overlap = local_ranks() < self.size if overlap is None else overlap

    def check(
        self, batch: int, optimizer: Optimizer, regularizers: Sequence[Regularizer], scores: Any
    ) -> None:
        """ValueError for what cannot be cut into parts of a mini-batch."""
        if self.size == 1:
            return
        if batch < self.size:
            raise ValueError(
                f"data_parallel: batch must be at least the number of ranks, {self.size}, got {batch}"
            )
        if isinstance(optimizer, LBFGS):
            raise ValueError(
                "data_parallel: optimizer must make one exchange a step, got LBFGS, whose line search "
                "evaluates several times"
            )
        if scores:
            raise ValueError("data_parallel: scores must be left out on several ranks, got some")
        for r in regularizers:
            if not isinstance(r, LogActivity | OpenGates):
                raise ValueError(
                    "data_parallel: regularizers must be means over samples, LogActivity or OpenGates, "
                    f"got {type(r).__name__}"
                )

    def rewrite(self, step: StepGraph, grads: Mapping[str, str], batch: int) -> StepGraph:
        """This rank's step: exchanges of statistics, gradients and figures are nodes of its graph."""
        if self.size == 1:
            return step
        return _Rewrite(self, Exchange(self.comm, self.rows(batch), batch), step, grads).made()

    def any(self, flag: bool) -> bool:
        return self.comm.any(flag)

    def first(self, text: str | None) -> str | None:
        return next((t for t in self.comm.gather(text) if t is not None), None)

    def share(self, tensors: Mapping[str, Tensor]) -> None:
        for name in sorted(tensors):
            self.comm.broadcast(array_of(tensors[name]))

    def agree(self, tensors: Mapping[str, Tensor]) -> None:
        if self.size == 1:
            return
        bits = 0
        for name in sorted(tensors):
            bits = zlib.crc32(array_of(tensors[name]).data, bits)
        self.comm.agree(bits, "the parameters after an epoch")

    def joined(self, rows: NDArray[Any]) -> NDArray[Any]:
        return self.comm.rows(np.ascontiguousarray(rows))

    @contextmanager
    def apart(self) -> Iterator[None]:
        self.comm.muted = True
        try:
            yield
        finally:
            self.comm.muted = False


class _Rewrite:
    """One rewriting: nodes are taken one by one, in their order, and nodes of exchanges put between."""

    def __init__(
        self, world: DataParallel, ops: Exchange, step: StepGraph, grads: Mapping[str, str]
    ) -> None:
        self.world, self.ops, self.step = world, ops, step
        self.g = fuse_statistics(step.graph)
        self.names = self.g.copy()
        self.nodes: list[Node] = []
        self.moments: dict[str, tuple[str, str]] = {}
        low, high = ops.rows
        self.specs = infer_specs(self.g, high - low)
        self.grads = list(dict.fromkeys(grads.values()))
        self.poke = ops.poke()
        self.flying = False

    def made(self) -> StepGraph:
        step, figures = self.step, self._figures_names()
        done = {o for n in self.g.nodes for o in n.outputs}
        strange = [v for v in self.grads if v not in done]
        if strange:
            raise GraphError(
                f"data_parallel: the gradient {strange[0]!r} must be made in the graph"
            )
        complete: set[str] = set()  # gradients of norms are sums over all ranks already
        for n in self.g.nodes:
            if n.op.name in _NORM_GRADIENTS:
                complete.update(n.outputs[-2:])
        after = {v: i for i, n in enumerate(self.g.nodes) for v in n.outputs}
        pending = sorted((v for v in self.grads if v not in complete), key=lambda v: after[v])
        plan = buckets([(v, self.specs[v].nbytes) for v in pending])
        pairs = [(b, *self.ops.bucket()) for b in plan]
        first_use = self._first_uses(pending, after)
        begins: dict[int, list[Any]] = {}
        for b, start, _ in pairs:
            at = after[b[-1]] if self.world.overlap else min(first_use.values()) - 1
            begins.setdefault(at, []).append((b, start))
        ends: dict[int, list[Any]] = {}
        for b, _, wait in pairs:
            ends.setdefault(min(first_use[v] for v in b), []).append((b, wait))
        forward = step.forward
        for i, node in enumerate(self.g.nodes):
            if i == step.forward:
                forward = self._figures(figures)
            for b, wait in ends.get(i, []):
                self._put("exchange_wait", wait, b, ())
                self.flying = False
            self._take(node, i)
            for b, start in begins.get(i, []):
                self._put("exchange_start", start, b, ())
                self.flying = True
        found = {v for v in figures if v is not None}
        outputs = [v for v in self.g.outputs if v not in found] + [
            v for v in (self.total, self.loss, self.correct) if v is not None
        ]
        graph = self.names.rebuild(self.nodes, tuple(dict.fromkeys(outputs)))
        return replace(
            step,
            graph=graph,
            total=self.total,
            loss=self.loss,
            correct=self.correct,
            forward=forward,
        )

    def _first_uses(self, pending: Sequence[str], after: Mapping[str, int]) -> dict[str, int]:
        """Place of the first node that reads each gradient; what reads it must be an update."""
        uses: dict[str, int] = {}
        wanted = set(pending)
        for i, n in enumerate(self.g.nodes):
            for v in n.inputs:
                if v in wanted and v not in uses:
                    uses[v] = i
                    if not n.name.startswith("update."):
                        raise GraphError(
                            f"data_parallel: only updates may read the gradient {v!r}, got {n.name!r}"
                        )
        missing = [v for v in pending if v not in uses]
        if missing:
            raise GraphError(f"data_parallel: an update must read the gradient {missing[0]!r}")
        return uses

    def _figures_names(self) -> tuple[str, str, str | None]:
        return self.step.total, self.step.loss, self.step.correct

    def _figures(self, found: tuple[str, str, str | None]) -> int:
        """End the forward part with the figures of the whole mini-batch."""
        given = [v for v in found if v is not None]
        op = self.ops.figures()
        op = replace(op, outputs=op.outputs[: len(given)])
        outs = self._put("exchange_figures", op, given, op.outputs)
        self.total, self.loss = outs[:2]
        self.correct = outs[2] if len(outs) > 2 else None
        return len(self.nodes)

    def _put(
        self,
        stem: str,
        op: Any,
        inputs: Sequence[str | None],
        outputs: Sequence[str],
        attrs: Mapping[str, Any] | None = None,
    ) -> tuple[str, ...]:
        """Append a node; its outputs get names of their own."""
        name = self.names.unique(stem)
        self.names._names.add(name)
        made = tuple(
            self.names.add_value(self.names.unique(f"{name}.{o}"), "temp") for o in outputs
        )
        self.nodes.append(Node(name, op, tuple(inputs), made, dict(attrs or {})))
        return made

    def _take(self, node: Node, index: int) -> None:
        kind = node.op.name
        if kind == "fill" and index == self.step.forward:
            # the loss is the mean over all samples: of it this rank's mean is a share
            node = replace(node, attrs={**node.attrs, "value": self.ops.share})
        if kind == "batch_norm_join":
            raise GraphError(f"data_parallel: {node.name} must not be folded, got {kind}")
        if kind in ("dropout", "dropout_backward"):
            node = replace(node, op=self.ops.dropout(kind))
        if kind.removesuffix("_given") in _NORMS:
            self._norm(node)
        elif kind in _NORM_GRADIENTS:
            self._norm_backward(node)
        else:
            self.nodes.append(node)
            if self.flying and "backward" in kind:
                self._put("exchange_poke", self.poke, (), ())

    def _norm(self, node: Node) -> None:
        norm = op_named(node.op.name.removesuffix("_given"))
        plain = node.inputs[: len(norm.inputs)]
        own = node.inputs[len(plain) :]
        if not own:
            op = self.ops.statistics()
            own = self._put(f"{node.name}.statistics", op, plain[:1], op.outputs)
        key = str(own[0])
        if key not in self.moments:
            op = self.ops.moments()
            mean, var = self._put(f"{node.name}.exchange", op, own, op.outputs)
            self.moments[key] = (mean, var)
        given = (*plain, *self.moments[key])
        op = op_named(f"{norm.name}_given")
        self.nodes.append(Node(node.name, op, given, node.outputs, dict(node.attrs)))

    def _norm_backward(self, node: Node) -> None:
        """The kernel's gradient with this rank's sums, their exchange, and what it changes in dx."""
        dx, (dgamma, dbeta) = node.outputs[0], node.outputs[-2:]
        part = self.names.unique(f"{node.name}.part")
        renamed = {v: self.names.add_value(f"{v}.part", "temp") for v in (dx, dgamma, dbeta)}
        outputs = tuple(renamed.get(o, o) for o in node.outputs)
        self.nodes.append(replace(node, name=part, outputs=outputs))
        own = (renamed[dgamma], renamed[dbeta])
        exchange = self.ops.exchange_sums()
        self.nodes.append(Node(f"{node.name}.exchange", exchange, own, (dgamma, dbeta)))
        x, gamma, mean, rstd = (node.input(k) for k in ("x", "gamma", "mean", "rstd"))
        inputs = (renamed[dx], x, gamma, mean, rstd, *own, dgamma, dbeta)
        self.nodes.append(Node(node.name, self.ops.through(), inputs, (dx,)))
