"""A constant: where a gradient starts."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.graph import Attrs, Op, Spec, register
from sentei.ops.eager import eager

__all__ = ["FILL", "fill_forward"]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    return (Spec(tuple(attrs["shape"])),)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.fill_forward(outputs[0], attrs["value"])


FILL = register(Op(name="fill", inputs=(), outputs=("y",), infer=_infer, run=_run))


def fill_forward(shape: tuple[int, ...], value: float) -> Tensor:
    """Return a float32 Tensor of `shape` that holds `value` everywhere."""
    return eager(FILL, (), shape=shape, value=value)[0]
