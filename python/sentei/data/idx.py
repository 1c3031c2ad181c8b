"""IDX files, plain or gzipped: the format of MNIST and Fashion-MNIST."""

import gzip
import math
import os
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentei.data._files import allocate, check_labels, fill, guarded, inflated_limit, open_regular
from sentei.data.dataset import Dataset
from sentei.errors import DataError

__all__ = ["load_idx", "read_idx"]

_OP = "load_idx"
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | os.PathLike[str], rank: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes with `rank` axes; .gz is recognised by its first bytes.

    Raises:
        DataError: wrong magic number, size that the file cannot hold, truncated, trailing bytes.

    Source: Y. LeCun, "The MNIST database of handwritten digits", section on the file formats.
    """
    path = Path(path)
    with guarded(_OP, path):
        stream, size = open_regular(_OP, path)
        with stream:
            zipped = stream.read(2) == _GZIP_MAGIC
            stream.seek(0)
            if not zipped:
                return _read_body(path, stream, size, rank, exact=True)
            with gzip.GzipFile(fileobj=stream) as inner:
                return _read_body(path, inner, inflated_limit(size), rank, exact=False)


def _read_body(
    path: Path, stream: BufferedReader | gzip.GzipFile, limit: int, rank: int, exact: bool
) -> NDArray[np.uint8]:
    """Read header and data of a stream of `limit` bytes (at most, unless `exact`)."""
    want = bytes([0, 0, 8, rank])
    magic = stream.read(4)
    if magic != want:
        raise DataError(
            f"{_OP}: {path} must start with 0x{want.hex()} (unsigned bytes, {rank} axes), "
            f"got 0x{magic.hex()}"
        )
    raw = stream.read(4 * rank)
    if len(raw) != 4 * rank:
        raise DataError(
            f"{_OP}: {path} must have a header of {4 + 4 * rank} bytes, got {4 + len(raw)}"
        )
    dims = [int.from_bytes(raw[i : i + 4], "big") for i in range(0, 4 * rank, 4)]
    if 0 in dims:
        raise DataError(f"{_OP}: {path} must not be empty, got sizes {dims}")
    body = math.prod(dims)  # Python integers: the product cannot wrap
    room = limit - len(magic) - len(raw)
    if body > room or (exact and body != room):
        raise DataError(
            f"{_OP}: {path} must hold {body} bytes of data for the sizes {dims} in its header, "
            f"got {room} {'bytes' if exact else 'at most'}"
        )
    out = allocate(_OP, path, body)
    fill(_OP, path, stream, out)
    return out.reshape(dims)


def load_idx(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    *,
    classes: Sequence[str] = (),
    name: str = "idx",
    source: str = "",
) -> Dataset:
    """Load grey images and their labels from a pair of IDX files (MNIST, Fashion-MNIST, ...).

    Args:
        images: file with magic 0x00000803 and sizes N, H, W; plain or .gz.
        labels: file with magic 0x00000801 and size N; plain or .gz.
        classes: names of the classes; empty: "0", "1", ... up to the largest label.
        name, source: kept in the data set.

    Returns:
        Dataset with images (N, H, W, 1) uint8.

    Raises:
        DataError: damaged files, different N, label out of range.
    """
    y = read_idx(labels, 1)
    if classes:
        check_labels(_OP, Path(labels), y, len(classes))
    x = read_idx(images, 3)
    if len(x) != len(y):
        raise DataError(
            f"{_OP}: {labels} must hold one label for each of the {len(x)} images of {images}, "
            f"got {len(y)}"
        )
    return Dataset(x[..., None], y.astype(np.int64), tuple(classes), name, source or str(images))
