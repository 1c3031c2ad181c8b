"""The small networks: LeNet-5 and its kin of methods [T tables 2.1, 3.1, 3.2, 4.1]."""

from __future__ import annotations

from sentei.nn.activations import LeakyReLU, ReLU
from sentei.nn.build import Sequential
from sentei.nn.linear import Conv2d, Linear
from sentei.nn.models.parts import rectifier
from sentei.nn.norm import BatchNorm
from sentei.nn.pool import MaxPool2d
from sentei.nn.shape import Dropout, Flatten
from sentei.nn.symbol import Layer

__all__ = ["lenet5_disc_1", "lenet5_disc_2", "lenet5_prune", "lenet5_sparse"]


def lenet5_sparse(
    classes: int = 10, *, batch_norm: bool = False, activation: str = "relu"
) -> Sequential:
    """conv 32@5, pool, conv 64@5, pool, FC 256, FC K; ReLU. [T table 2.1]

    batch_norm: between every convolution and its activation; activation: "relu" or "elu" (the
    comparisons of table 2.2).
    """
    return Sequential(
        *_conv(32, 5, 0, batch_norm, activation),
        MaxPool2d(2, ceil_mode=True),
        *_conv(64, 5, 0, batch_norm, activation),
        MaxPool2d(2, ceil_mode=True),
        Flatten(),
        Linear(256),
        rectifier("lenet5_sparse", activation),
        Linear(classes),
    )


def lenet5_disc_1(classes: int = 10) -> Sequential:
    """conv 64@3 stride 2, pool 3, conv 128@3 stride 2, pool 2, FC K; BN, leaky ReLU 0.1. [T 3.1]"""
    return Sequential(
        Conv2d(64, 3, stride=2, bias=False),
        BatchNorm(),
        LeakyReLU(0.1),
        MaxPool2d(3, ceil_mode=True),
        Conv2d(128, 3, stride=2, bias=False),
        BatchNorm(),
        LeakyReLU(0.1),
        MaxPool2d(2, ceil_mode=True),
        Flatten(),
        Linear(classes),
    )


def lenet5_disc_2(classes: int = 10) -> Sequential:
    """conv 64@5 p2, pool 5, conv 128@3 p2, pool 2, FC 1024, FC K; BN after conv, ReLU. [T 3.2]"""
    return Sequential(
        *_conv(64, 5, 2, True),
        MaxPool2d(5, ceil_mode=True),
        *_conv(128, 3, 2, True),
        MaxPool2d(2, ceil_mode=True),
        Flatten(),
        Linear(1024),
        ReLU(),
        Linear(classes),
    )


def lenet5_prune(classes: int = 10, *, dropout: float = 0.5) -> Sequential:
    """conv 32@5 p2, pool, conv 64@5 p2, pool, FC 1024, dropout, FC K; BN after conv, ReLU. [T 4.1]

    dropout: probability to drop.
    """
    return Sequential(
        *_conv(32, 5, 2, True),
        MaxPool2d(2, ceil_mode=True),
        *_conv(64, 5, 2, True),
        MaxPool2d(2, ceil_mode=True),
        Flatten(),
        Linear(1024),
        ReLU(),
        Dropout(dropout),
        Linear(classes),
    )


def _conv(
    channels: int, kernel: int, padding: int, batch_norm: bool, activation: str = "relu"
) -> list[Layer]:
    conv = Conv2d(channels, kernel, padding=padding, bias=not batch_norm)
    act = rectifier("lenet5_sparse", activation)
    return [conv, BatchNorm(), act] if batch_norm else [conv, act]
