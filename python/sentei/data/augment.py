"""Random changes of training images, seeded by (seed, epoch, index of the image).

A transform gets one key per image and draws only from it, so an image is changed the same way
whichever batch it lies in and whether the run was interrupted or not.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sentei.data._rng import Keys, below
from sentei.data.scaling import resize
from sentei.errors import DataError

__all__ = ["RandomCrop", "RandomFlip", "Resize", "Transform"]


class Transform(Protocol):
    """What the `Loader` asks of a transform."""

    def __call__(self, images: NDArray[Any], keys: Keys) -> NDArray[Any]:
        """Change raw images (B, H, W, C), given a uint64 key for each; never in place."""


@dataclass(frozen=True)
class RandomFlip:
    """Mirror each image left to right with probability `p`."""

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.p <= 1.0:
            raise DataError(f"RandomFlip: p must lie in [0, 1], got {self.p!r}")

    def flips(self, keys: Keys) -> NDArray[np.bool_]:
        """Return which images are mirrored, (B,)."""
        return below(keys, 1 << 24) < round(self.p * (1 << 24))

    def __call__(self, images: NDArray[Any], keys: Keys) -> NDArray[Any]:
        """Return the images (B, H, W, C), some of them mirrored."""
        flip = self.flips(keys)
        out = images.copy()
        out[flip] = images[flip, :, ::-1]
        return out


@dataclass(frozen=True)
class RandomCrop:
    """Pad each image with `padding` zeros a side and cut a window of the old size at random."""

    padding: int = 4

    def __post_init__(self) -> None:
        if isinstance(self.padding, bool) or not isinstance(self.padding, int) or self.padding < 0:
            raise DataError(f"RandomCrop: padding must be an integer >= 0, got {self.padding!r}")

    def corners(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return row and column of every window in its padded image, each (B,)."""
        n = 2 * self.padding + 1
        return below(keys, n, 0), below(keys, n, 1)

    def __call__(self, images: NDArray[Any], keys: Keys) -> NDArray[Any]:
        """Return the images (B, H, W, C), each moved by up to `padding` pixels."""
        p, (_, h, w, _) = self.padding, images.shape
        wide = np.pad(images, ((0, 0), (p, p), (p, p), (0, 0)))
        rows, cols = self.corners(keys)
        out = np.empty_like(images)
        for i, (r, c) in enumerate(zip(rows.tolist(), cols.tolist(), strict=True)):
            out[i] = wide[i, r : r + h, c : c + w]
        return out


@dataclass(frozen=True)
class Resize:
    """Resample every image; nothing random. For sizes that do not fit in memory all at once."""

    size: int | tuple[int, int]
    method: str = "bicubic"

    def __call__(self, images: NDArray[Any], keys: Keys) -> NDArray[Any]:
        """Return the images (B, height, width, C)."""
        return resize(images, self.size, self.method)
