"""Pooling in float64 NumPy, window by window."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray
Pair = tuple[int, int]


def outputs(size: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> int:
    room = (size + 2 * padding - kernel) / stride
    if not ceil_mode:
        return math.floor(room) + 1
    n = math.ceil(room) + 1
    return n - 1 if (n - 1) * stride - padding >= size else n


def _windows(shape, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool):
    """(p, q, rows, columns): the real pixels of every window."""
    h, w = shape[1:3]
    for p in range(outputs(h, kernel[0], stride[0], padding[0], ceil_mode)):
        for q in range(outputs(w, kernel[1], stride[1], padding[1], ceil_mode)):
            top, left = p * stride[0] - padding[0], q * stride[1] - padding[1]
            rows = [i for i in range(top, top + kernel[0]) if 0 <= i < h]
            columns = [j for j in range(left, left + kernel[1]) if 0 <= j < w]
            yield p, q, rows, columns


def _empty(x: Array, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool) -> Array:
    p = outputs(x.shape[1], kernel[0], stride[0], padding[0], ceil_mode)
    q = outputs(x.shape[2], kernel[1], stride[1], padding[1], ceil_mode)
    return np.zeros((x.shape[0], p, q, x.shape[3]))


def max_pool(
    x: Array, kernel: Pair, stride: Pair, padding: Pair = (0, 0), ceil_mode: bool = False
) -> tuple[Array, Array]:
    """y, and the winning pixel as row * W + column."""
    y = _empty(x, kernel, stride, padding, ceil_mode)
    winner = np.zeros(y.shape, np.int64)
    for p, q, rows, columns in _windows(x.shape, kernel, stride, padding, ceil_mode):
        pixels = np.array([i * x.shape[2] + j for i in rows for j in columns])
        values = x.astype(np.float64).reshape(x.shape[0], -1, x.shape[3])[:, pixels]
        best = values.argmax(axis=1)  # the first of equals; the first NaN
        y[:, p, q] = np.take_along_axis(values, best[:, None], axis=1)[:, 0]
        winner[:, p, q] = pixels[best]
    return y, winner


def max_pool_gradient(dy: Array, winner: Array, x_shape) -> Array:
    dx = np.zeros((x_shape[0], x_shape[1] * x_shape[2], x_shape[3]))
    n, c = np.ogrid[: x_shape[0], : x_shape[3]]
    for p in range(dy.shape[1]):
        for q in range(dy.shape[2]):
            np.add.at(dx, (n, winner[:, p, q], c), dy[:, p, q].astype(np.float64))
    return dx.reshape(x_shape)


def avg_pool(x: Array, kernel: Pair, stride: Pair) -> Array:
    y = _empty(x, kernel, stride, (0, 0), False)
    for p, q, rows, columns in _windows(x.shape, kernel, stride, (0, 0), False):
        y[:, p, q] = x.astype(np.float64)[:, rows][:, :, columns].mean(axis=(1, 2))
    return y


def avg_pool_gradient(dy: Array, x_shape, kernel: Pair, stride: Pair) -> Array:
    dx = np.zeros(x_shape)
    for p, q, rows, columns in _windows(x_shape, kernel, stride, (0, 0), False):
        share = dy[:, p, q].astype(np.float64) / (kernel[0] * kernel[1])
        dx[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += share[:, None, None]
    return dx
