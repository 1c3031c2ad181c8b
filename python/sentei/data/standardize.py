"""Standardise images: subtract the mean and divide by the standard deviation of each channel."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.data.dataset import Dataset
from sentei.errors import DataError

__all__ = ["Standardize"]

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Standardize:
    """Map images to `(x - mean) / std` per channel; x is uint8 / 255, or float as it is.

    Fit it on the training images and apply it to all others; `to_json` and `from_json` carry it in
    a model file.

    Args:
        mean: C floats, in units of x.
        std: C floats > 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for what, values in (("mean", self.mean), ("std", self.std)):
            numbers = isinstance(values, tuple) and all(
                isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)
                for v in values
            )
            if not numbers or not values:
                raise DataError(
                    f"Standardize: {what} must be a tuple of finite numbers, got {values!r}"
                )
        if len(self.mean) != len(self.std):
            raise DataError(
                "Standardize: mean and std must have the same length, "
                f"got {len(self.mean)} and {len(self.std)}"
            )
        if min(self.std) <= 0:
            raise DataError(f"Standardize: std must be positive, got {min(self.std)}")

    @classmethod
    def fit(cls, dataset: Dataset) -> "Standardize":
        """Measure mean and (biased) deviation per channel; a constant channel gets std 1."""
        images, channels = dataset.images, dataset.images.shape[3]
        if images.dtype == np.uint8:
            # integer counts: exact, and so independent of any order of summation
            counts = np.zeros((channels, 256), np.int64)
            flat = images.reshape(-1, channels)
            for i in range(0, len(flat), _BLOCK):
                for c in range(channels):
                    counts[c] += np.bincount(flat[i : i + _BLOCK, c], minlength=256)
            level = np.arange(256) / 255.0
            mean = counts @ level / len(flat)
            var = np.array([k @ (level - m) ** 2 for k, m in zip(counts, mean, strict=True)]) / len(
                flat
            )
        else:
            mean = images.mean(axis=(0, 1, 2), dtype=np.float64)
            var = images.var(axis=(0, 1, 2), dtype=np.float64)
        std = np.sqrt(var)
        std[std <= 1e-12 * np.maximum(1.0, np.abs(mean))] = 1.0
        return cls(tuple(float(m) for m in mean), tuple(float(s) for s in std))

    @classmethod
    def unit(cls, channels: int) -> "Standardize":
        """Leave pixels in [0, 1]."""
        return cls((0.0,) * channels, (1.0,) * channels)

    @classmethod
    def signed(cls, channels: int) -> "Standardize":
        """Map pixels from [0, 1] to [-1, 1]."""
        return cls((0.5,) * channels, (0.5,) * channels)

    def apply(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return `images * scale + shift`, scale and shift rounded once from float64.

        Args:
            images: (N, H, W, C) uint8 or float32.

        Returns:
            (N, H, W, C) float32, a new array; every element depends on its own pixel only.
        """
        if images.dtype not in (np.uint8, np.float32):
            raise DataError(f"Standardize: images must be uint8 or float32, got {images.dtype}")
        if images.ndim != 4 or images.shape[3] != len(self.mean):
            raise DataError(
                f"Standardize: images must have shape (N, H, W, {len(self.mean)}), got "
                f"{images.shape}"
            )
        one = self.factors(images.dtype)
        # one long row instead of C values: NumPy's inner loop then runs over whole images
        pixels = images.shape[1] * images.shape[2]
        scale, shift = np.tile(one[0], pixels), np.tile(one[1], pixels)
        rows = images.reshape(len(images), scale.size)
        out: NDArray[np.float32] = np.multiply(rows, scale, dtype=np.float32)
        out += shift
        return out.reshape(images.shape)

    def factors(self, dtype: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return scale and shift of every channel, (C,) float32, for pixels of this dtype."""
        unit = 255.0 if dtype == np.uint8 else 1.0
        mean, std = np.array(self.mean), np.array(self.std)
        return (1.0 / (unit * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def to_json(self) -> dict[str, list[float]]:
        """Return {"mean": [...], "std": [...]} for `json.dumps`; floats survive bit for bit."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, value: object) -> "Standardize":
        """Rebuild from what `to_json` gave, checking it as input from outside."""
        if not isinstance(value, dict) or set(value) != {"mean", "std"}:
            raise DataError(
                f'Standardize: JSON must hold exactly "mean" and "std", got {value!r:.80}'
            )
        mean, std = value["mean"], value["std"]
        if not isinstance(mean, list) or not isinstance(std, list):
            raise DataError("Standardize: mean and std must be lists of numbers, got another type")
        return cls(tuple(mean), tuple(std))
