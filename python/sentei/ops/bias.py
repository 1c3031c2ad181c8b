"""Gradient of a bias: a sum over all axes but the last."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.graph import Attrs, Op, Spec, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = ["BIAS_BACKWARD", "bias_backward"]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    dy = inputs[0]
    assert dy is not None
    return (Spec((dy.shape[-1],)),)


def _run(
    inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None
) -> None:
    _core.bias_backward(inputs[0], outputs[0], ws)


def _workspace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    dy = inputs[0]
    assert dy is not None
    columns = dy.shape[-1]
    return _core.bias_workspace(dy.size // max(columns, 1), columns, device)


BIAS_BACKWARD = register(
    Op(
        name="bias_backward",
        inputs=("dy",),
        outputs=("db",),
        infer=_infer,
        run=_run,
        workspace=_workspace,
    )
)


def bias_backward(dy: ArrayLike) -> Tensor:
    """Sum dy (..., K) over all axes but the last: the gradient (K,) of a bias.

    Raises:
        DTypeError: not float32.
    """
    return eager(BIAS_BACKWARD, (dy,))[0]
