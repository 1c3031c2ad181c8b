"""The networks in PyTorch (NCHW): the peer that users would pick instead."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def _norm(channels: int, batch_norm: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels)] if batch_norm else []


def lenet5_prune(channels: int = 1, classes: int = 10, size: int = 28) -> nn.Module:
    layers: list[nn.Module] = []
    before = channels
    for width in (32, 64):
        layers += [nn.Conv2d(before, width, 5, padding=2, bias=False), nn.BatchNorm2d(width)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        before = width
    layers += [nn.Flatten(), nn.Linear(64 * (size // 4) ** 2, 1024), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(1024, classes))


def _vgg(plan: list[int | str], batch_norm: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    before = 3
    for v in plan:
        if isinstance(v, str):
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [
            nn.Conv2d(before, v, 3, padding=1, bias=not batch_norm),
            *_norm(v, batch_norm),
            nn.ReLU(),
        ]
        before = v
    return layers


def vgg13_like(
    classes: int = 10, batch_norm: bool = True, width: float = 1.0, size: int = 32
) -> nn.Module:
    """width: factor of all inner widths; size: height and width of an image, a multiple of 8."""
    a, b, c, fc = (round(n * width) for n in (64, 128, 256, 1024))
    layers = _vgg([a, a, "pool", b, b, "pool", c, c, "pool"], batch_norm)
    head = [
        nn.Flatten(),
        nn.Linear(c * (size // 8) ** 2, fc),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(fc, classes),
    ]
    return nn.Sequential(*layers, *head)


def vgg16(classes: int = 10) -> nn.Module:
    plan: list[int | str] = [64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool"]
    plan += [512, 512, 512, "pool", 512, 512, 512, "pool"]
    head = [nn.Flatten(), nn.Linear(25088, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU()]
    return nn.Sequential(*_vgg(plan, False), *head, nn.Linear(4096, classes))


class _Block(nn.Module):
    """Two convolutions and a shortcut: a 1x1 convolution, or (project False) the input itself."""

    def __init__(self, before: int, width: int, stride: int, project: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.project = project
        if project:
            self.shortcut = nn.Conv2d(before, width, 1, stride, bias=False)
            self.norm3 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        way = self.norm3(self.shortcut(x)) if self.project else x
        return F.relu(self.norm2(self.conv2(y)) + way)


def resnet18_like(classes: int = 10) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    before = 16
    for i, width in enumerate((16, 32, 64)):
        for j in range(3):
            layers.append(_Block(before, width, 2 if i and not j else 1))
            before = width
    return nn.Sequential(*layers, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, classes))


def _cifar(blocks: int, classes: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    before = 16
    for width in (16, 32, 64):
        for _ in range(blocks):
            begins = width > before
            layers.append(_Block(before, width, 2 if begins else 1, begins))
            before = width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes)]
    return nn.Sequential(*layers, *head)


def resnet20(classes: int = 10) -> nn.Module:
    return _cifar(3, classes)


def resnet56(classes: int = 10) -> nn.Module:
    return _cifar(9, classes)


CASES = {  # name: (network, input (C, H, W), batch)
    "lenet5_prune": (lenet5_prune, (1, 28, 28), 100),
    "vgg13_like": (vgg13_like, (3, 32, 32), 100),
    "resnet18_like": (resnet18_like, (3, 32, 32), 100),
    "vgg16": (vgg16, (3, 224, 224), 8),
    "resnet20": (resnet20, (3, 32, 32), 100),
    "resnet56": (resnet56, (3, 32, 32), 100),
}
