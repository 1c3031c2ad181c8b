"""Call an op at once on arrays: infer, allocate, run. The graph runs the same op on planned memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sentei._core import Tensor
from sentei.device import default_device
from sentei.graph import Op, Spec
from sentei.tensor import ArrayLike, as_tensor

__all__ = ["eager"]


def eager(op: Op, inputs: Sequence[ArrayLike | Spec | None], **attrs: Any) -> tuple[Tensor, ...]:
    """Run an op on Tensors or NumPy arrays; new Tensors come back, mutated inputs change in place.

    NumPy arrays go to where the Tensors are, or to the default device (sentei.device.using) when there
    are none. A Spec stands for an input of which only the shape is used.
    """
    names = [*op.inputs, *([op.inputs[-1]] * len(inputs))] if op.inputs else []
    device = next((x.device for x in inputs if isinstance(x, Tensor)), default_device())
    tensors: list[Tensor | None] = []
    for i, x in enumerate(inputs):
        t = (
            None
            if x is None or isinstance(x, Spec)
            else as_tensor(x, f"{op.name}: {names[i].rstrip('?*')}")
        )
        tensors.append(t.to(device) if t is not None and isinstance(x, np.ndarray) else t)
    specs = [
        x if isinstance(x, Spec) else None if t is None else Spec(t.shape, t.dtype)
        for x, t in zip(inputs, tensors, strict=True)
    ]
    outs = op.infer(specs, attrs)
    scratch = None
    if op.workspace is not None and (n := op.workspace(specs, outs, attrs, device)):
        scratch = Tensor.empty((n,), "uint8", device=device)
    if op.alias is not None:
        source = tensors[[a.rstrip("?") for a in op.inputs].index(op.alias)]
        assert source is not None
        return tuple(source.view(s.shape) for s in outs)
    results = [Tensor.empty(s.shape, s.dtype, device=device) for s in outs]
    given = [
        None if i < len(op.inputs) and op.argument(i) in op.shape_only else t
        for i, t in enumerate(tensors)
    ]
    op.run(given, results, attrs, scratch)
    if device != "cpu":  # arrays that the op wrote in place were copies
        for x, t, name in zip(inputs, tensors, names, strict=False):
            if isinstance(x, np.ndarray) and t is not None and name.rstrip("?*") in op.mutates:
                x[...] = t.numpy()
    return tuple(results)
