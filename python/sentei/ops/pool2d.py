"""What the pooling ops share: their attributes and the rule for their shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sentei import _core
from sentei.graph import Attrs, Spec, Tie

__all__: list[str] = []  # nothing here is an op of its own

Size = int | tuple[int, int]


class Window(NamedTuple):
    """kernel, stride, padding as (rows, columns)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    ceil_mode: bool


def _pair(op: str, name: str, size: Size) -> tuple[int, int]:
    pair = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(pair) != 2 or not all(isinstance(n, int) for n in pair):
        raise ValueError(f"{op}: {name} must be a whole number or a pair of them, got {size!r}")
    return pair[0], pair[1]


def window_of(op: str, attrs: Attrs) -> Window:
    """Read kernel, stride (the kernel if None), padding and ceil_mode from attributes."""
    kernel = _pair(op, "kernel", attrs["kernel"])
    stride = attrs.get("stride")
    return Window(
        kernel,
        kernel if stride is None else _pair(op, "stride", stride),
        _pair(op, "padding", attrs.get("padding", 0)),
        bool(attrs.get("ceil_mode", False)),
    )


def pool_attrs(
    op: str, kernel: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False
) -> dict[str, object]:
    """Attributes in the form that files keep."""
    given = {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    return window_of(op, given)._asdict()


def pool2d_shape(op: str, x: Spec, w: Window) -> tuple[int, ...]:
    """(N, P, Q, C), by the rule that the kernels use."""
    return tuple(_core.pool2d_geometry(op, x.shape, *w))


def same_channels(
    inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs
) -> list[Tie]:
    """Channel c of every output is channel c of x."""
    return [Tie(("x", 3), (name, 3)) for name in outputs]
