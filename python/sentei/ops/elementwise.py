"""What the records of elementwise ops share: output like the input, channels tied one to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, Tie

__all__ = [
    "backward_through",
    "like_first",
    "no_ties",
    "onnx_unary",
    "onnx_with_relu",
    "runs",
    "tie_channels",
]

Infer = Callable[[Sequence[Spec | None], Attrs], tuple[Spec, ...]]
Run = Callable[[Sequence[Tensor | None], Sequence[Tensor], Attrs, Tensor | None], None]
Backward = Callable[[GradContext, Node, Sequence[str | None]], Sequence[str | None]]
ToOnnx = Callable[[OnnxContext, Node], None]


def like_first(op: str, *names: str) -> Infer:
    """Infer an output of the first input's shape, which the further inputs `names` must have too."""

    def infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
        first = inputs[0]
        assert first is not None
        for name, other in zip(names, inputs[1:], strict=True):
            assert other is not None
            if other.shape != first.shape:
                raise ShapeError(f"{op}: {name} must have shape {first.shape}, got {other.shape}")
        return (Spec(first.shape),)

    return infer


def runs(function: Callable[..., None], *attributes: str) -> Run:
    """Call a function of _core with inputs, outputs, then the named attributes."""

    def run(
        inputs: Sequence[Tensor | None],
        outputs: Sequence[Tensor],
        attrs: Attrs,
        workspace: Tensor | None,
    ) -> None:
        function(*inputs, *outputs, *(attrs[a] for a in attributes))

    return run


def backward_through(op: Op, saved: str, *attributes: str) -> Backward:
    """Emit `op` on ("y" or "x", dy) with the node's named attributes: the gradient of a map."""

    def backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
        value = node.outputs[0] if saved == "y" else node.input(saved)
        given: dict[str, Any] = {a: node.attrs[a] for a in attributes}
        return (ctx.emit(op, (value, dy[0]), **given),)

    return backward


def tie_channels(
    inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs
) -> list[Tie]:
    """The last axis of x with the last axis of y."""
    last = len(outputs["y"].shape) - 1
    return [Tie(("x", last), ("y", last))]


def no_ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    """The input's channels end here: they may go without anything else of this node."""
    return []


def onnx_unary(kind: str, *attributes: str) -> ToOnnx:
    """The node of ONNX of this kind on the first input, with the node's named attributes."""

    def to_onnx(ctx: OnnxContext, node: Node) -> None:
        given = {a: float(node.attrs[a]) for a in attributes}
        ctx.emit(kind, node.inputs[:1], node.outputs[0], **given)

    return to_onnx


def onnx_with_relu(
    ctx: OnnxContext, node: Node, kind: str, inputs: Sequence[str | None], **attrs: Any
) -> None:
    """A node of ONNX, and a Relu behind it where this node rectifies in its store."""
    if node.attrs.get("relu"):
        ctx.emit("Relu", (ctx.emit(kind, inputs, **attrs),), node.outputs[0])
    else:
        ctx.emit(kind, inputs, node.outputs[0], **attrs)
