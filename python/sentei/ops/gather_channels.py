"""The filters of one group: their channels of a gradient, and their weight gradient alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, Op, Spec, Tie, register
from sentei.ops.conv2d import CONV2D_BACKWARD_WEIGHT, window
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = ["CONV2D_BACKWARD_WEIGHT_ROWS", "GATHER_CHANNELS", "gather_channels"]

Specs = Sequence[Spec | None]


def _infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    x, rows, offsets, group = inputs
    assert x is not None and rows is not None and offsets is not None and group is not None
    if not x.shape:
        raise ShapeError("gather_channels: x must have channels, got shape ()")
    if rows.shape != x.shape[-1:]:
        raise ShapeError(f"gather_channels: rows must have shape {x.shape[-1:]}, got {rows.shape}")
    if len(offsets.shape) != 1 or offsets.shape[0] < 2:
        raise ShapeError(f"gather_channels: offsets must have shape (G + 1,), got {offsets.shape}")
    if group.shape != (1,):
        raise ShapeError(f"gather_channels: group must have shape (1,), got {group.shape}")
    largest = -(-rows.shape[0] // (offsets.shape[0] - 1))
    return (Spec((*x.shape[:-1], largest)),)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    """All axes but the channels, which are made anew for another number of rows."""
    return [Tie(("x", i), ("y", i)) for i in range(1, len(inputs["x"].shape) - 1)]


GATHER_CHANNELS = register(
    Op(
        name="gather_channels",
        inputs=("x", "rows", "offsets", "group"),
        outputs=("y",),
        infer=_infer,
        run=lambda i, o, a, ws: _core.gather_channels_forward(i[0], i[1], i[2], i[3], o[0]),
        ties=_ties,
        to_onnx="it picks the filters of a training step's group",
    )
)


def _rows_infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    x, dy, w = inputs
    assert x is not None and dy is not None and w is not None
    shape = (dy.shape[-1], *w.shape[1:])
    y = _core.conv2d_geometry(x.shape, shape, *window(attrs))
    if dy.shape != y:
        raise ShapeError(f"conv2d_backward_weight_rows: dy must have shape {y}, got {dy.shape}")
    return (Spec(shape),)


# Inputs (x, dy, w): dy has the channels of the active filters only, of w the filters' size counts.
CONV2D_BACKWARD_WEIGHT_ROWS = register(
    Op(
        name="conv2d_backward_weight_rows",
        inputs=("x", "dy", "w"),
        outputs=("dw",),
        infer=_rows_infer,
        run=CONV2D_BACKWARD_WEIGHT.run,
        flops=CONV2D_BACKWARD_WEIGHT.flops,
        shape_only=("w",),
        workspace=CONV2D_BACKWARD_WEIGHT.workspace,
    )
)


def gather_channels(x: ArrayLike, rows: ArrayLike, offsets: ArrayLike, group: ArrayLike) -> Tensor:
    """Put the channels of the active group side by side.

    y[..., k] = x[..., rows[offsets[t] + k]] for t = group, k < offsets[t + 1] - offsets[t]; then 0

    Args:
        x (Tensor, (..., C), float32). rows (Tensor, (C,), int32): all channels, group by group.
        offsets (Tensor, (G + 1,), int32): where each begins. group (Tensor, (1,), int32 or int64).
    Returns:
        Tensor (..., largest group), float32; groups are taken to be as even as can be.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: an index out of range; on cuda it is not
        refused and gives 0.
    Cost:
        8 bytes per element of the result.
    """
    return eager(GATHER_CHANNELS, (x, rows, offsets, group))[0]
