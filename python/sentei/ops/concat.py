"""Concatenation along the channels, and the cut that undoes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sentei import _core
from sentei._core import Tensor
from sentei.device import default_device
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike, as_tensor

__all__ = ["CHANNEL_SPLIT", "CONCAT", "channel_split_forward", "concat_forward"]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    xs = [x for x in inputs if x is not None]
    if not xs:
        raise ShapeError("concat_forward: xs must hold at least one tensor, got none")
    channels = 0
    for i, x in enumerate(xs):
        if not x.shape:
            raise ShapeError(f"concat_forward: xs{i} must have channels, got shape {x.shape}")
        want = (*xs[0].shape[:-1], x.shape[-1])
        if x.shape != want:
            raise ShapeError(f"concat_forward: xs{i} must have shape {want}, got {x.shape}")
        channels += x.shape[-1]
    return (Spec((*xs[0].shape[:-1], channels)),)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.concat_forward(inputs, outputs[0])


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    """Cut the parts off one after the other; shapes are looked up when run, so pruning is no matter."""
    grads: list[str | None] = []
    rest = dy[0]
    for x in node.inputs[:-1]:
        head, rest = ctx.emit(CHANNEL_SPLIT, (rest, x))
        grads.append(head)
    return (*grads, rest)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    last = len(outputs["y"].shape) - 1
    ties, start = [], 0
    for i in range(len(inputs)):
        n = inputs[f"xs{i}"].shape[last]
        own = np.arange(n, dtype=np.int64)
        ties.append(Tie((f"xs{i}", last), ("y", last), own, own + start))
        start += n
    return ties


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    ctx.emit("Concat", node.inputs, node.outputs[0], axis=1)


CONCAT = register(
    Op(
        name="concat",
        inputs=("xs*",),
        outputs=("y",),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=_ties,
        to_onnx=_to_onnx,
    )
)


def _infer_split(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x, like = inputs
    assert x is not None and like is not None
    if not x.shape or like.shape[:-1] != x.shape[:-1] or like.shape[-1] > x.shape[-1]:
        raise ShapeError(
            f"channel_split_forward: like must have the shape of x {x.shape}, "
            f"with at most its channels, got {like.shape}"
        )
    return (Spec(like.shape), Spec((*x.shape[:-1], x.shape[-1] - like.shape[-1])))


def _run_split(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.channel_split_forward(inputs[0], outputs[0], outputs[1])


CHANNEL_SPLIT = register(
    Op(
        name="channel_split",
        inputs=("x", "like"),
        outputs=("head", "rest"),
        infer=_infer_split,
        run=_run_split,
        shape_only=("like",),
    )
)


def concat_forward(*xs: ArrayLike) -> Tensor:
    """Join arrays along the last axis, the channels.

    y[..., offset_i + c] = xs_i[..., c],  offset_i = channels of the arrays before

    Args:
        xs (Tensor (..., C_i), float32): one or more, alike in all other axes.
    Returns:
        Tensor (..., sum of C_i), float32.
    Raises:
        ShapeError: other axes differ. DTypeError: not float32.
    """
    return eager(CONCAT, xs)[0]


def channel_split_forward(x: ArrayLike, channels: int) -> tuple[Tensor, Tensor]:
    """Cut an array in two along the last axis: concat_forward undone.

    Args:
        x (Tensor (..., C), float32). channels: how many the first part gets, at most C.
    Returns:
        (head (..., channels), rest (..., C - channels)), float32.
    Raises:
        ShapeError: too many channels asked for. DTypeError: not float32.
    """
    t = as_tensor(x, "channel_split_forward: x")
    if not isinstance(x, Tensor):
        t = t.to(default_device())
    like = Spec((*t.shape[:-1], channels))
    specs = _infer_split((Spec(t.shape, t.dtype), like), {})
    head, rest = (Tensor.empty(s.shape, device=t.device) for s in specs)
    _run_split((t, None), (head, rest), {}, None)
    return head, rest
