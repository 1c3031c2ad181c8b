"""Networks written twice: in PyTorch as a user would, for any widths; their names are ours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from extras import need
from sentei.model import Model

torch: Any = need("torch")
nn: Any = torch.nn


def widths_of(model: Model) -> dict[str, int]:
    """Outputs of every convolution and linear layer, as a torch class is built from them."""
    return {
        k.removesuffix(".weight"): t.shape[0]
        for k, t in model.tensors.items()
        if k.endswith(".weight")
    }


def norm(x: Any) -> Any:
    return nn.BatchNorm2d(x)


class LeNet(nn.Module):  # type: ignore[misc]
    """models.lenet5_prune."""

    def __init__(self, conv1: int = 32, conv2: int = 64, fc1: int = 1024, fc2: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, conv1, 5, padding=2, bias=False)
        self.bn1 = norm(conv1)
        self.conv2 = nn.Conv2d(conv1, conv2, 5, padding=2, bias=False)
        self.bn2 = norm(conv2)
        self.drop = nn.Dropout(0.5)
        self.fc1 = nn.Linear(conv2 * 49, fc1)
        self.fc2 = nn.Linear(fc1, fc2)

    def forward(self, x: Any) -> Any:
        x = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = torch.max_pool2d(torch.relu(self.bn2(self.conv2(x))), 2)
        return self.fc2(self.drop(torch.relu(self.fc1(torch.flatten(x, 1)))))


class Block(nn.Module):  # type: ignore[misc]
    def __init__(self, before: int, inner: int, after: int, stride: int, project: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, inner, 3, stride, 1, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = nn.Conv2d(inner, after, 3, 1, 1, bias=False)
        self.bn2 = norm(after)
        self.shortcut = nn.Sequential()
        if project:
            self.shortcut.add_module("conv1", nn.Conv2d(before, after, 1, stride, bias=False))
            self.shortcut.add_module("bn1", norm(after))

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


class ResNet(nn.Module):  # type: ignore[misc]
    """models.resnet20, of any widths (names as in `widths_of`)."""

    def __init__(self, widths: dict[str, int] | None = None) -> None:
        super().__init__()
        w = widths or {}
        stem = w.get("conv1", 16)
        self.conv1 = nn.Conv2d(3, stem, 3, 1, 1, bias=False)
        self.bn1 = norm(stem)
        before = stem
        for k in range(1, 10):
            usual = 16 << ((k - 1) // 3)
            after = w.get(f"block{k}.conv2", usual)
            inner = w.get(f"block{k}.conv1", usual)
            begins = k in (4, 7)
            self.add_module(
                f"block{k}", Block(before, inner, after, 2 if begins else 1, project=begins)
            )
            before = after
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Linear(before, w.get("fc1", 10))

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.bn1(self.conv1(x)))
        for k in range(1, 10):
            x = getattr(self, f"block{k}")(x)
        return self.fc1(torch.flatten(self.pool(x), 1))


def randomise(module: Any, seed: int) -> Any:
    """Running statistics and scales as training leaves them, so that every number has its effect."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for m in module.modules():
            if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d):
                m.weight.copy_(torch.rand(m.weight.shape, generator=generator) + 0.5)
                m.bias.copy_(torch.randn(m.bias.shape, generator=generator) * 0.1)
                m.running_mean.copy_(torch.randn(m.bias.shape, generator=generator) * 0.1)
                m.running_var.copy_(torch.rand(m.bias.shape, generator=generator) + 0.5)
            elif isinstance(m, nn.Conv2d | nn.Linear):
                fan = m.weight[0].numel()
                m.weight.copy_(torch.randn(m.weight.shape, generator=generator) * (2 / fan) ** 0.5)
                if m.bias is not None:
                    m.bias.copy_(torch.randn(m.bias.shape, generator=generator) * 0.1)
    return module


def said(module: Any, images: NDArray[np.float32]) -> NDArray[Any]:
    """What a module says in inference of images (N, H, W, C)."""
    module.eval()
    with torch.no_grad():
        out: NDArray[Any] = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    return out
