"""Fully connected layer: forward, its gradients, and the weight gradient of chosen rows only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, Tie, register
from sentei.ops.activations import RELU_BACKWARD
from sentei.ops.bias import BIAS_BACKWARD
from sentei.ops.eager import eager
from sentei.ops.elementwise import onnx_with_relu
from sentei.ops.precision import precision_of
from sentei.tensor import ArrayLike

__all__ = [
    "LINEAR",
    "LINEAR_BACKWARD_INPUT",
    "LINEAR_BACKWARD_WEIGHT",
    "LINEAR_BACKWARD_WEIGHT_ROWS",
    "linear_backward_input",
    "linear_backward_weight",
    "linear_backward_weight_rows",
    "linear_forward",
]

Specs = Sequence[Spec | None]
Tensors = Sequence[Tensor | None]


def _shapes(x: Spec | None, w: Spec | None) -> tuple[int, int, int]:
    assert x is not None and w is not None
    if len(x.shape) != 2:
        raise ShapeError(f"linear: x must have shape (N, I), got {x.shape}")
    if len(w.shape) != 2 or w.shape[1] != x.shape[1]:
        raise ShapeError(f"linear: w must have shape (O, {x.shape[1]}) to match x, got {w.shape}")
    return x.shape[0], x.shape[1], w.shape[0]


def _infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    x, w, b = inputs
    n, _, o = _shapes(x, w)
    if b is not None and b.shape != (o,):
        raise ShapeError(f"linear: b must have shape ({o},), got {b.shape}")
    return (Spec((n, o)),)


def _run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    x, w, b = inputs
    _core.linear_forward(
        x, w, b, outputs[0], ws, bool(attrs.get("relu", False)), precision_of(attrs)
    )


def _workspace(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs, device: str) -> int:
    return _core.linear_workspace(
        "forward", *_shapes(inputs[0], inputs[1]), precision_of(attrs), device
    )


def _backward(ctx: GradContext, node: Node, dout: Sequence[str | None]) -> Sequence[str | None]:
    x, w, b = node.inputs
    dy = dout[0]
    if node.attrs.get("relu") and dy is not None:
        dy = ctx.emit(RELU_BACKWARD, (node.outputs[0], dy))
    dx = ctx.emit(LINEAR_BACKWARD_INPUT, (dy, w)) if ctx.needs(x) else None
    dw = ctx.emit(LINEAR_BACKWARD_WEIGHT, (x, dy)) if ctx.needs(w) else None
    db = ctx.emit(BIAS_BACKWARD, (dy,)) if ctx.needs(b) else None
    return (dx, dw, db)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    return [Tie(("w", 1), ("x", 1)), Tie(("w", 0), ("y", 1)), Tie(("b", 0), ("y", 1))]


def _flops(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs) -> int:
    n, i, o = _shapes(inputs[0], inputs[1])
    return 2 * n * i * o


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    x, w, b = node.inputs
    assert x is not None and w is not None
    weight, order = ctx.array(w), ctx.order(x)
    if order is not None:
        weight = weight[:, order]
    given = (x, ctx.constant(weight, w), b and ctx.constant(ctx.array(b), b))
    onnx_with_relu(ctx, node, "Gemm", given, transB=1)


LINEAR = register(
    Op(
        name="linear",
        inputs=("x", "w", "b?"),
        outputs=("y",),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=_ties,
        flops=_flops,
        to_onnx=_to_onnx,
        workspace=_workspace,
    )
)


def _dx_shapes(inputs: Specs) -> tuple[int, int, int]:
    dy, w = inputs
    assert dy is not None and w is not None
    if len(dy.shape) != 2 or len(w.shape) != 2 or dy.shape[1] != w.shape[0]:
        raise ShapeError(
            f"linear_backward_input: dy must have shape (N, {w.shape[0]}) to match w {w.shape}, "
            f"got {dy.shape}"
        )
    return dy.shape[0], w.shape[1], w.shape[0]


def _dx_infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    n, i, _ = _dx_shapes(inputs)
    return (Spec((n, i)),)


def _dx_run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    _core.linear_backward_input(inputs[0], inputs[1], outputs[0], ws, precision_of(attrs))


LINEAR_BACKWARD_INPUT = register(
    Op(
        name="linear_backward_input",
        inputs=("dy", "w"),
        outputs=("dx",),
        infer=_dx_infer,
        run=_dx_run,
        flops=lambda i, o, a: 2 * _dx_shapes(i)[0] * _dx_shapes(i)[1] * _dx_shapes(i)[2],
        workspace=lambda i, o, a, d: _core.linear_workspace(
            "backward_input", *_dx_shapes(i), precision_of(a), d
        ),
    )
)


def _dw_shapes(inputs: Specs) -> tuple[int, int, int]:
    x, dy = inputs[:2]
    assert x is not None and dy is not None
    if len(x.shape) != 2 or len(dy.shape) != 2 or x.shape[0] != dy.shape[0]:
        raise ShapeError(
            f"linear_backward_weight: dy must have shape ({x.shape[0]}, O) to match x {x.shape}, "
            f"got {dy.shape}"
        )
    return x.shape[0], x.shape[1], dy.shape[1]


def _dw_infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    _, i, o = _dw_shapes(inputs)
    return (Spec((o, i)),)


def _dw_run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    _core.linear_backward_weight(inputs[0], inputs[1], outputs[0], ws, precision_of(attrs))


LINEAR_BACKWARD_WEIGHT = register(
    Op(
        name="linear_backward_weight",
        inputs=("x", "dy"),
        outputs=("dw",),
        infer=_dw_infer,
        run=_dw_run,
        flops=lambda i, o, a: 2 * _dw_shapes(i)[0] * _dw_shapes(i)[1] * _dw_shapes(i)[2],
        workspace=lambda i, o, a, d: _core.linear_workspace(
            "backward_weight", *_dw_shapes(i), precision_of(a), d
        ),
    )
)


# -- rows of the active group only: what the semi-synchronous update needs -----------------------
def _largest(offsets: Spec | None, rows: Spec | None) -> int:
    assert offsets is not None and rows is not None
    groups, count = offsets.shape[0] - 1, rows.shape[0]
    return -(-count // groups)


def _rows_infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    _, i, o = _dw_shapes(inputs)
    rows, offsets = inputs[2:4]
    assert rows is not None
    if rows.shape != (o,):
        raise ShapeError(
            f"linear_backward_weight_rows: rows must have shape ({o},), got {rows.shape}"
        )
    return (Spec((_largest(offsets, rows), i)),)


def _rows_run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    x, dy, rows, offsets, group = inputs
    _core.linear_backward_weight_rows(
        x, dy, rows, offsets, group, outputs[0], ws, precision_of(attrs)
    )


LINEAR_BACKWARD_WEIGHT_ROWS = register(
    Op(
        name="linear_backward_weight_rows",
        inputs=("x", "dy", "rows", "offsets", "group"),
        outputs=("dw",),
        infer=_rows_infer,
        run=_rows_run,
        flops=lambda i, o, a: 2 * _dw_shapes(i)[0] * o[0].size,
        workspace=lambda i, o, a, d: _core.linear_workspace(
            "backward_weight", *_dw_shapes(i)[:2], o[0].shape[0], precision_of(a), d
        ),
    )
)


def linear_forward(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    relu: bool = False,
    precision: str = "float32",
) -> Tensor:
    """Multiply a batch of vectors by a matrix and add a bias.

    y[n,o] = b[o] + sum_i x[n,i] w[o,i]

    Args:
        x (Tensor, (N, I), float32). w (Tensor, (O, I), float32). b (Tensor, (O,), float32, optional).
        relu: replace negative outputs by 0 in the store.
        precision: how products are computed (sentei.passes.precision).
    Returns:
        Tensor (N, O).
    Raises:
        ShapeError: sizes do not match. DTypeError: not float32.
    Cost: 2 N I O FLOPs.
    """
    return eager(LINEAR, (x, w, b), relu=relu, precision=precision)[0]


def linear_backward_input(dy: ArrayLike, w: ArrayLike, *, precision: str = "float32") -> Tensor:
    """Gradient dx (N, I) = dy (N, O) w (O, I)."""
    return eager(LINEAR_BACKWARD_INPUT, (dy, w), precision=precision)[0]


def linear_backward_weight(x: ArrayLike, dy: ArrayLike, *, precision: str = "float32") -> Tensor:
    """Gradient dw (O, I) = dy^T (O, N) x (N, I); the same bits for any number of threads."""
    return eager(LINEAR_BACKWARD_WEIGHT, (x, dy), precision=precision)[0]


def linear_backward_weight_rows(
    x: ArrayLike,
    dy: ArrayLike,
    rows: ArrayLike,
    offsets: ArrayLike,
    group: ArrayLike,
    *,
    precision: str = "float32",
) -> Tensor:
    """Compute the weight gradient of one group of rows.

    Args:
        x (Tensor, (N, I), float32). dy (Tensor, (N, O), float32).
        rows (Tensor, (O,), int32): all rows, group after group. offsets (Tensor, (G + 1,), int32):
        where each group starts in `rows`. group (Tensor, (1,), int32): the active one.
    Returns:
        Tensor (largest group, I): rows of the active group first; the rest is not written.
    Source: semi-synchronous update, methods section 1.
    """
    return eager(LINEAR_BACKWARD_WEIGHT_ROWS, (x, dy, rows, offsets, group), precision=precision)[0]
