"""Joining and scaling of channels in float64 NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def concat(xs: Sequence[Array]) -> Array:
    return np.concatenate([x.astype(np.float64) for x in xs], axis=-1)


def channel_scale_gradient(dy: Array, x: Array, m: Array) -> tuple[Array, Array]:
    dx = dy.astype(np.float64) * m
    return dx, (dy.astype(np.float64) * x).reshape(-1, x.shape[-1]).sum(axis=0)
