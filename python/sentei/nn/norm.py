"""Layers that scale channels: batch norm and a channel mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sentei.nn.check import flag, number
from sentei.nn.symbol import Layer, Param, Symbol, apply

__all__ = ["BatchNorm", "BatchNorm2d", "ChannelScale"]


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalise every channel over all other axes, y = (x - mean) / sqrt(var + eps) gamma + beta.

    Training uses the batch's statistics (biased variance) and moves the running ones,
    running = (1 - momentum) running + momentum batch; inference uses the running ones.

    Args:
        eps (float): inside the root. momentum (float): share of the new batch.
    Input, output: (N, H, W, C) or (N, C), unchanged. Parameters: gamma (C,) from 1, beta (C,) from 0;
    states running_mean from 0, running_var from 1.
    """

    kind: ClassVar[str] = "bn"
    eps: float = 1e-5
    momentum: float = 0.1

    def __post_init__(self) -> None:
        number("BatchNorm", "eps", self.eps, 0.0, above=True)
        number("BatchNorm", "momentum", self.momentum, 0.0, 1.0 + 1e-12)

    def emit(self, x: Symbol, name: str) -> Symbol:
        c = (x.shape[-1],)
        inputs = (
            x,
            Param("gamma", c),
            Param("beta", c),
            Param("running_mean", c, role="state"),
            Param("running_var", c, role="state"),
        )
        attrs = {"eps": float(self.eps), "momentum": float(self.momentum)}
        return apply("batch_norm", inputs, name, attrs)


BatchNorm2d = BatchNorm


@dataclass(frozen=True)
class ChannelScale(Layer):
    """Multiply every channel by a number of its own, y[..., c] = m[c] x[..., c]: a mask.

    Args:
        trainable (bool): whether m is a parameter (without weight decay) or a state.
    Input, output: (N, H, W, C) or (N, C), unchanged. Value: m (C,), from 1.
    """

    kind: ClassVar[str] = "scale"
    trainable: bool = False

    def __post_init__(self) -> None:
        flag("ChannelScale", "trainable", self.trainable)

    def emit(self, x: Symbol, name: str) -> Symbol:
        m = Param("m", (x.shape[-1],), role="param" if self.trainable else "state")
        return apply("channel_scale", (x, m), name)
