"""Small data sets and networks for tests of training."""

from __future__ import annotations

import numpy as np

from sentei import nn
from sentei.data import Dataset
from sentei.model import Model


def toy_data(n: int = 60, seed: int = 5, classes: int = 3) -> Dataset:
    """Images 6x6x2 of a class's own pattern under a little noise."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).standard_normal((classes, 6, 6, 2))
    labels = np.arange(n, dtype=np.int64) % classes
    images = patterns[labels] + 0.3 * rng.standard_normal((n, 6, 6, 2))
    return Dataset(images.astype(np.float32), labels)


def toy_net(seed: int = 0, *, dropout: bool = True, norm: bool = True) -> Model:
    """conv 5, batch norm, ReLU, conv 4, ReLU, FC 11, ReLU, dropout, FC 3."""
    layers = [
        nn.Conv2d(5, 3, padding=1, bias=not norm),
        *([nn.BatchNorm()] if norm else []),
        nn.ReLU(),
        nn.Conv2d(4, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(11),
        nn.ReLU(),
        *([nn.Dropout(0.5)] if dropout else []),
        nn.Linear(3),
    ]
    return nn.build(nn.Sequential(*layers), (6, 6, 2), seed=seed)


def mlp(sizes: list[int], seed: int = 0) -> Model:
    """Linear layers fc1, fc2, ... with ReLU between."""
    layers: list[nn.Layer] = []
    for i, n in enumerate(sizes[1:]):
        layers += [nn.ReLU()] * (i > 0) + [nn.Linear(n)]
    return nn.build(nn.Sequential(*layers), (sizes[0],), seed=seed)


def same_bits(a: dict, b: dict) -> None:
    """The same names and the same bits."""
    assert set(a) == set(b)
    for k, value in a.items():
        x, y = np.asarray(value), np.asarray(b[k])
        assert x.dtype == y.dtype and x.shape == y.shape, k
        assert x.tobytes() == y.tobytes(), k
