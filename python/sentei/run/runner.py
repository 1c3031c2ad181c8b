"""Run a plan: bind every argument to memory once, then call the ops in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import GraphError, ShapeError
from sentei.graph import Graph
from sentei.run.plan import Plan, make_plan

__all__ = ["Runner"]


class Runner:
    """Owns the arena of a graph for one batch size and runs it.

    tensors: parameters and states by name; they are used in place, so several runners can share them
    (training and evaluation of one model).
    keep: values to fetch after a run besides the graph's outputs.
    """

    def __init__(
        self, graph: Graph, tensors: Mapping[str, Tensor], batch: int, keep: Iterable[str] = ()
    ) -> None:
        self.plan: Plan = make_plan(graph, batch, keep)
        self._fetchable = {*graph.outputs, *keep}
        self._arena = Tensor.empty((max(self.plan.memory.arena_bytes, 64),), "uint8", arena=True)
        self._values: dict[str, Tensor] = {}
        self.inputs: dict[str, Tensor] = {}
        for v in graph.values.values():
            spec = self.plan.specs.get(v.name)
            if spec is None:
                continue
            if v.role == "input":
                self.inputs[v.name] = self._values[v.name] = Tensor.zeros(spec.shape, spec.dtype)
            elif v.role in ("param", "state"):
                self._values[v.name] = self._given(v.name, tensors)
        for name, root in self.plan.memory.root.items():
            spec = self.plan.specs.get(name)
            if spec is None or name in self._values:
                continue
            if root in self._values:  # an alias of an input or a parameter
                self._values[name] = self._values[root].view(spec.shape, 0, spec.dtype)
            else:
                at = self.plan.memory.offset(name)
                self._values[name] = self._arena.view(spec.shape, at, spec.dtype)
        self._calls = [self._bind(i) for i in range(len(self.plan.steps))]

    def _given(self, name: str, tensors: Mapping[str, Tensor]) -> Tensor:
        spec = self.plan.specs[name]
        if name not in tensors:
            raise GraphError(f"Runner: tensors must hold {name!r}")
        t = tensors[name]
        if t.shape != spec.shape or t.dtype != spec.dtype:
            raise ShapeError(
                f"Runner: {name} must be {spec.dtype} of shape {spec.shape}, got {t.dtype} of shape {t.shape}"
            )
        return t

    def _bind(self, index: int) -> Callable[[], None]:
        step = self.plan.steps[index]
        node = step.node
        ins: list[Tensor | None] = []
        for k, v in enumerate(node.inputs):
            unused = v is None or (
                k < len(node.op.inputs) and node.op.argument(k) in node.op.shape_only
            )
            ins.append(None if unused or v is None else self._values[v])
        outs = [self._values[o] for o in node.outputs]
        scratch = None
        if step.workspace is not None:
            scratch = self._arena.view((step.workspace[1],), step.workspace[0], "uint8")
        run, attrs = node.op.run, node.attrs
        return lambda: run(ins, outs, attrs, scratch)

    def set(self, name: str, array: NDArray[Any] | Tensor) -> None:
        """Write an input; same shape and dtype, nothing is cast."""
        if name not in self.inputs:
            raise GraphError(f"Runner: input must be one of {sorted(self.inputs)}, got {name!r}")
        self.inputs[name].copy_from(np.asarray(array))

    def run(self, **feeds: NDArray[Any] | Tensor) -> None:
        """Write the given inputs and run all steps."""
        for name, array in feeds.items():
            self.set(name, array)
        for call in self._calls:
            call()

    def fetch(self, name: str) -> NDArray[Any]:
        """Copy of a value after a run: outputs, kept values, inputs, parameters and states."""
        if name not in self._values:
            raise GraphError(f"Runner: there must be a value {name!r}")
        role = self.plan.graph.values[name].role
        if role == "temp" and name not in self._fetchable:
            raise GraphError(
                f"Runner: {name!r} must be an output or in `keep` to be read after a run"
            )
        return self._values[name].numpy()

    def check_finite(self) -> str | None:
        """Run step by step; name the first node that makes a value that is not finite (for diagnosis)."""
        for step, call in zip(self.plan.steps, self._calls, strict=True):
            call()
            for o in step.node.outputs:
                a = np.asarray(self._values[o])
                if a.dtype.kind == "f" and not np.isfinite(a).all():
                    return step.node.name
        return None
