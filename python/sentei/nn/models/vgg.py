"""Plain stacks of 3x3 convolutions: VGG and deep CNN of methods [T, S]."""

from __future__ import annotations

from collections.abc import Sequence

from sentei.errors import GraphError
from sentei.nn.activations import LeakyReLU, ReLU
from sentei.nn.build import Sequential
from sentei.nn.linear import Conv2d, Linear
from sentei.nn.models.parts import rectifier
from sentei.nn.norm import BatchNorm
from sentei.nn.pool import AvgPool2d, MaxPool2d
from sentei.nn.shape import Dropout, Flatten
from sentei.nn.symbol import Layer
from sentei.suggest import unknown

__all__ = ["deep_cnn", "vgg13_like", "vgg13_stl", "vgg16"]


def vgg13_like(
    classes: int = 10,
    *,
    batch_norm: bool = True,
    dropout: float | Sequence[float] = 0.5,
    activation: str = "relu",
) -> Sequential:
    """64, 64, pool, 128, 128, pool, 256, 256, pool (3x3 p1, BN, ReLU), FC 1024, dropout, FC K.

    batch_norm: False is the net of chapter 2. dropout: probability to drop after FC 1024; or five of
    them, after the activations of conv 1, 3, 5, the last pool and FC 1024 (section 4.7.2).
    activation: "relu" or "elu". [T tables 2.8, 3.4, 4.3]
    """
    rates = _five_rates(dropout)
    layers: list[Layer] = []
    for channels, rate in zip((64, 128, 256), rates[:3], strict=True):
        layers += [*_conv(channels, batch_norm, activation), *_dropout(rate)]
        layers += [*_conv(channels, batch_norm, activation), MaxPool2d(2, ceil_mode=True)]
    head = [Linear(1024), rectifier("vgg13_like", activation), Dropout(rates[4]), Linear(classes)]
    return Sequential(*layers, *_dropout(rates[3]), Flatten(), *head)


def vgg13_stl(classes: int = 10) -> Sequential:
    """64, 64, 128, 128, 256, 256 (3x3 p1, BN, ReLU), a pool after each, FC K; 96x96. [T table 4.9]"""
    layers: list[Layer] = []
    for channels in (64, 64, 128, 128, 256, 256):
        layers += [*_conv(channels, True), MaxPool2d(2, ceil_mode=True)]
    return Sequential(*layers, Flatten(), Linear(classes))


def vgg16(
    classes: int = 10, *, batch_norm: str = "none", dropout: float = 0.0, inverted: bool = True
) -> Sequential:
    """The standard 13 convolutions, FC 4096, 4096, K; ReLU; 224x224. [S]

    batch_norm: "none", "conv", "fc" or "both" (after every FC but the last). dropout: probability to
    drop after the ReLU of both FC 4096 (0: none; the paper's rate is not given: use 0.5).
    inverted: the form of dropout.
    """
    variants = ("none", "conv", "fc", "both")
    if batch_norm not in variants:
        raise GraphError(unknown("vgg16: batch_norm", batch_norm, variants))
    in_conv, in_fc = batch_norm in ("conv", "both"), batch_norm in ("fc", "both")
    layers: list[Layer] = []
    for channels, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += _conv(channels, in_conv)
        layers += [MaxPool2d(2)]
    layers += [Flatten()]
    for _ in range(2):
        layers += [Linear(4096, bias=not in_fc), *([BatchNorm()] if in_fc else []), ReLU()]
        layers += [Dropout(dropout, inverted)]
    return Sequential(*layers, Linear(classes))


def deep_cnn(classes: int = 10, *, dropout: float = 0.5) -> Sequential:
    """3 x 128, pool, dropout, 3 x 256, pool, dropout (3x3 p1), 512, 256, 128 (3x3 p0), average pool 2, FC K.

    Batch norm and leaky ReLU 0.1 throughout. dropout: probability to drop. [T table 3.3]
    """
    layers: list[Layer] = []
    for channels in (128, 256):
        for _ in range(3):
            layers += _leaky(channels, 1)
        layers += [MaxPool2d(2, ceil_mode=True), Dropout(dropout)]
    for channels in (512, 256, 128):
        layers += _leaky(channels, 0)
    return Sequential(*layers, AvgPool2d(2), Flatten(), Linear(classes))


def _conv(channels: int, batch_norm: bool, activation: str = "relu") -> list[Layer]:
    conv = Conv2d(channels, 3, padding=1, bias=not batch_norm)
    act = rectifier("vgg13_like", activation)
    return [conv, BatchNorm(), act] if batch_norm else [conv, act]


def _five_rates(dropout: float | Sequence[float]) -> tuple[float, ...]:
    """Rates after conv 1, 3, 5, the last pool and FC 1024."""
    if not isinstance(dropout, list | tuple):
        return (0.0, 0.0, 0.0, 0.0, dropout)  # type: ignore[return-value]
    if len(dropout) != 5:
        raise GraphError(
            f"vgg13_like: dropout must be one rate or five, got {len(dropout)} of them"
        )
    return tuple(dropout)


def _dropout(rate: float) -> list[Layer]:
    return [Dropout(rate)] if rate else []


def _leaky(channels: int, padding: int) -> list[Layer]:
    return [Conv2d(channels, 3, padding=padding, bias=False), BatchNorm(), LeakyReLU(0.1)]
