"""Change the size of images: separable resampling with antialiasing, in plain NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError

__all__ = ["METHODS", "resize"]

# float32 elements of a block: it stays in the cache and bounds the memory, however many the images
_BLOCK = 1 << 18
_MAX_SIDE = 1 << 16


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _catmull_rom(x: NDArray[np.float64]) -> NDArray[np.float64]:
    a, x = -0.5, np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


METHODS = {"bilinear": (_triangle, 1.0), "bicubic": (_catmull_rom, 2.0)}


def _taps(n_in: int, n_out: int, method: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return for each output place the inputs it reads and their weights, both (n_out, taps)."""
    kernel, radius = METHODS[method]
    ratio = n_in / n_out
    stretch = max(
        ratio, 1.0
    )  # antialiasing: when shrinking, the kernel covers the whole source pixel run
    centre = (np.arange(n_out) + 0.5) * ratio
    first = np.floor(centre - radius * stretch + 0.5).astype(np.intp)
    last = np.floor(centre + radius * stretch + 0.5).astype(np.intp)
    index = first[:, None] + np.arange(int((last - first).max()))
    weight = kernel((index + 0.5 - centre[:, None]) / stretch)
    weight[(index < 0) | (index >= n_in)] = 0.0
    weight /= weight.sum(axis=1, keepdims=True)
    return np.clip(index, 0, n_in - 1), weight.astype(np.float32)


def _rows(x: NDArray[np.float32], n_out: int, method: str) -> NDArray[np.float32]:
    """Resample axis 1 of (N, H, W, C), tap by tap: the bits do not depend on the blocks."""
    n, n_in, w, c = x.shape
    if n_in == n_out:
        return x
    index, weight = _taps(n_in, n_out, method)
    out = np.zeros((n, n_out, w, c), np.float32)
    tap = np.empty_like(out)
    for t in range(index.shape[1]):
        np.take(x, index[:, t], axis=1, out=tap, mode="clip")
        tap *= weight[:, t, None, None]
        out += tap
    return out


def _flipped(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Exchange rows and columns, so that either pass moves long runs of memory."""
    return np.ascontiguousarray(x.transpose(0, 2, 1, 3))


def resize(
    images: NDArray[Any], size: int | tuple[int, int], method: str = "bicubic"
) -> NDArray[Any]:
    """Resample images to another height and width.

    Separable convolution with the Catmull-Rom cubic (a = -0.5) or the triangle, widened by the
    ratio when shrinking; at the border the weights of missing pixels are left out and the rest
    divided by their sum.

    Args:
        images: (N, H, W, C) uint8 or float32.
        size: new height and width, or one number for both.
        method: "bicubic" or "bilinear".

    Returns:
        (N, height, width, C) of the same dtype; uint8 is rounded once, at the end, and clipped to
        [0, 255].

    Raises:
        DataError: wrong dtype, shape, size or method.

    Source: Keys 1981 (cubic convolution); the antialiased form is the one of Pillow's
        `Image.resize`.
    """
    if images.dtype not in (np.uint8, np.float32) or images.ndim != 4 or 0 in images.shape[1:]:
        raise DataError(
            "resize: images must be uint8 or float32 of shape (N, H, W, C), "
            f"got {images.dtype} of shape {images.shape}"
        )
    if method not in METHODS:
        raise DataError(
            f"resize: method must be one of {', '.join(sorted(METHODS))}, got {method!r}"
        )
    sides = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(sides) != 2 or any(
        isinstance(s, bool) or not isinstance(s, (int, np.integer)) or not 1 <= s <= _MAX_SIDE
        for s in sides
    ):
        raise DataError(f"resize: size must be 1 .. {_MAX_SIDE} (height, width), got {size!r}")
    height, width = int(sides[0]), int(sides[1])
    n, h, w, c = images.shape
    out = np.empty((n, height, width, c), images.dtype)
    widest = max(h, height) * max(w, width) * c
    step = max(1, _BLOCK // widest)
    for i in range(0, n, step):
        block = images[i : i + step].astype(np.float32)
        block = _rows(_flipped(_rows(_flipped(block), width, method)), height, method)
        if images.dtype == np.uint8:
            np.rint(block, out=block)
            np.clip(block, 0, 255, out=block)
        out[i : i + step] = block
    return out
