"""Fully connected layer whose weight is w + c v: momentum that idle rows have not been given yet."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, Op, Spec, register
from sentei.ops.eager import eager
from sentei.ops.precision import precision_of
from sentei.tensor import ArrayLike

__all__ = [
    "LINEAR_LAZY",
    "LINEAR_LAZY_BACKWARD_INPUT",
    "linear_lazy_backward_input",
    "linear_lazy_forward",
]

Specs = Sequence[Spec | None]
Tensors = Sequence[Tensor | None]


def check_lazy(op: str, w: Spec | None, v: Spec | None, coef: Spec | None, of: Spec | None) -> None:
    """ShapeError unless v, coef and group_of fit w."""
    assert w is not None and v is not None and coef is not None and of is not None
    if v.shape != w.shape:
        raise ShapeError(f"{op}: v must have shape {w.shape}, got {v.shape}")
    if len(coef.shape) != 2 or coef.shape[1] != 2:
        raise ShapeError(f"{op}: coef must have shape (G, 2), got {coef.shape}")
    if of.shape != w.shape[:1]:
        raise ShapeError(f"{op}: group_of must have shape {w.shape[:1]}, got {of.shape}")


def _sizes(inputs: Specs) -> tuple[int, int, int]:
    x, w = inputs[:2]
    assert x is not None and w is not None
    if len(x.shape) != 2:
        raise ShapeError(f"linear_lazy: x must have shape (N, I), got {x.shape}")
    if len(w.shape) != 2 or w.shape[1] != x.shape[1]:
        raise ShapeError(
            f"linear_lazy: w must have shape (O, {x.shape[1]}) to match x, got {w.shape}"
        )
    return x.shape[0], x.shape[1], w.shape[0]


def _infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    n, _, o = _sizes(inputs)
    check_lazy("linear_lazy", *inputs[1:5])
    b = inputs[5]
    if b is not None and b.shape != (o,):
        raise ShapeError(f"linear_lazy: b must have shape ({o},), got {b.shape}")
    return (Spec((n, o)),)


def _run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    x, w, v, coef, group_of, b = inputs
    relu = bool(attrs.get("relu", False))
    _core.linear_lazy_forward(x, w, v, coef, group_of, b, outputs[0], ws, relu, precision_of(attrs))


def _flops(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs) -> int:
    n, i, o = _sizes(inputs)
    return 2 * n * i * o


LINEAR_LAZY = register(
    Op(
        name="linear_lazy",
        inputs=("x", "w", "v", "coef", "group_of", "b?"),
        outputs=("y",),
        infer=_infer,
        run=_run,
        flops=_flops,
        workspace=lambda i, o, a, d: _core.linear_lazy_workspace(
            "forward", *_sizes(i), precision_of(a), d
        ),
    )
)


def _dx_sizes(inputs: Specs) -> tuple[int, int, int]:
    dy, w = inputs[:2]
    assert dy is not None and w is not None
    if len(dy.shape) != 2 or len(w.shape) != 2 or dy.shape[1] != w.shape[0]:
        raise ShapeError(
            f"linear_lazy_backward_input: dy must have shape (N, {w.shape[0]}) to match w {w.shape}, "
            f"got {dy.shape}"
        )
    return dy.shape[0], w.shape[1], w.shape[0]


def _dx_infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    n, i, _ = _dx_sizes(inputs)
    check_lazy("linear_lazy_backward_input", *inputs[1:5])
    return (Spec((n, i)),)


def _dx_run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    dy, w, v, coef, group_of = inputs
    _core.linear_lazy_backward_input(dy, w, v, coef, group_of, outputs[0], ws, precision_of(attrs))


LINEAR_LAZY_BACKWARD_INPUT = register(
    Op(
        name="linear_lazy_backward_input",
        inputs=("dy", "w", "v", "coef", "group_of"),
        outputs=("dx",),
        infer=_dx_infer,
        run=_dx_run,
        flops=lambda i, o, a: 2 * _dx_sizes(i)[0] * _dx_sizes(i)[1] * _dx_sizes(i)[2],
        workspace=lambda i, o, a, d: _core.linear_lazy_workspace(
            "backward_input", *_dx_sizes(i), precision_of(a), d
        ),
    )
)


def linear_lazy_forward(
    x: ArrayLike,
    w: ArrayLike,
    v: ArrayLike,
    coef: ArrayLike,
    group_of: ArrayLike,
    b: ArrayLike | None = None,
    *,
    relu: bool = False,
    precision: str = "float32",
) -> Tensor:
    """Multiply a batch of vectors by a lazily kept matrix and add a bias.

    y[n,o] = b[o] + sum_i x[n,i] (w[o,i] + c[o] v[o,i]), c[o] = coef[group_of[o], 1]

    Args:
        x (Tensor, (N, I), float32). w, v (Tensor, (O, I), float32): weight and momentum as they were
            written last. b (Tensor, (O,), float32, optional).
        coef (Tensor, (G, 2), float32): m, c of each group. group_of (Tensor, (O,), int32): of a row.
        relu: replace negative outputs by 0 in the store.
        precision: of products; with tf32 or bfloat16 w + c v is written to scratch first.
    Returns:
        Tensor (N, O).
    Raises:
        ShapeError, DTypeError: as said above. ValueError: group_of out of range; on cuda the row is NaN.
    Cost: 2 N I O FLOPs; reads 8 bytes per weight instead of 4.
    """
    return eager(LINEAR_LAZY, (x, w, v, coef, group_of, b), relu=relu, precision=precision)[0]


def linear_lazy_backward_input(
    dy: ArrayLike,
    w: ArrayLike,
    v: ArrayLike,
    coef: ArrayLike,
    group_of: ArrayLike,
    *,
    precision: str = "float32",
) -> Tensor:
    """Gradient dx (N, I) = dy (N, O) (w + c v) (O, I); arguments as of linear_lazy_forward."""
    inputs = (dy, w, v, coef, group_of)
    return eager(LINEAR_LAZY_BACKWARD_INPUT, inputs, precision=precision)[0]
