"""Read files from outside: sizes are checked against the real file before allocation."""

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError

__all__ = [
    "allocate",
    "check_labels",
    "fill",
    "guarded",
    "inflated_limit",
    "open_regular",
    "read_names",
]

_CHUNK = 1 << 20
_DEFLATE_RATIO = 1032  # no deflate stream expands further (zlib technical notes)
_NAMES_LIMIT = 1 << 16


@contextmanager
def guarded(op: str, path: Path, must: str = "readable") -> Iterator[None]:
    """Turn whatever the system or a decompressor says about `path` into one DataError."""
    try:
        yield
    except DataError:
        raise
    except EOFError:
        raise DataError(f"{op}: {path} must be complete, got a truncated compressed file") from None
    except (OSError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{op}: {path} must be {must}, got: {reason}") from None


def open_regular(op: str, path: Path) -> tuple[BufferedReader, int]:
    """Open a regular file and return it with its real size; pipes and devices are refused."""
    if not path.is_file():
        got = "a folder" if path.is_dir() else "something else" if path.exists() else "no such file"
        raise DataError(f"{op}: {path} must be a file, got {got}")
    stream = path.open("rb")
    return stream, os.fstat(stream.fileno()).st_size


def inflated_limit(size: int) -> int:
    """Return the most bytes that `size` deflated bytes can hold."""
    return _DEFLATE_RATIO * size


def allocate(op: str, path: Path, size: int) -> NDArray[np.uint8]:
    """Allocate `size` bytes that the header of `path` promised (and the file can hold)."""
    try:
        return np.empty(size, np.uint8)
    except (MemoryError, ValueError, OverflowError):
        raise DataError(f"{op}: {path} must fit in memory, got {size} bytes") from None


def fill(
    op: str, path: Path, stream: BufferedReader | gzip.GzipFile, out: NDArray[np.uint8]
) -> None:
    """Fill `out` from the stream, which must end there; at most one byte more is read."""
    view, done = memoryview(cast(Any, out)), 0
    while done < len(view):
        got = stream.readinto(view[done : done + _CHUNK])
        if not got:
            raise DataError(
                f"{op}: {path} must hold {len(view)} bytes of data after its header, got {done} "
                "(truncated)"
            )
        done += got
    if stream.read(1):
        raise DataError(
            f"{op}: {path} must hold {len(view)} bytes of data after its header, got more "
            "(trailing bytes)"
        )


def check_labels(
    op: str, path: Path, labels: NDArray[np.uint8], num_classes: int, first: int = 0
) -> None:
    """Refuse a label outside first .. first + num_classes - 1, naming the first such image."""
    last = first + num_classes - 1
    wrong = np.flatnonzero((labels < first) | (labels > last))
    if wrong.size:
        want = f"from {first} to {last}" if first else f"below {num_classes}"
        raise DataError(
            f"{op}: {path} must hold labels {want}, got {labels[wrong[0]]} for image {wrong[0]}"
        )


def read_names(op: str, path: Path, count: int) -> tuple[str, ...]:
    """Read a small text file with one class name a line."""
    with guarded(op, path):
        stream, size = open_regular(op, path)
        with stream:
            if size > _NAMES_LIMIT:
                raise DataError(f"{op}: {path} must be below {_NAMES_LIMIT} bytes, got {size}")
            raw = stream.read(_NAMES_LIMIT)
    try:
        names = tuple(line.strip() for line in raw.decode().splitlines() if line.strip())
    except UnicodeDecodeError:
        raise DataError(f"{op}: {path} must be UTF-8 text, got other bytes") from None
    if len(names) != count:
        raise DataError(f"{op}: {path} must hold {count} class names, got {len(names)}")
    return names
