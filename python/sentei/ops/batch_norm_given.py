"""The training batch norms with batch statistics that were computed already, by conv2d_statistics.

Each is its namesake with two more inputs and the same gradient, which goes through the statistics:
they must be those of x.
"""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, register
from sentei.ops.batch_norm import BATCH_NORM, EPS, MOMENTUM
from sentei.ops.batch_norm_add import BATCH_NORM_ADD
from sentei.ops.batch_norm_pool import BATCH_NORM_POOL
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = [
    "BATCH_NORM_ADD_GIVEN",
    "BATCH_NORM_GIVEN",
    "BATCH_NORM_POOL_GIVEN",
    "batch_norm_add_given_forward",
    "batch_norm_given_forward",
    "batch_norm_pool_given_forward",
]

Specs = Sequence[Spec | None]
Tensors = Sequence[Tensor | None]


def _given(norm: Op) -> Op:
    """The op that does what `norm` does with batch_mean and batch_var."""

    def infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
        outputs = norm.infer(inputs[:-2], attrs)
        for name, spec in zip(("batch_mean", "batch_var"), inputs[-2:], strict=True):
            assert spec is not None
            if spec.shape != outputs[-1].shape:
                raise ShapeError(
                    f"{norm.name}_given: {name} must have shape {outputs[-1].shape}, got {spec.shape}"
                )
        return outputs

    def run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
        call = getattr(_core, f"{norm.name}_forward")
        modes = [attrs.get("eps", EPS), attrs.get("momentum", MOMENTUM)]
        if norm is not BATCH_NORM_ADD:
            modes.append(attrs.get("relu", False))
        call(*inputs[:-2], *outputs, ws, *modes, *inputs[-2:])

    def backward(ctx: GradContext, node: Node, dy: Sequence[str | None]) -> Sequence[str | None]:
        assert norm.backward is not None
        return (*norm.backward(ctx, node, dy), None, None)

    return register(
        Op(
            name=f"{norm.name}_given",
            inputs=(*norm.inputs, "batch_mean", "batch_var"),
            outputs=norm.outputs,
            infer=infer,
            run=run,
            backward=backward,
            ties=norm.ties,
            to_onnx="only training steps have it, made by passes.fuse_statistics",
            mutates=norm.mutates,
            workspace=norm.workspace,
            zero_preserving=False,
        )
    )


BATCH_NORM_GIVEN = _given(BATCH_NORM)
BATCH_NORM_ADD_GIVEN = _given(BATCH_NORM_ADD)
BATCH_NORM_POOL_GIVEN = _given(BATCH_NORM_POOL)


def batch_norm_given_forward(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    batch_mean: ArrayLike,
    batch_var: ArrayLike,
    *,
    eps: float = EPS,
    momentum: float = MOMENTUM,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run batch_norm_forward without its pass over x for the statistics.

    Args:
        batch_mean, batch_var (Tensor (C,), float32): of x, the variance biased. The rest as for
        batch_norm_forward, running averages changed in place included.
    Returns:
        (y, mean, rstd) as batch_norm_forward, but for the rounding of batch_var.
    Raises:
        As batch_norm_forward.
    Cost: reads x, writes y: 8 bytes per element.
    """
    given = (x, gamma, beta, running_mean, running_var, batch_mean, batch_var)
    y, mean, rstd = eager(BATCH_NORM_GIVEN, given, eps=eps, momentum=momentum, relu=relu)
    return y, mean, rstd


def batch_norm_add_given_forward(
    x: ArrayLike,
    other: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    batch_mean: ArrayLike,
    batch_var: ArrayLike,
    *,
    eps: float = EPS,
    momentum: float = MOMENTUM,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run batch_norm_add_forward without its pass over x for the statistics.

    Args:
        As batch_norm_given_forward and batch_norm_add_forward.
    Returns:
        (y, mean, rstd) as batch_norm_add_forward.
    Cost: reads x and other, writes y: 12 bytes per element.
    """
    given = (x, other, gamma, beta, running_mean, running_var, batch_mean, batch_var)
    y, mean, rstd = eager(BATCH_NORM_ADD_GIVEN, given, eps=eps, momentum=momentum)
    return y, mean, rstd


def batch_norm_pool_given_forward(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    batch_mean: ArrayLike,
    batch_var: ArrayLike,
    *,
    eps: float = EPS,
    momentum: float = MOMENTUM,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run batch_norm_pool_forward without its pass over x for the statistics.

    Args:
        As batch_norm_given_forward and batch_norm_pool_forward.
    Returns:
        (y, index, mean, rstd) as batch_norm_pool_forward.
    Cost: reads x, writes a quarter and the index: 5.25 bytes per element.
    """
    given = (x, gamma, beta, running_mean, running_var, batch_mean, batch_var)
    modes = {"eps": eps, "momentum": momentum, "relu": relu}
    y, index, mean, rstd = eager(BATCH_NORM_POOL_GIVEN, given, **modes)
    return y, index, mean, rstd
