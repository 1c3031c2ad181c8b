"""Call an op at once on arrays: infer, allocate, run. The graph runs the same op on planned memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sentei._core import Tensor
from sentei.graph import Op, Spec
from sentei.tensor import ArrayLike, as_tensor

__all__ = ["eager"]


def eager(op: Op, inputs: Sequence[ArrayLike | None], **attrs: Any) -> tuple[Tensor, ...]:
    """Run an op on Tensors or NumPy arrays; new Tensors come back, mutated inputs change in place."""
    names = [*op.inputs, *([op.inputs[-1]] * len(inputs))] if op.inputs else []
    tensors = [
        None if x is None else as_tensor(x, f"{op.name}: {names[i].rstrip('?*')}")
        for i, x in enumerate(inputs)
    ]
    specs = [None if t is None else Spec(t.shape, t.dtype) for t in tensors]
    outs = op.infer(specs, attrs)
    scratch = None
    if op.workspace is not None and (n := op.workspace(specs, outs, attrs)):
        scratch = Tensor.empty((n,), "uint8")
    if op.alias is not None:
        source = tensors[[a.rstrip("?") for a in op.inputs].index(op.alias)]
        assert source is not None
        return tuple(source.view(s.shape) for s in outs)
    results = [Tensor.empty(s.shape, s.dtype) for s in outs]
    given = [
        None if i < len(op.inputs) and op.argument(i) in op.shape_only else t
        for i, t in enumerate(tensors)
    ]
    op.run(given, results, attrs, scratch)
    return tuple(results)
