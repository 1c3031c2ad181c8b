"""A data set in memory: images, labels and the names of the classes, checked once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.data._rng import check_seed, permutation
from sentei.data.scaling import resize
from sentei.errors import DataError

__all__ = ["Dataset"]

# finiteness is checked in blocks, so that the boolean mask stays small beside the images
_BLOCK = 1 << 22
_SPLIT_STREAM = 1


def _all_finite(array: NDArray[Any]) -> bool:
    flat = array.reshape(-1)
    return all(bool(np.isfinite(flat[i : i + _BLOCK]).all()) for i in range(0, flat.size, _BLOCK))


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Hold images with class labels, or with regression targets.

    Args:
        images: (N, H, W, C) uint8 in [0, 255], or float32 (finite).
        labels: (N,) int64 in [0, number of classes); or float32 targets (N, K), finite.
        classes: names of the classes; empty: "0", "1", ... up to the largest label. Targets have
            none.
        name: short name, used in reports.
        source: where the data came from, in words.

    Raises:
        DataError: wrong type or shape, no image, NaN or infinity, label out of range.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    classes: tuple[str, ...] = ()
    name: str = "unnamed"
    source: str = ""

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        for what, array in (("images", images), ("labels", labels)):
            if not isinstance(array, np.ndarray):
                raise DataError(
                    f"Dataset: {what} must be a NumPy array, got {type(array).__name__}"
                )
        if images.dtype not in (np.uint8, np.float32):
            raise DataError(f"Dataset: images must be uint8 or float32, got {images.dtype}")
        if images.ndim != 4:
            raise DataError(f"Dataset: images must have shape (N, H, W, C), got {images.shape}")
        if images.size == 0:
            raise DataError(f"Dataset: images must not be empty, got shape {images.shape}")
        if images.dtype == np.float32 and not _all_finite(images):
            raise DataError("Dataset: images must be finite, got NaN or infinity")
        if labels.ndim == 0 or len(labels) != len(images):
            raise DataError(
                f"Dataset: labels must have one entry for each of the {len(images)} images, "
                f"got shape {labels.shape}"
            )
        classes = tuple(self.classes)
        if labels.dtype == np.float32:
            self._check_targets(labels, classes)
        else:
            classes = self._check_labels(labels, classes)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "images", _read_only(images))
        object.__setattr__(self, "labels", _read_only(labels))

    @staticmethod
    def _check_targets(labels: NDArray[Any], classes: tuple[str, ...]) -> None:
        if labels.ndim != 2 or labels.shape[1] == 0:
            raise DataError(f"Dataset: float targets must have shape (N, K), got {labels.shape}")
        if not _all_finite(labels):
            raise DataError("Dataset: targets must be finite, got NaN or infinity")
        if classes:
            raise DataError(
                f"Dataset: classes must be empty for regression targets, got {len(classes)} names"
            )

    @staticmethod
    def _check_labels(labels: NDArray[Any], classes: tuple[str, ...]) -> tuple[str, ...]:
        if labels.dtype != np.int64:
            raise DataError(
                f"Dataset: labels must be int64 (classes) or float32 (targets), got {labels.dtype}"
            )
        if labels.ndim != 1:
            raise DataError(f"Dataset: labels must have shape (N,), got {labels.shape}")
        if not all(isinstance(name, str) for name in classes):
            raise DataError(f"Dataset: classes must be strings, got {classes[:3]!r}")
        low, high = int(labels.min()), int(labels.max())
        # names are made up only for a plausible count: one wild label must not allocate a huge
        # tuple
        limit = len(classes) if classes else 1 << 20
        if low < 0 or high >= limit:
            raise DataError(
                f"Dataset: labels must lie in [0, {limit}), got {low if low < 0 else high}"
            )
        return classes or tuple(str(c) for c in range(high + 1))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, h, w, c = self.images.shape
        goal = (
            f"{self.num_outputs} targets" if self.is_regression else f"{len(self.classes)} classes"
        )
        return f"Dataset({self.name!r}, {n} images {h}x{w}x{c} {self.images.dtype}, {goal})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (H, W, C) of one image."""
        _, h, w, c = self.images.shape
        return h, w, c

    @property
    def is_regression(self) -> bool:
        """True when the labels are float targets (N, K)."""
        return bool(self.labels.dtype == np.float32)

    @property
    def num_outputs(self) -> int:
        """Number of classes, or K of the targets: the width of the last layer."""
        return int(self.labels.shape[1]) if self.is_regression else len(self.classes)

    def class_counts(self) -> NDArray[np.int64]:
        """Return the number of images of each class, (number of classes,) int64."""
        if self.is_regression:
            raise DataError("class_counts: labels must be classes, got regression targets")
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)

    def subset(self, indices: Sequence[int] | NDArray[Any]) -> "Dataset":
        """Return the images at `indices` (integers in [0, N), in that order) with their labels."""
        index = np.asarray(indices)
        if index.ndim != 1 or index.size == 0 or index.dtype.kind not in "iu":
            raise DataError(
                "subset: indices must be a non-empty list of integers, "
                f"got {index.dtype} of shape {index.shape}"
            )
        low, high = int(index.min()), int(index.max())
        if low < 0 or high >= len(self):
            raise DataError(
                f"subset: indices must lie in [0, {len(self)}), got {low if low < 0 else high}"
            )
        return replace(self, images=self.images[index], labels=self.labels[index])

    def split(
        self, ratios: Sequence[float] = (8, 1, 1), *, seed: int = 0, stratify: bool = True
    ) -> tuple["Dataset", ...]:
        """Cut the set at random into parts whose sizes are in the given ratios.

        Every image lands in exactly one part; within a part the order is that of the set. With
        `stratify` each class is cut in the same ratios (to within one image); regression targets
        are never stratified.

        Args:
            ratios: e.g. (8, 1, 1) or (6, 2, 2); any positive numbers.
            seed: the parts are a pure function of it.
            stratify: cut class by class.

        Raises:
            DataError: a ratio that is not positive, or a part that would be empty.
        """
        check_seed("split", seed)
        shares = np.asarray(ratios, np.float64)
        if shares.ndim != 1 or len(shares) < 2 or not (np.isfinite(shares) & (shares > 0)).all():
            raise DataError(
                f"split: ratios must be two or more positive numbers, got {tuple(ratios)!r}"
            )
        order = permutation(len(self), seed, stream=_SPLIT_STREAM)
        if stratify and not self.is_regression:
            order = order[np.argsort(self.labels[order], kind="stable")]
        part = _deal(len(self), [float(s) for s in shares / shares.sum()])
        chosen = [np.sort(order[part == k]) for k in range(len(shares))]
        if any(len(c) == 0 for c in chosen):
            raise DataError(
                f"split: ratios must leave an image in every part, got {tuple(ratios)!r} "
                f"for {len(self)} images"
            )
        return tuple(self.subset(c) for c in chosen)

    def as_float(self) -> "Dataset":
        """Return the set with float32 images: uint8 pixels / 255, float images as they are."""
        if self.images.dtype == np.float32:
            return self
        return replace(self, images=self.images.astype(np.float32) / np.float32(255))

    def resize(self, size: int | tuple[int, int], method: str = "bicubic") -> "Dataset":
        """Return the set with images of another size (see `sentei.data.resize`)."""
        return replace(self, images=resize(self.images, size, method))


def _deal(n: int, shares: list[float]) -> NDArray[np.int64]:
    """Deal n places to parts, each place to the part that is furthest behind its share.

    Any run of places (a class, once the places are sorted by class) holds its shares to within
    about one.
    """
    behind = [0.0] * len(shares)
    out = np.empty(n, np.int64)
    for i in range(n):
        behind = [b + s for b, s in zip(behind, shares, strict=True)]
        k = max(range(len(shares)), key=behind.__getitem__)
        behind[k] -= 1.0
        out[i] = k
    return out
