"""Two batch norms, their sum, and ReLU in one pass each way (training graphs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, Tie, register
from sentei.ops.batch_norm import EPS, MOMENTUM, check_specs
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = [
    "BATCH_NORM_JOIN",
    "BATCH_NORM_JOIN_BACKWARD",
    "batch_norm_join_backward",
    "batch_norm_join_forward",
]

_VECTORS = ("gamma", "beta", "running_mean", "running_var")
_INPUTS = ("x", *_VECTORS, "other", *(f"other_{v}" for v in _VECTORS))
_BACKWARD_VECTORS = ("gamma", "beta", "mean", "rstd")
_BACKWARD_INPUTS = (
    *("dy", "y", "x", *_BACKWARD_VECTORS),
    *("other", *(f"other_{v}" for v in _BACKWARD_VECTORS)),
)


def _checked(op: str, names: Sequence[str], inputs: Sequence[Spec | None]) -> tuple[Spec, Spec]:
    """Specs of x and of a vector of its channels."""
    given = dict(zip(names, inputs, strict=True))
    x = given["x"]
    assert x is not None
    maps = {k: given.pop(k) for k in ("dy", "y", "x", "other") if k in given}
    c = check_specs(op, x, given, empty=False)
    for name, spec in maps.items():
        if spec is not None and spec.shape != x.shape:
            raise ShapeError(f"{op}: {name} must have shape {x.shape}, got {spec.shape}")
    return Spec(x.shape), c


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x, c = _checked("batch_norm_join_forward", _INPUTS, inputs)
    return (x, c, c, c, c)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    x, gamma, beta, running_mean, running_var = inputs[:5]
    other, other_gamma, other_beta, other_running_mean, other_running_var = inputs[5:]
    y, mean, rstd, other_mean, other_rstd = outputs
    _core.batch_norm_join_forward(
        x,
        gamma,
        beta,
        running_mean,
        running_var,
        other,
        other_gamma,
        other_beta,
        other_running_mean,
        other_running_var,
        y,
        mean,
        rstd,
        other_mean,
        other_rstd,
        workspace,
        attrs.get("eps", EPS),
        attrs.get("momentum", MOMENTUM),
    )


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    if dy[0] is None:  # only the statistics were used, which carry no gradient
        return (None,) * 10
    x, gamma, beta, _, _, other, other_gamma, other_beta = node.inputs[:8]
    y, mean, rstd, other_mean, other_rstd = node.outputs
    first = (x, gamma, beta, mean, rstd)
    second = (other, other_gamma, other_beta, other_mean, other_rstd)
    grads = ctx.emit(BATCH_NORM_JOIN_BACKWARD, (dy[0], y, *first, *second))
    return (*grads[:3], None, None, *grads[3:], None, None)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    last = len(outputs["y"].shape) - 1
    axes = {k: len(s.shape) - 1 for k, s in (*inputs.items(), *outputs.items()) if k != "y"}
    return [Tie((name, axis), ("y", last)) for name, axis in axes.items()]


def _workspace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    assert inputs[0] is not None  # x, or dy of the same shape
    return _core.batch_norm_join_workspace(inputs[0].shape, device)


BATCH_NORM_JOIN = register(
    Op(
        name="batch_norm_join",
        inputs=_INPUTS,
        outputs=("y", "mean", "rstd", "other_mean", "other_rstd"),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=_ties,
        mutates=tuple(v for v in _INPUTS if "running" in v),
        workspace=_workspace,
        zero_preserving=False,
        to_onnx="only training steps have it, made by passes.training",
    )
)


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x, c = _checked("batch_norm_join_backward", _BACKWARD_INPUTS, inputs)
    return (x, c, c, x, c, c)


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    dy, y, x, gamma, beta, mean, rstd = inputs[:7]
    other, other_gamma, other_beta, other_mean, other_rstd = inputs[7:]
    dx, dgamma, dbeta, dother, dother_gamma, dother_beta = outputs
    _core.batch_norm_join_backward(
        dy,
        y,
        x,
        gamma,
        beta,
        mean,
        rstd,
        other,
        other_gamma,
        other_beta,
        other_mean,
        other_rstd,
        dx,
        dgamma,
        dbeta,
        dother,
        dother_gamma,
        dother_beta,
        workspace,
    )


BATCH_NORM_JOIN_BACKWARD = register(
    Op(
        name="batch_norm_join_backward",
        inputs=_BACKWARD_INPUTS,
        outputs=("dx", "dgamma", "dbeta", "dother", "dother_gamma", "dother_beta"),
        infer=_infer_backward,
        run=_run_backward,
        workspace=_workspace,
        zero_preserving=False,
    )
)


def batch_norm_join_forward(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    other: ArrayLike,
    other_gamma: ArrayLike,
    other_beta: ArrayLike,
    other_running_mean: ArrayLike,
    other_running_var: ArrayLike,
    *,
    eps: float = EPS,
    momentum: float = MOMENTUM,
) -> tuple[Tensor, ...]:
    """Normalise two branches with the statistics of the batch, add them, clip at 0.

    y = max(batch_norm(x) + batch_norm(other), 0)

    Args:
        x, other (Tensor (N, H, W, C) or (N, C), float32). The rest, twice, as for batch_norm_forward.
    Returns:
        (y, mean, rstd, other_mean, other_rstd): y of x's shape, the others (C,); float32.
    Raises:
        ShapeError: shapes do not fit or x is empty. DTypeError: not float32. ValueError: eps, momentum.
    Cost: reads x and other twice, writes y: 20 bytes per element.
    Source: He et al. 2016, the join of a residual block with a projection shortcut.
    """
    first = (x, gamma, beta, running_mean, running_var)
    second = (other, other_gamma, other_beta, other_running_mean, other_running_var)
    return tuple(eager(BATCH_NORM_JOIN, (*first, *second), eps=eps, momentum=momentum))


def batch_norm_join_backward(
    dy: ArrayLike,
    y: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    mean: ArrayLike,
    rstd: ArrayLike,
    other: ArrayLike,
    other_gamma: ArrayLike,
    other_beta: ArrayLike,
    other_mean: ArrayLike,
    other_rstd: ArrayLike,
) -> tuple[Tensor, ...]:
    """Gradient of batch_norm_join_forward: g = dy where y > 0, through both norms.

    Args:
        dy, y, x, other (Tensor (N, H, W, C) or (N, C), float32). The rest (Tensor (C,), float32).
    Returns:
        (dx, dgamma, dbeta, dother, dother_gamma, dother_beta): as two batch_norm_backward of g.
    Raises:
        ShapeError: shapes do not fit or x is empty. DTypeError: not float32.
    """
    first = (x, gamma, beta, mean, rstd)
    second = (other, other_gamma, other_beta, other_mean, other_rstd)
    return tuple(eager(BATCH_NORM_JOIN_BACKWARD, (dy, y, *first, *second)))
