"""Batch norm, the addition of another branch, and ReLU in one pass each way (training graphs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, Tie, register
from sentei.ops.batch_norm import EPS, MOMENTUM, check_specs, norm_ties
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = [
    "BATCH_NORM_ADD",
    "BATCH_NORM_ADD_BACKWARD",
    "batch_norm_add_backward",
    "batch_norm_add_forward",
]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x, other = inputs[:2]
    assert x is not None and other is not None
    op = "batch_norm_add_forward"
    names = ("gamma", "beta", "running_mean", "running_var")
    c = check_specs(op, x, dict(zip(names, inputs[2:], strict=True)), empty=False)
    if other.shape != x.shape:
        raise ShapeError(f"{op}: other must have shape {x.shape}, got {other.shape}")
    return (Spec(x.shape), c, c)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    x, other, gamma, beta, running_mean, running_var = inputs
    y, mean, rstd = outputs
    _core.batch_norm_add_forward(
        x,
        other,
        gamma,
        beta,
        running_mean,
        running_var,
        y,
        mean,
        rstd,
        workspace,
        attrs.get("eps", EPS),
        attrs.get("momentum", MOMENTUM),
    )


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    if dy[0] is None:  # only the statistics were used, which carry no gradient
        return (None,) * 6
    x, _, gamma = node.inputs[:3]
    y, mean, rstd = node.outputs
    given = (dy[0], y, x, gamma, mean, rstd)
    dx, dother, dgamma, dbeta = ctx.emit(BATCH_NORM_ADD_BACKWARD, given)
    return (dx, dother, dgamma, dbeta, None, None)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    last = len(outputs["y"].shape) - 1
    own = {k: v for k, v in inputs.items() if k != "other"}
    return [*norm_ties(own, outputs, attrs), Tie(("other", last), ("y", last))]


def _workspace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    assert inputs[0] is not None  # x, or dy of the same shape
    return _core.batch_norm_add_workspace(inputs[0].shape, device)


BATCH_NORM_ADD = register(
    Op(
        name="batch_norm_add",
        inputs=("x", "other", "gamma", "beta", "running_mean", "running_var"),
        outputs=("y", "mean", "rstd"),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=_ties,
        mutates=("running_mean", "running_var"),
        workspace=_workspace,
        zero_preserving=False,
        to_onnx="only training steps have it, made by passes.training",
    )
)


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    dy, y, x, gamma, mean, rstd = inputs
    assert dy is not None and y is not None and x is not None
    op = "batch_norm_add_backward"
    c = check_specs(op, x, {"gamma": gamma, "mean": mean, "rstd": rstd}, empty=False)
    for name, spec in (("dy", dy), ("y", y)):
        if spec.shape != x.shape:
            raise ShapeError(f"{op}: {name} must have shape {x.shape}, got {spec.shape}")
    return (Spec(x.shape), Spec(x.shape), c, c)


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    dy, y, x, gamma, mean, rstd = inputs
    dx, dother, dgamma, dbeta = outputs
    _core.batch_norm_add_backward(dy, y, x, gamma, mean, rstd, dx, dother, dgamma, dbeta, workspace)


BATCH_NORM_ADD_BACKWARD = register(
    Op(
        name="batch_norm_add_backward",
        inputs=("dy", "y", "x", "gamma", "mean", "rstd"),
        outputs=("dx", "dother", "dgamma", "dbeta"),
        infer=_infer_backward,
        run=_run_backward,
        workspace=_workspace,
        zero_preserving=False,
    )
)


def batch_norm_add_forward(
    x: ArrayLike,
    other: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    *,
    eps: float = EPS,
    momentum: float = MOMENTUM,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise with the statistics of the batch, add another branch, clip at 0.

    y = max(batch_norm(x) + other, 0)

    Args:
        x, other (Tensor (N, H, W, C) or (N, C), float32). The rest as for batch_norm_forward.
    Returns:
        (y, mean, rstd): y of x's shape, mean and rstd (C,); float32.
    Raises:
        ShapeError: shapes do not fit or x is empty. DTypeError: not float32. ValueError: eps, momentum.
    Cost: reads x twice and other, writes y: 16 bytes per element.
    Source: He et al. 2016, the join of a residual block.
    """
    y, mean, rstd = eager(
        BATCH_NORM_ADD,
        (x, other, gamma, beta, running_mean, running_var),
        eps=eps,
        momentum=momentum,
    )
    return y, mean, rstd


def batch_norm_add_backward(
    dy: ArrayLike, y: ArrayLike, x: ArrayLike, gamma: ArrayLike, mean: ArrayLike, rstd: ArrayLike
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradient of batch_norm_add_forward: g = dy where y > 0 for both branches.

    Args:
        dy, y, x (Tensor (N, H, W, C) or (N, C), float32). gamma, mean, rstd (Tensor (C,), float32).
    Returns:
        (dx, dother, dgamma, dbeta): dother = g, the others as for batch_norm_backward of g.
    Raises:
        ShapeError: shapes do not fit or x is empty. DTypeError: not float32.
    """
    dx, dother, dgamma, dbeta = eager(BATCH_NORM_ADD_BACKWARD, (dy, y, x, gamma, mean, rstd))
    return dx, dother, dgamma, dbeta
