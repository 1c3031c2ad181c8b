"""The binary distributions of CIFAR-10, CIFAR-100 and STL-10."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentei.data._files import allocate, check_labels, fill, guarded, open_regular, read_names
from sentei.data.dataset import Dataset
from sentei.errors import DataError

__all__ = ["CIFAR10_CLASSES", "STL10_CLASSES", "load_cifar10", "load_cifar100", "load_stl10"]

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
STL10_CLASSES = (
    "airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck",
)  # fmt: skip

_CIFAR_PIXELS = 3 * 32 * 32
_STL_PIXELS = 3 * 96 * 96


def _read_records(op: str, path: Path, record: int) -> NDArray[np.uint8]:
    """Read a file without a header: whole records of `record` bytes, at least one."""
    with guarded(op, path):
        stream, size = open_regular(op, path)
        with stream:
            if size == 0 or size % record:
                raise DataError(
                    f"{op}: {path} must hold one or more records of {record} bytes, got {size} "
                    "bytes"
                )
            out = allocate(op, path, size)
            fill(op, path, stream, out)
    return out.reshape(-1, record)


def _folder(directory: str | os.PathLike[str], usual: str) -> Path:
    """Return the folder itself, or the sub-folder that the archive unpacks to."""
    path = Path(directory)
    return path / usual if (path / usual).is_dir() else path


def _cifar(
    op: str,
    paths: Sequence[Path],
    label_bytes: int,
    which: int,
    classes: tuple[str, ...],
    name: str,
) -> Dataset:
    images, labels = [], []
    for path in paths:
        records = _read_records(op, path, label_bytes + _CIFAR_PIXELS)
        check_labels(op, path, records[:, which], len(classes))
        labels.append(records[:, which].astype(np.int64))
        planes = records[:, label_bytes:].reshape(-1, 3, 32, 32)
        images.append(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)))
    return Dataset(
        np.concatenate(images), np.concatenate(labels), classes, name, str(paths[0].parent)
    )


def load_cifar10(directory: str | os.PathLike[str]) -> tuple[Dataset, Dataset]:
    """Load CIFAR-10: data_batch_1.bin .. data_batch_5.bin and test_batch.bin.

    Args:
        directory: the folder of these files, or the one above `cifar-10-batches-bin`.

    Returns:
        (train, test), images (N, 32, 32, 3) uint8.

    Raises:
        DataError: a file is missing, is no whole number of records, or holds a label above 9.

    Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    op, path = "load_cifar10", _folder(directory, "cifar-10-batches-bin")
    train = [path / f"data_batch_{i}.bin" for i in range(1, 6)]
    return (
        _cifar(op, train, 1, 0, CIFAR10_CLASSES, "cifar10"),
        _cifar(op, [path / "test_batch.bin"], 1, 0, CIFAR10_CLASSES, "cifar10"),
    )


def load_cifar100(directory: str | os.PathLike[str], fine: bool = True) -> tuple[Dataset, Dataset]:
    """Load CIFAR-100: train.bin and test.bin, with the fine (100) or the coarse (20) labels.

    Args:
        directory: the folder of these files, or the one above `cifar-100-binary`. When it holds
            fine_label_names.txt / coarse_label_names.txt, the classes get those names; else
            numbers.
        fine: take the second label byte (100 classes) instead of the first (20 classes).

    Returns:
        (train, test), images (N, 32, 32, 3) uint8.

    Raises:
        DataError: a file is missing, is no whole number of records, or holds a label out of range.

    Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    op, path = "load_cifar100", _folder(directory, "cifar-100-binary")
    count = 100 if fine else 20
    names_file = path / f"{'fine' if fine else 'coarse'}_label_names.txt"
    if names_file.exists():
        classes = read_names(op, names_file, count)
    else:
        classes = tuple(str(i) for i in range(count))
    train, test = (
        _cifar(op, [path / f"{part}.bin"], 2, int(fine), classes, "cifar100")
        for part in ("train", "test")
    )
    return train, test


def _stl(op: str, path: Path, part: str) -> Dataset:
    y = _read_records(op, path / f"{part}_y.bin", 1)[:, 0]
    check_labels(op, path / f"{part}_y.bin", y, len(STL10_CLASSES), first=1)
    x = _read_records(op, path / f"{part}_X.bin", _STL_PIXELS)
    if len(x) != len(y):
        raise DataError(
            f"{op}: {path / f'{part}_y.bin'} must hold one label for each of the {len(x)} images "
            f"of {part}_X.bin, got {len(y)}"
        )
    # each plane is stored column by column
    images = np.ascontiguousarray(x.reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1))
    return Dataset(images, y.astype(np.int64) - 1, STL10_CLASSES, "stl10", str(path))


def load_stl10(directory: str | os.PathLike[str]) -> tuple[Dataset, Dataset]:
    """Load the labelled part of STL-10: train_X.bin, train_y.bin, test_X.bin, test_y.bin.

    Args:
        directory: the folder of these files, or the one above `stl10_binary`.

    Returns:
        (train, test), images (N, 96, 96, 3) uint8; labels count from 0 (from 1 in the files).

    Raises:
        DataError: a file is missing, is no whole number of records, or holds a label outside 1 ..
            10.

    Source: A. Coates, H. Lee, A. Y. Ng, "An analysis of single-layer networks in unsupervised
        feature learning", AISTATS 2011.
    """
    op, path = "load_stl10", _folder(directory, "stl10_binary")
    return _stl(op, path, "train"), _stl(op, path, "test")
