"""Convolution with a filter that was packed once: what a predictor runs in the place of conv2d.

Not in the registry: no graph that is trained or stored holds it, see sentei.passes.pack_filters.
"""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, Op, Spec
from sentei.ops.conv2d import CONV2D, window
from sentei.ops.precision import precision_of

__all__ = ["CONV2D_PACKED"]

Specs = Sequence[Spec | None]
Tensors = Sequence[Tensor | None]


def _as_conv2d(inputs: Specs, attrs: Attrs) -> tuple[Spec | None, Spec, Spec | None]:
    x, _, b = inputs
    return x, Spec(attrs["filter"]), b


def _infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    x, packed, _ = inputs
    assert x is not None and packed is not None
    method, size, _ = _core.conv2d_packing(
        x.shape, attrs["filter"], *window(attrs), precision_of(attrs)
    )
    if packed != Spec((size,), "uint8"):
        raise ShapeError(
            f"conv2d_packed: packed must be uint8 of shape ({size},), as {method} reads it, "
            f"got {packed.dtype} of {packed.shape}"
        )
    return CONV2D.infer(_as_conv2d(inputs, attrs), attrs)


def _run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    x, packed, b = inputs
    assert x is not None and packed is not None
    relu = bool(attrs.get("relu", False))
    _core.conv2d_packed_forward(
        x, packed, attrs["filter"], b, outputs[0], ws, *window(attrs), relu, precision_of(attrs)
    )


def _workspace(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs, device: str) -> int:
    x = inputs[0]
    assert x is not None
    modes = (*window(attrs), precision_of(attrs), device)
    return _core.conv2d_packing(x.shape, attrs["filter"], *modes)[2]


def _flops(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs) -> int:
    assert CONV2D.flops is not None
    return CONV2D.flops(_as_conv2d(inputs, attrs), outputs, attrs)


# attrs: those of conv2d and `filter`, the shape (K, R, S, C / G) of what is packed.
CONV2D_PACKED = Op(
    name="conv2d_packed",
    inputs=("x", "packed", "b?"),
    outputs=("y",),
    infer=_infer,
    run=_run,
    flops=_flops,
    workspace=_workspace,
)
