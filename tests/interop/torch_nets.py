"""Narrow networks of the torchvision families, written for these tests, and their export to ONNX."""

from __future__ import annotations

import io
import logging
import sys
import types
import warnings
from typing import Any

import torch
from torch import nn


def conv_norm(i: int, o: int, k: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)
    )


class Basic(nn.Module):
    """ResNet's block of two convolutions."""

    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_norm(i, o, 3, stride), nn.ReLU(), conv_norm(o, o))
        self.short = conv_norm(i, o, 1, stride) if stride > 1 or i != o else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.short(x))


class ResNet(nn.Module):
    def __init__(self, c: int = 8) -> None:
        super().__init__()
        d = 3 * c // 2
        self.stem = nn.Sequential(conv_norm(3, c, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.body = nn.Sequential(Basic(c, c, 1), Basic(c, d, 2), Basic(d, d, 1))
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(d, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.flatten(self.pool(self.body(self.stem(x))), 1))


class VGG(nn.Module):
    """A head on images of more than one pixel: the columns of its first layer must be permuted."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(True), nn.MaxPool2d(2, 2),
            nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2, 2),
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool2d((4, 4))
        self.head = nn.Sequential(
            nn.Linear(12 * 16, 24), nn.ReLU(True), nn.Dropout(), nn.Linear(24, 10)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.features(x))
        return self.head(x.view(x.size(0), -1))


class Inverted(nn.Module):
    """MobileNetV2's block: wide, depthwise, narrow; added where shapes agree."""

    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        wide = 3 * i
        self.same = stride == 1 and i == o
        self.body = nn.Sequential(
            conv_norm(i, wide, 1), nn.ReLU6(), conv_norm(wide, wide, 3, stride, wide), nn.ReLU6(),
            conv_norm(wide, o, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.same else self.body(x)


class MobileNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_norm(3, 6, 3, 2), nn.ReLU6(), Inverted(6, 8, 1), Inverted(8, 8, 1), Inverted(8, 12, 2),
            conv_norm(12, 16, 1), nn.ReLU6(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean([2, 3]))


class Dense(nn.Module):
    """DenseNet's layer: its output is joined to its input."""

    def __init__(self, i: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, 2 * growth, 1, bias=False),
            nn.BatchNorm2d(2 * growth), nn.ReLU(),
            nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.body(x)], 1)


class DenseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_norm(3, 8, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Dense(8, 4), Dense(12, 4),
            nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 1, bias=False), nn.AvgPool2d(2, 2),
            Dense(8, 4), nn.BatchNorm2d(12),
        )  # fmt: skip
        self.head = nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.features(x))
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, (1, 1)), 1))


class Fire(nn.Module):
    """SqueezeNet's module."""

    def __init__(self, i: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(i, squeeze, 1)
        self.one, self.three = (
            nn.Conv2d(squeeze, expand, 1),
            nn.Conv2d(squeeze, expand, 3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.one(x)), torch.relu(self.three(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(8, 4, 6),
            nn.MaxPool2d(3, 2, ceil_mode=True), Fire(12, 4, 8),
        )  # fmt: skip
        self.head = nn.Sequential(
            nn.Dropout(), nn.Conv2d(16, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.flatten(self.head(self.features(x)), 1)


FAMILIES = {
    "resnet": ResNet,
    "vgg": VGG,
    "mobilenet_v2": MobileNetV2,
    "densenet": DenseNet,
    "squeezenet": SqueezeNet,
}


def trained_a_little(net: nn.Module, seed: int = 0) -> nn.Module:
    """Statistics, scales and shifts as training leaves them, so that nothing is 0 or 1 by accident."""
    g = torch.Generator().manual_seed(seed)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            for t, low, high in ((m.weight, 0.6, 1.4), (m.bias, -0.3, 0.3), (m.running_mean, -0.3, 0.3),
                                 (m.running_var, 0.5, 1.5)):  # fmt: skip
                t.data.copy_(torch.rand(t.shape, generator=g) * (high - low) + low)
        elif isinstance(m, nn.Conv2d | nn.Linear):
            fan_in = m.weight[0].numel()
            m.weight.data.copy_(torch.randn(m.weight.shape, generator=g) * (2 / fan_in) ** 0.5)
            if m.bias is not None:
                m.bias.data.copy_(torch.rand(m.bias.shape, generator=g) - 0.5)
    return net.eval()


def export(net: nn.Module, x: torch.Tensor, *, dynamo: bool, training: bool = False) -> bytes:
    """The file that one of PyTorch's exporters writes; the number of samples is left open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            if dynamo:
                batch = ({0: torch.export.Dim("batch")},)
                program = torch.onnx.export(
                    net,
                    (x,),
                    dynamo=True,
                    dynamic_shapes=batch,
                    verbose=False,
                    optimize=not training,
                )
                return program.model_proto.SerializeToString()
            out = io.BytesIO()
            options: dict[str, Any] = {}
            if training:
                options = {
                    "training": torch.onnx.TrainingMode.PRESERVE,
                    "do_constant_folding": False,
                }
            torch.onnx.export(
                net, (x,), out, dynamo=False, input_names=["image"], output_names=["logits"],
                dynamic_axes={"image": {0: "n"}}, **options,
            )  # fmt: skip
            return out.getvalue()
        finally:
            logging.disable(level)


def torchvision_models() -> Any:
    """torchvision.models beside a PyTorch for which its compiled part was not built."""
    try:
        from torchvision import models
    except RuntimeError:
        for name in [k for k in sys.modules if k.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        # What declares the compiled operators; no network of ours needs one of them.
        sys.modules["torchvision._meta_registrations"] = types.ModuleType("absent")
        from torchvision import models
    return models
