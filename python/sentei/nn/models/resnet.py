"""Residual networks for small images, and the plain 34-layer F34 [I table 3].

resnet18_like is that of methods [T tables 3.5, 4.6]; resnet20 and resnet56 are those of He et al. 2015,
section 4.2. Where a stage of those begins, the shortcut is a 1x1 convolution with batch norm (option B
of the paper). Option A, zero channels put beside the input, has a quarter of a percent fewer parameters, but
ties the residual streams of all stages to each other, and a channel could only leave all of them at once.
"""

from __future__ import annotations

from sentei.nn.activations import ReLU
from sentei.nn.build import Residual, Sequential
from sentei.nn.linear import Conv2d, Linear
from sentei.nn.norm import BatchNorm
from sentei.nn.pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from sentei.nn.shape import Flatten
from sentei.nn.symbol import Layer

__all__ = ["f34", "resnet18_like", "resnet20", "resnet56"]


def resnet18_like(classes: int = 10) -> Sequential:
    """conv 16@3, 3 residual blocks each of 16, 32, 64 channels, average pool 8x8, FC K. [T 3.5, 4.6]

    Every block: two 3x3 convolutions with batch norm, a 1x1 convolution with batch norm as the
    shortcut, the second ReLU after the addition; the first block of 32 and of 64 has stride 2.
    """
    layers: list[Layer] = [Conv2d(16, 3, padding=1, bias=False), BatchNorm(), ReLU()]
    for channels in (16, 32, 64):
        for k in range(3):
            layers += [_block(channels, 2 if k == 0 and channels > 16 else 1)]
    return Sequential(*layers, AvgPool2d(8), Flatten(), Linear(classes))


def resnet20(classes: int = 10) -> Sequential:
    """conv 16@3, 3 residual blocks each of 16, 32, 64 channels, global average pool, FC K. [He 4.2, n = 3]

    Every block: two 3x3 convolutions with batch norm, the second ReLU after the addition, the input
    itself as the shortcut; the first block of 32 and of 64 has stride 2 and a 1x1 convolution with
    batch norm as its shortcut. Source: He et al. 2015 (arXiv 1512.03385), option B.
    """
    return _cifar(3, classes)


def resnet56(classes: int = 10) -> Sequential:
    """conv 16@3, 9 residual blocks each of 16, 32, 64 channels, global average pool, FC K. [He 4.2, n = 9]

    As resnet20.
    """
    return _cifar(9, classes)


def f34(classes: int = 10) -> Sequential:
    """34 layers without shortcuts: conv 64@7 s2, pool 3 s2, 6 x 64, 8 x 128, 12 x 256, 6 x 512, FC. [I 3]

    3x3 p1, ReLU, no batch norm; the first of 128, 256 and 512 has stride 2; global average pool.
    """
    layers: list[Layer] = [Conv2d(64, 7, stride=2, padding=3), ReLU(), MaxPool2d(3, 2, 1)]
    for channels, count in ((64, 6), (128, 8), (256, 12), (512, 6)):
        for k in range(count):
            stride = 2 if k == 0 and channels > 64 else 1
            layers += [Conv2d(channels, 3, stride=stride, padding=1), ReLU()]
    return Sequential(*layers, GlobalAvgPool2d(), Flatten(), Linear(classes))


def _cifar(blocks: int, classes: int) -> Sequential:
    layers: list[Layer] = [Conv2d(16, 3, padding=1, bias=False), BatchNorm(), ReLU()]
    for channels in (16, 32, 64):
        for k in range(blocks):
            begins = k == 0 and channels > 16
            layers += [_block(channels, 2 if begins else 1, project=begins)]
    return Sequential(*layers, GlobalAvgPool2d(), Flatten(), Linear(classes))


def _block(channels: int, stride: int, project: bool = True) -> Residual:
    body = Sequential(
        Conv2d(channels, 3, stride=stride, padding=1, bias=False),
        BatchNorm(),
        ReLU(),
        Conv2d(channels, 3, padding=1, bias=False),
        BatchNorm(),
    )
    if not project:
        return Residual(body, after=ReLU())
    shortcut = Sequential(Conv2d(channels, 1, stride=stride, bias=False), BatchNorm())
    return Residual(body, shortcut, ReLU())
