"""Elementwise addition: the join of a residual network, and how gradients of a fan-out accumulate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, Tie, register
from sentei.ops.activations import RELU_BACKWARD
from sentei.ops.eager import eager
from sentei.ops.elementwise import onnx_with_relu
from sentei.tensor import ArrayLike

__all__ = ["ADD", "add_forward"]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    a, b = inputs
    assert a is not None and b is not None
    if a.shape != b.shape:
        raise ShapeError(f"add_forward: b must have shape {a.shape}, got {b.shape}")
    return (Spec(a.shape),)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.add_forward(inputs[0], inputs[1], outputs[0], bool(attrs.get("relu", False)))


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    d = dy[0]
    if node.attrs.get("relu") and d is not None:
        d = ctx.emit(RELU_BACKWARD, (node.outputs[0], d))
    return (d, d)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    last = len(outputs["y"].shape) - 1
    return [Tie(("a", last), ("y", last)), Tie(("b", last), ("y", last))]


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    onnx_with_relu(ctx, node, "Add", node.inputs)


ADD = register(
    Op(
        name="add",
        inputs=("a", "b"),
        outputs=("y",),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=_ties,
        to_onnx=_to_onnx,
    )
)


def add_forward(a: ArrayLike, b: ArrayLike, *, relu: bool = False) -> Tensor:
    """Add two arrays of one shape.

    y = a + b

    Args:
        a, b (Tensor, any shape of at most four axes, float32).
        relu: replace negative outputs by 0 in the store.
    Returns:
        Tensor of that shape, float32.
    Raises:
        ShapeError: shapes differ. DTypeError: not float32.
    """
    return eager(ADD, (a, b), relu=relu)[0]
