"""A mini-batch out of a data set that lies on the device: picked, moved, mirrored and scaled."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import GraphError, ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = ["GATHER_BATCH", "gather_batch_forward"]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    images, plan, scale, shift = inputs
    assert images is not None and plan is not None and scale is not None and shift is not None
    if len(images.shape) != 4:
        raise ShapeError(
            f"gather_batch_forward: images must have shape (N, H, W, C), got {images.shape}"
        )
    if len(plan.shape) != 2 or plan.shape[1] != 4:
        raise ShapeError(f"gather_batch_forward: plan must have shape (B, 4), got {plan.shape}")
    for name, spec in (("scale", scale), ("shift", shift)):
        if spec.shape != images.shape[3:]:
            raise ShapeError(
                f"gather_batch_forward: {name} must have shape {images.shape[3:]}, got {spec.shape}"
            )
    return (Spec((plan.shape[0], *images.shape[1:])),)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    images, plan, scale, shift = inputs
    assert images is not None and plan is not None and scale is not None and shift is not None
    _core.gather_batch_forward(images, plan, scale, shift, outputs[0])


def _backward(ctx: GradContext, node: Node, douts: Sequence[str | None]) -> Sequence[str | None]:
    if any(ctx.needs(v) for v in node.inputs):
        raise GraphError(f"{node.name}: the images of a data set must need no gradient")
    return (None, None, None, None)


GATHER_BATCH = register(
    Op(
        name="gather_batch",
        inputs=("images", "plan", "scale", "shift"),
        outputs=("x",),
        infer=_infer,
        run=_run,
        backward=_backward,
        zero_preserving=False,
        to_onnx="it loads the images of a training step",
    )
)


def gather_batch_forward(
    images: ArrayLike, plan: ArrayLike, scale: ArrayLike, shift: ArrayLike
) -> Tensor:
    """Return the mini-batch that `plan` names, moved, mirrored and scaled.

    x[b,h,w,c] = p scale[c] + shift[c], rounded after the product and after the sum
    p = images[i, h + r, v + s, c], v = W - 1 - w if mirrored, else w; 0 outside the image

    Args:
        images (Tensor, (N, H, W, C), uint8 or float32): the data set.
        plan (Tensor, (B, 4), int32): (i, r, s, mirrored) of every sample.
        scale, shift (Tensor, (C,), float32): of every channel.
    Returns:
        x (B, H, W, C) float32.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: an image outside the data set (on cpu; on
        cuda such a sample is NaN).
    Cost:
        4 bytes written, 1 (uint8) or 4 read per element.
    """
    return eager(GATHER_BATCH, (images, plan, scale, shift))[0]
