"""Batch norm, optionally ReLU, and 2 x 2 max pooling in one pass each way (training graphs)."""

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
    "BATCH_NORM_POOL",
    "BATCH_NORM_POOL_BACKWARD",
    "batch_norm_pool_backward",
    "batch_norm_pool_forward",
]


def _pooled(op: str, x: Spec) -> Spec:
    if len(x.shape) != 4 or min(x.shape[1:3]) < 2:
        raise ShapeError(f"{op}: x must have shape (N, H, W, C) with H, W >= 2, got {x.shape}")
    n, h, w, c = x.shape
    return Spec((n, h // 2, w // 2, c))


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x = inputs[0]
    assert x is not None
    op = "batch_norm_pool_forward"
    y = _pooled(op, x)
    names = ("gamma", "beta", "running_mean", "running_var")
    c = check_specs(op, x, dict(zip(names, inputs[1:], strict=True)), empty=False)
    return (y, Spec(y.shape, "uint8"), c, c)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    x, gamma, beta, running_mean, running_var = inputs
    y, index, mean, rstd = outputs
    _core.batch_norm_pool_forward(
        x,
        gamma,
        beta,
        running_mean,
        running_var,
        y,
        index,
        mean,
        rstd,
        workspace,
        attrs.get("eps", EPS),
        attrs.get("momentum", MOMENTUM),
        attrs.get("relu", False),
    )


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    if dy[0] is None:  # only the statistics were used, which carry no gradient
        return (None,) * 5
    x, gamma, beta = node.inputs[:3]
    index, mean, rstd = node.outputs[1:]
    relu = node.attrs.get("relu", False)
    given = (dy[0], index, x, gamma, mean, rstd, beta if relu else None)
    return (*ctx.emit(BATCH_NORM_POOL_BACKWARD, given, relu=relu), None, None)


def _workspace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    assert inputs[0] is not None
    return _core.batch_norm_pool_workspace(inputs[0].shape, device)


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    own = {k: v for k, v in outputs.items() if k != "index"}
    return [*norm_ties(inputs, own, attrs), Tie(("index", 3), ("y", 3))]


BATCH_NORM_POOL = register(
    Op(
        name="batch_norm_pool",
        inputs=("x", "gamma", "beta", "running_mean", "running_var"),
        outputs=("y", "index", "mean", "rstd"),
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
    dy, index, x, gamma, mean, rstd, beta = inputs
    assert dy is not None and index is not None and x is not None
    op = "batch_norm_pool_backward"
    y = _pooled(op, x)
    given = {"gamma": gamma, "mean": mean, "rstd": rstd, "beta": beta}
    c = check_specs(op, x, given, empty=False)
    for name, spec in (("dy", dy), ("index", index)):
        if spec.shape != y.shape:
            raise ShapeError(f"{op}: {name} must have shape {y.shape}, got {spec.shape}")
    return (Spec(x.shape), c, c)


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    dy, index, x, gamma, mean, rstd, beta = inputs
    dx, dgamma, dbeta = outputs
    relu = attrs.get("relu", False)
    _core.batch_norm_pool_backward(
        dy, index, x, gamma, mean, rstd, beta, dx, dgamma, dbeta, workspace, relu
    )


def _workspace_backward(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    return _core.batch_norm_pool_workspace(outputs[0].shape, device)


BATCH_NORM_POOL_BACKWARD = register(
    Op(
        name="batch_norm_pool_backward",
        inputs=("dy", "index", "x", "gamma", "mean", "rstd", "beta?"),
        outputs=("dx", "dgamma", "dbeta"),
        infer=_infer_backward,
        run=_run_backward,
        workspace=_workspace_backward,
        zero_preserving=False,
    )
)


def batch_norm_pool_forward(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    *,
    eps: float = EPS,
    momentum: float = MOMENTUM,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normalise with the statistics of the batch and keep the largest of every 2 x 2 window.

    y = max over windows of batch_norm(x), or of max(batch_norm(x), 0) with relu

    Args:
        x (Tensor (N, H, W, C), float32): H, W >= 2; a last odd row or column is in no window.
        The rest as for batch_norm_forward.
    Returns:
        (y, index, mean, rstd): y (N, H/2, W/2, C) float32; index of that shape, uint8: 2 r + s of the
        first winner; mean and rstd (C,).
    Raises:
        ShapeError: shapes do not fit or x is empty. DTypeError: not float32. ValueError: eps, momentum.
    Cost: reads x twice, writes a quarter and the index: 9.25 bytes per element.
    """
    y, index, mean, rstd = eager(
        BATCH_NORM_POOL,
        (x, gamma, beta, running_mean, running_var),
        eps=eps,
        momentum=momentum,
        relu=relu,
    )
    return y, index, mean, rstd


def batch_norm_pool_backward(
    dy: ArrayLike,
    index: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike,
    mean: ArrayLike,
    rstd: ArrayLike,
    beta: ArrayLike | None = None,
    *,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of batch_norm_pool_forward: batch_norm_backward of dy at the winners, 0 elsewhere.

    Args:
        dy (Tensor (N, H/2, W/2, C), float32). index: from the forward call. The rest as for
        batch_norm_backward.
    Returns:
        (dx, dgamma, dbeta), float32.
    Raises:
        ShapeError: shapes do not fit or x is empty. DTypeError. ValueError: beta missing.
    """
    given = (dy, index, x, gamma, mean, rstd, beta)
    dx, dgamma, dbeta = eager(BATCH_NORM_POOL_BACKWARD, given, relu=relu)
    return dx, dgamma, dbeta
