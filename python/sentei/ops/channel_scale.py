"""One factor per channel: masks and auxiliary variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = [
    "CHANNEL_SCALE",
    "CHANNEL_SCALE_BACKWARD",
    "channel_scale_backward",
    "channel_scale_forward",
]


def _check(op: str, x: Spec | None, m: Spec | None) -> tuple[Spec, Spec]:
    assert x is not None and m is not None
    if not x.shape:
        raise ShapeError(f"{op}: x must have channels, got shape {x.shape}")
    if m.shape != x.shape[-1:]:
        raise ShapeError(f"{op}: m must have shape {x.shape[-1:]}, got {m.shape}")
    return Spec(x.shape), Spec(m.shape)


def _workspace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    assert inputs[0] is not None
    return _core.channel_scale_workspace(inputs[0].shape, device)


def _scratch(workspace: Tensor | None) -> Tensor:
    return Tensor.empty((0,), "uint8") if workspace is None else workspace


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    return _check("channel_scale_forward", *inputs)[:1]


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.channel_scale_forward(inputs[0], inputs[1], outputs[0], _scratch(workspace))


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    x, m = node.inputs
    if ctx.needs(m):
        dx, dm = ctx.emit(CHANNEL_SCALE_BACKWARD, (dy[0], x, m))
        return (dx, dm)
    return (ctx.emit(CHANNEL_SCALE, (dy[0], m)), None)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    last = len(outputs["y"].shape) - 1
    return [Tie(("x", last), ("y", last)), Tie(("m", 0), ("y", last))]


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    x, m = node.inputs
    assert x is not None and m is not None
    pixels = [1] * (len(ctx.shape(x)) - 2)
    ctx.emit("Mul", (x, ctx.constant(ctx.array(m).reshape(-1, *pixels), m)), node.outputs[0])


CHANNEL_SCALE = register(
    Op(
        name="channel_scale",
        inputs=("x", "m"),
        outputs=("y",),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=_ties,
        to_onnx=_to_onnx,
        workspace=_workspace,
    )
)


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    dy, x, m = inputs
    op = "channel_scale_backward"
    specs = _check(op, x, m)
    assert dy is not None
    if dy.shape != specs[0].shape:
        raise ShapeError(f"{op}: dy must have shape {specs[0].shape}, got {dy.shape}")
    return specs


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    dy, x, m = inputs
    _core.channel_scale_backward(dy, x, m, outputs[0], outputs[1], _scratch(workspace))


CHANNEL_SCALE_BACKWARD = register(
    Op(
        name="channel_scale_backward",
        inputs=("dy", "x", "m"),
        outputs=("dx", "dm"),
        infer=_infer_backward,
        run=_run_backward,
        workspace=_workspace,
    )
)


def channel_scale_forward(x: ArrayLike, m: ArrayLike) -> Tensor:
    """Multiply each channel by its own factor.

    y[..., c] = x[..., c] m[c]

    Args:
        x (Tensor (..., C), float32). m (Tensor (C,), float32).
    Returns:
        Tensor of x's shape, float32.
    Raises:
        ShapeError: m does not fit. DTypeError: not float32.
    Cost: 8 bytes per element.
    """
    return eager(CHANNEL_SCALE, (x, m))[0]


def channel_scale_backward(dy: ArrayLike, x: ArrayLike, m: ArrayLike) -> tuple[Tensor, Tensor]:
    """Gradient of channel_scale_forward, in one pass.

    dx[..., c] = dy[..., c] m[c],  dm[c] = sum of dy[..., c] x[..., c]

    Args:
        dy, x (Tensor (..., C), float32). m (Tensor (C,), float32).
    Returns:
        (dx, dm), float32.
    Raises:
        ShapeError: shapes do not fit. DTypeError: not float32.
    Cost: 12 bytes per element.
    """
    dx, dm = eager(CHANNEL_SCALE_BACKWARD, (dy, x, m))
    return dx, dm
