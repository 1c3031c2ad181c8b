"""Run a plan: bind every argument to memory once, then call the ops in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import DeviceError, GraphError, ShapeError
from sentei.graph import Graph
from sentei.run.inputs import Feed, Inputs
from sentei.run.plan import Plan, make_plan
from sentei.run.recorded import Recorded

__all__ = ["Runner"]


class Runner:
    """Owns the arena of a graph for one batch size and runs it.

    On cuda the second run is captured and from then on replayed: no allocation and no word of the host
    lies inside. Inputs are written before; what is read comes back by `fetch`.

    tensors: parameters and states by name; they are used in place, so several runners can share them
    (training and evaluation of one model).
    keep: values to fetch after a run besides the graph's outputs.
    device: cpu or cuda; None: where the tensors are.
    """

    def __init__(
        self,
        graph: Graph,
        tensors: Mapping[str, Tensor],
        batch: int,
        keep: Iterable[str] = (),
        device: str | None = None,
    ) -> None:
        self.device = device or next((t.device for t in tensors.values()), "cpu")
        keep = tuple(keep)
        self.plan: Plan = make_plan(graph, batch, keep, self.device)
        self._fetchable = {*graph.outputs, *keep}
        room = max(self.plan.memory.arena_bytes, 64)
        self._arena = Tensor.empty((room,), "uint8", arena=True, device=self.device)
        fed = {v.name: self.plan.specs[v.name] for v in graph.values.values() if v.role == "input"}
        self._inputs = Inputs(fed, self.device)
        self._values: dict[str, Tensor] = dict(self._inputs.tensors)
        for name in graph.by_role("param", "state"):
            if name in self.plan.specs:
                self._values[name] = self._given(name, tensors)
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
        self._all = Recorded(self._calls, self.device)

    @property
    def inputs(self) -> Mapping[str, Tensor]:
        """What can be written, by name."""
        return self._inputs.tensors

    def _given(self, name: str, tensors: Mapping[str, Tensor]) -> Tensor:
        spec = self.plan.specs[name]
        if name not in tensors:
            raise GraphError(f"Runner: tensors must hold {name!r}")
        t = tensors[name]
        if t.shape != spec.shape or t.dtype != spec.dtype:
            raise ShapeError(
                f"Runner: {name} must be {spec.dtype} of shape {spec.shape}, got {t.dtype} of shape {t.shape}"
            )
        if t.device != self.device:
            raise DeviceError(f"Runner: {name} must be on {self.device}, got {t.device}")
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

    def set(self, name: str, array: Feed) -> None:
        """Write an input: an array or Tensor of its shape and dtype, or what writes itself."""
        if name not in self.inputs:
            raise GraphError(f"Runner: input must be one of {sorted(self.inputs)}, got {name!r}")
        self._inputs.set(name, array)

    def run(self, **feeds: Feed) -> None:
        """Write the given inputs and run all steps."""
        for name, array in feeds.items():
            self.set(name, array)
        self._inputs.flush()
        self._all()

    def value(self, name: str) -> Tensor:
        """A value's own memory after a run; the next run writes over it. See `fetch`."""
        if name not in self._values:
            raise GraphError(f"Runner: there must be a value {name!r}")
        role = self.plan.graph.values[name].role
        if role == "temp" and name not in self._fetchable:
            raise GraphError(
                f"Runner: {name!r} must be an output or in `keep` to be read after a run"
            )
        self._inputs.flush()
        return self._values[name]

    def fetch(self, name: str) -> NDArray[Any]:
        """Copy of a value after a run: outputs, kept values, inputs, parameters and states."""
        return self.value(name).numpy()

    def check_finite(self) -> str | None:
        """Run step by step; name the first node that makes a value that is not finite (for diagnosis)."""
        self._inputs.flush()
        return self._first_not_finite(range(len(self._calls)))

    def _first_not_finite(self, steps: Sequence[int]) -> str | None:
        for i in steps:
            self._calls[i]()
            node = self.plan.steps[i].node
            if not all(finite(self._values[o]) for o in node.outputs):
                return node.name
        return None


def finite(t: Tensor) -> bool:
    """Whether all numbers of a tensor are finite."""
    a = t.numpy() if t.device != "cpu" else np.asarray(t)
    return a.dtype.kind != "f" or bool(np.isfinite(a).all())
