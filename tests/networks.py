"""Random networks for property tests: chains, residual blocks, branches, depthwise and grouped layers."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from sentei import nn
from sentei.model import Model
from sentei.tensor import Tensor

ACTIVATIONS = [
    nn.ReLU(),
    nn.LeakyReLU(0.1),
    nn.ELU(1.0),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.Softplus(),
    nn.PReLU(),
]
CLASSES = 4


def _conv_block(draw, x, channels=None, stride=1):
    channels = channels or draw(st.integers(2, 9))
    norm = draw(st.booleans())
    kernel = draw(st.sampled_from([1, 3]))
    y = nn.Conv2d(channels, kernel, stride=stride, padding=kernel // 2, bias=not norm)(x)
    if norm:
        y = nn.BatchNorm()(y)
    if draw(st.booleans()):
        y = draw(st.sampled_from(ACTIVATIONS))(y)
    return y


def _residual(draw, x):
    stride = draw(st.sampled_from([1, 2]))
    y = _conv_block(draw, x, stride=stride)
    channels = draw(st.integers(2, 9))
    y = _conv_block(draw, y, channels)
    if channels == x.shape[-1] and stride == 1 and draw(st.booleans()):
        return nn.ReLU()(nn.Add()(y, x))
    return nn.Add()(y, _conv_block(draw, x, channels, stride))


def _branches(draw, x):
    return nn.Concat()(*[_conv_block(draw, x) for _ in range(draw(st.integers(2, 3)))])


def _depthwise(draw, x):
    y = nn.DepthwiseConv2d(3, padding=1, bias=draw(st.booleans()))(x)
    return nn.ReLU()(nn.BatchNorm()(y)) if draw(st.booleans()) else y


def _grouped(draw, x):
    y = nn.Conv2d(6, 3, padding=1)(x)
    y = nn.Conv2d(draw(st.sampled_from([3, 6, 9])), 3, padding=1, groups=3)(y)
    return nn.ReLU()(y)


def _pool(draw, x):
    if min(x.shape[:2]) < 2:
        return x
    return draw(
        st.sampled_from([nn.MaxPool2d(2), nn.AvgPool2d(2), nn.MaxPool2d(3, stride=2, padding=1)])
    )(x)


PIECES = [_conv_block, _conv_block, _residual, _branches, _depthwise, _grouped, _pool]


@st.composite
def networks(draw) -> Model:
    """A model with batch statistics and biases that are not their initial values."""
    size = draw(st.sampled_from([5, 6, 8]))
    x = _conv_block(draw, nn.Input((size, size, draw(st.sampled_from([1, 3])))))
    for _ in range(draw(st.integers(1, 4))):
        x = draw(st.sampled_from(PIECES))(draw, x)
    if draw(st.booleans()):
        x = nn.GlobalAvgPool2d()(x)
    x = nn.Flatten()(x)
    if draw(st.booleans()):
        x = nn.ReLU()(nn.Linear(draw(st.integers(2, 8)))(x))
    if draw(st.booleans()):
        x = nn.Dropout(0.3, inverted=draw(st.booleans()))(x)
    model = nn.build(nn.Linear(CLASSES)(x), seed=draw(st.integers(0, 1000)))
    shake(model, draw(st.integers(0, 1000)))
    return model


def shake(model: Model, seed: int) -> None:
    """Random biases, scales, shifts and running statistics, so that none of them can be forgotten."""
    rng = np.random.default_rng(seed)
    for name, t in model.tensors.items():
        a = np.asarray(t)
        if name.endswith("weight"):
            continue
        noise = rng.uniform(0.5, 1.5, a.shape) if name.endswith(("gamma", "running_var")) else None
        t.copy_from((rng.normal(0, 0.5, a.shape) if noise is None else noise).astype(np.float32))


def random_images(model: Model, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, *model.input_shape), dtype=np.float32)


def tensors_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(
        np.asarray(a[k]).tobytes() == np.asarray(b[k]).tobytes() for k in a
    )
