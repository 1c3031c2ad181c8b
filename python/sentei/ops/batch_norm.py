"""Batch norm over the last axis with the statistics of the batch, optionally through ReLU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = ["BATCH_NORM", "BATCH_NORM_BACKWARD", "batch_norm_backward", "batch_norm_forward"]

EPS = 1e-5
MOMENTUM = 0.1


def check_specs(op: str, x: Spec, channels: Mapping[str, Spec | None], *, empty: bool) -> Spec:
    """Check x (N, H, W, C) or (N, C) and its (C,) companions; return the Spec of a (C,) vector."""
    if len(x.shape) not in (2, 4):
        raise ShapeError(f"{op}: x must have shape (N, H, W, C) or (N, C), got {x.shape}")
    if not empty and x.size == 0:
        raise ShapeError(f"{op}: x must have at least one element per channel, got shape {x.shape}")
    want = x.shape[-1:]
    for name, spec in channels.items():
        if spec is not None and spec.shape != want:
            raise ShapeError(f"{op}: {name} must have shape {want}, got {spec.shape}")
    return Spec(want)


def norm_ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    """Every axis of C elements goes with the channels of y; gamma and beta produce them."""
    y = ("y", len(outputs["y"].shape) - 1)
    ties = [Tie(("x", y[1]), y)]
    ties += [Tie((name, 0), y) for name in inputs if name != "x"]
    ties += [Tie((name, 0), y) for name in outputs if name != "y"]
    return ties


def norm_workspace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    """Scratch bytes of every op of this family: the first input has the shape of x."""
    assert inputs[0] is not None
    return _core.batch_norm_workspace(inputs[0].shape, device)


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    x = inputs[0]
    assert x is not None
    names = ("gamma", "beta", "running_mean", "running_var")
    given = dict(zip(names, inputs[1:], strict=True))
    c = check_specs("batch_norm_forward", x, given, empty=False)
    return (Spec(x.shape), c, c)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    x, gamma, beta, running_mean, running_var = inputs
    y, mean, rstd = outputs
    _core.batch_norm_forward(
        x,
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
        attrs.get("relu", False),
    )


def _backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
    if dy[0] is None:  # only the statistics were used, which carry no gradient
        return (None,) * 5
    x, gamma, beta = node.inputs[:3]
    mean, rstd = node.outputs[1:]
    relu = node.attrs.get("relu", False)
    grads = ctx.emit(
        BATCH_NORM_BACKWARD, (dy[0], x, gamma, mean, rstd, beta if relu else None), relu=relu
    )
    return (*grads, None, None)


BATCH_NORM = register(
    Op(
        name="batch_norm",
        inputs=("x", "gamma", "beta", "running_mean", "running_var"),
        outputs=("y", "mean", "rstd"),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=norm_ties,
        mutates=("running_mean", "running_var"),
        workspace=norm_workspace,
        zero_preserving=False,
        to_onnx="passes.inference puts batch_norm_inference in its place",
    )
)


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    dy, x, gamma, mean, rstd, beta = inputs
    assert dy is not None and x is not None
    op = "batch_norm_backward"
    given = {"gamma": gamma, "mean": mean, "rstd": rstd, "beta": beta}
    c = check_specs(op, x, given, empty=False)
    if dy.shape != x.shape:
        raise ShapeError(f"{op}: dy must have shape {x.shape}, got {dy.shape}")
    return (Spec(x.shape), c, c)


def _run_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    dy, x, gamma, mean, rstd, beta = inputs
    dx, dgamma, dbeta = outputs
    relu = attrs.get("relu", False)
    _core.batch_norm_backward(dy, x, gamma, mean, rstd, beta, dx, dgamma, dbeta, workspace, relu)


BATCH_NORM_BACKWARD = register(
    Op(
        name="batch_norm_backward",
        inputs=("dy", "x", "gamma", "mean", "rstd", "beta?"),
        outputs=("dx", "dgamma", "dbeta"),
        infer=_infer_backward,
        run=_run_backward,
        workspace=norm_workspace,
        zero_preserving=False,
    )
)


def batch_norm_forward(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    *,
    eps: float = EPS,
    momentum: float = MOMENTUM,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each channel with the statistics of the batch.

    y = (x - mean) gamma rstd + beta,  rstd = 1 / sqrt(var + eps),  with relu: max(y, 0)
    running = (1 - momentum) running + momentum batch, of the mean and of the biased variance

    Args:
        x (Tensor (N, H, W, C) or (N, C), float32): at least one element per channel.
        gamma, beta (Tensor (C,), float32): scale and shift.
        running_mean, running_var (Tensor (C,), float32): moving averages, changed in place.
        eps: added to the variance, above 0. momentum: in [0, 1]. relu: clip y at 0.
    Returns:
        (y, mean, rstd): y of x's shape, mean and rstd (C,); float32.
    Raises:
        ShapeError: shapes do not fit or x is empty. DTypeError: not float32. ValueError: eps, momentum.
    Cost: reads x twice, writes y: 12 bytes per element.
    Source: Ioffe and Szegedy 2015, algorithm 1.
    """
    y, mean, rstd = eager(
        BATCH_NORM,
        (x, gamma, beta, running_mean, running_var),
        eps=eps,
        momentum=momentum,
        relu=relu,
    )
    return y, mean, rstd


def batch_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike,
    mean: ArrayLike,
    rstd: ArrayLike,
    beta: ArrayLike | None = None,
    *,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of batch_norm_forward, through the statistics.

    dbeta = sum g,  dgamma = sum g xhat,  dx = gamma rstd (g - dbeta / n - xhat dgamma / n)
    with xhat = (x - mean) rstd, g = dy; with relu, g = dy where the forward value, computed again to
    the same bits, is above 0, and 0 elsewhere (at 0 too).

    Args:
        dy, x (Tensor (N, H, W, C) or (N, C), float32). gamma, mean, rstd (Tensor (C,), float32).
        beta (Tensor (C,), float32): needed with relu only.
    Returns:
        (dx, dgamma, dbeta), float32.
    Raises:
        ShapeError: shapes do not fit or x is empty. DTypeError: not float32. ValueError: beta missing.
    Cost: reads dy and x twice, writes dx: 20 bytes per element.
    """
    dx, dgamma, dbeta = eager(BATCH_NORM_BACKWARD, (dy, x, gamma, mean, rstd, beta), relu=relu)
    return dx, dgamma, dbeta
