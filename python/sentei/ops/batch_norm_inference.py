"""Batch norm with given statistics: inference, training with frozen statistics, scores."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, OnnxContext, Op, Spec, register
from sentei.ops.batch_norm import EPS, check_specs, norm_ties, norm_workspace
from sentei.ops.eager import eager
from sentei.ops.elementwise import onnx_with_relu
from sentei.tensor import ArrayLike

__all__ = [
    "BATCH_NORM_INFERENCE",
    "BATCH_NORM_INFERENCE_BACKWARD",
    "BATCH_NORM_INFERENCE_BACKWARD_INPUT",
    "batch_norm_inference_backward",
    "batch_norm_inference_backward_input",
    "batch_norm_inference_forward",
]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x = inputs[0]
    assert x is not None
    given = dict(zip(("gamma", "beta", "mean", "var"), inputs[1:], strict=True))
    check_specs("batch_norm_inference_forward", x, given, empty=True)
    return (Spec(x.shape),)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    x, gamma, beta, mean, var = inputs
    eps, relu = attrs.get("eps", EPS), attrs.get("relu", False)
    _core.batch_norm_inference_forward(
        x, gamma, beta, mean, var, outputs[0], _scratch(workspace), eps, relu
    )


def _scratch(workspace: Tensor | None) -> Tensor:
    return Tensor.empty((0,), "uint8") if workspace is None else workspace


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    x, gamma, beta, mean, var = node.inputs
    eps, relu = node.attrs.get("eps", EPS), node.attrs.get("relu", False)
    if ctx.needs(gamma) or ctx.needs(beta):
        grads = ctx.emit(
            BATCH_NORM_INFERENCE_BACKWARD,
            (dy[0], x, gamma, mean, var, beta if relu else None),
            eps=eps,
            relu=relu,
        )
        return (*grads, None, None)
    given = (x, mean, beta) if relu else (None, None, None)
    dx = ctx.emit(
        BATCH_NORM_INFERENCE_BACKWARD_INPUT, (dy[0], gamma, var, *given), eps=eps, relu=relu
    )
    return (dx, None, None, None, None)


def _to_onnx(ctx: OnnxContext, node: Node) -> None:
    x, *given = node.inputs
    numbers = [ctx.constant(ctx.array(v), v) for v in given if v is not None]
    eps = float(node.attrs.get("eps", EPS))
    onnx_with_relu(ctx, node, "BatchNormalization", (x, *numbers), epsilon=eps)


BATCH_NORM_INFERENCE = register(
    Op(
        name="batch_norm_inference",
        inputs=("x", "gamma", "beta", "mean", "var"),
        outputs=("y",),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=norm_ties,
        to_onnx=_to_onnx,
        workspace=norm_workspace,
        zero_preserving=False,
    )
)


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    dy, x, gamma, mean, var, beta = inputs
    assert dy is not None and x is not None
    op = "batch_norm_inference_backward"
    given = {"gamma": gamma, "mean": mean, "var": var, "beta": beta}
    c = check_specs(op, x, given, empty=True)
    if dy.shape != x.shape:
        raise ShapeError(f"{op}: dy must have shape {x.shape}, got {dy.shape}")
    return (Spec(x.shape), c, c)


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    dy, x, gamma, mean, var, beta = inputs
    dx, dgamma, dbeta = outputs
    eps, relu = attrs.get("eps", EPS), attrs.get("relu", False)
    _core.batch_norm_inference_backward(
        dy, x, gamma, mean, var, beta, dx, dgamma, dbeta, _scratch(workspace), eps, relu
    )


BATCH_NORM_INFERENCE_BACKWARD = register(
    Op(
        name="batch_norm_inference_backward",
        inputs=("dy", "x", "gamma", "mean", "var", "beta?"),
        outputs=("dx", "dgamma", "dbeta"),
        infer=_infer_backward,
        run=_run_backward,
        workspace=norm_workspace,
    )
)


def _infer_input(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    dy, gamma, var, x, mean, beta = inputs
    assert dy is not None
    op = "batch_norm_inference_backward_input"
    check_specs(op, dy, {"gamma": gamma, "var": var, "mean": mean, "beta": beta}, empty=True)
    if x is not None and x.shape != dy.shape:
        raise ShapeError(f"{op}: x must have shape {dy.shape}, got {x.shape}")
    return (Spec(dy.shape),)


def _run_input(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    dy, gamma, var, x, mean, beta = inputs
    eps, relu = attrs.get("eps", EPS), attrs.get("relu", False)
    _core.batch_norm_inference_backward_input(
        dy, gamma, var, x, mean, beta, outputs[0], _scratch(workspace), eps, relu
    )


BATCH_NORM_INFERENCE_BACKWARD_INPUT = register(
    Op(
        name="batch_norm_inference_backward_input",
        inputs=("dy", "gamma", "var", "x?", "mean?", "beta?"),
        outputs=("dx",),
        infer=_infer_input,
        run=_run_input,
        workspace=norm_workspace,
    )
)


def batch_norm_inference_forward(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    *,
    eps: float = EPS,
    relu: bool = False,
) -> Tensor:
    """Normalise each channel with given statistics.

    y = (x - mean) gamma / sqrt(var + eps) + beta,  with relu: max(y, 0)

    Args:
        x (Tensor (N, H, W, C) or (N, C), float32): may be empty.
        gamma, beta, mean, var (Tensor (C,), float32).
        eps: added to the variance, above 0. relu: clip y at 0.
    Returns:
        Tensor of x's shape, float32.
    Raises:
        ShapeError: shapes do not fit. DTypeError: not float32. ValueError: eps.
    Cost: 8 bytes per element.
    """
    return eager(BATCH_NORM_INFERENCE, (x, gamma, beta, mean, var), eps=eps, relu=relu)[0]


def batch_norm_inference_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    beta: ArrayLike | None = None,
    *,
    eps: float = EPS,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of batch_norm_inference_forward; the statistics are constants.

    dbeta = sum g,  dgamma = sum g xhat,  dx = g gamma / sqrt(var + eps)
    with g = dy, with relu only where the forward value is above 0.

    Args:
        dy, x (Tensor (N, H, W, C) or (N, C), float32). gamma, mean, var (Tensor (C,), float32).
        beta (Tensor (C,), float32): needed with relu only.
    Returns:
        (dx, dgamma, dbeta), float32.
    Raises:
        ShapeError: shapes do not fit. DTypeError: not float32. ValueError: eps, or beta missing.
    Cost: one pass, 12 bytes per element.
    """
    dx, dgamma, dbeta = eager(
        BATCH_NORM_INFERENCE_BACKWARD, (dy, x, gamma, mean, var, beta), eps=eps, relu=relu
    )
    return dx, dgamma, dbeta


def batch_norm_inference_backward_input(
    dy: ArrayLike,
    gamma: ArrayLike,
    var: ArrayLike,
    x: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    *,
    eps: float = EPS,
    relu: bool = False,
) -> Tensor:
    """Gradient of batch_norm_inference_forward in x alone, for when gamma and beta need none.

    dx = g gamma / sqrt(var + eps)

    Args:
        dy (Tensor (N, H, W, C) or (N, C), float32). gamma, var (Tensor (C,), float32).
        x, mean, beta (Tensor, float32): needed with relu only, to know where y is above 0.
    Returns:
        Tensor of dy's shape, float32.
    Raises:
        ShapeError: shapes do not fit. DTypeError: not float32. ValueError: eps, or x, mean, beta missing.
    Cost: 8 bytes per element, with relu 12.
    """
    given = (dy, gamma, var, x, mean, beta)
    return eager(BATCH_NORM_INFERENCE_BACKWARD_INPUT, given, eps=eps, relu=relu)[0]
