"""Data sets in `.npz` files, read without `numpy.load`: no pickle, no size on trust."""

import math
import os
import re
import struct
import sys
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from sentei.data._files import allocate, guarded, inflated_limit, open_regular
from sentei.data.dataset import Dataset
from sentei.errors import DataError

__all__ = ["load_npz", "load_npz_pair"]

_OP = "load_npz"
_HEADER = re.compile(
    r"\{'descr': '([<>|=]?[uifU]\d{1,6})', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,20}, ?)*\d{0,20},?)\),? ?\} *\n?"
)
_HEADER_LIMIT = 4096
_MEMBERS_LIMIT = 64
_CHUNK = 1 << 20
_CLASSES_LIMIT = 1 << 20
_MALFORMED = (RuntimeError, struct.error, ArithmeticError, LookupError, ValueError)


class _Archive:
    """An `.npz` file whose members are read one by one."""

    def __init__(self, path: Path, stream: IO[bytes], size: int) -> None:
        self.path, self.size = path, size
        from zipfile import ZipFile  # slow to import, and wanted on this path only

        self.zip = ZipFile(stream)
        infos = self.zip.infolist()
        if len(infos) > _MEMBERS_LIMIT:
            raise DataError(
                f"{_OP}: {path} must hold at most {_MEMBERS_LIMIT} arrays, got {len(infos)}"
            )
        self.members = {info.filename.removesuffix(".npy"): info for info in infos}

    def read(self, key: str) -> NDArray[Any]:
        """Return one array; strings come back as an object-free <U array."""
        from zipfile import ZIP_DEFLATED, ZIP_STORED

        path, info = self.path, self.members.get(key)
        if info is None:
            found = ", ".join(sorted(self.members)[:8]) or "nothing"
            raise DataError(f"{_OP}: {path} must hold an array {key!r}, got {found}")
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise DataError(
                f"{_OP}: {path} must be stored or deflated, got compression {info.compress_type} "
                f"for {key!r}"
            )
        packed = info.compress_size
        room = inflated_limit(packed) if info.compress_type == ZIP_DEFLATED else packed
        if packed > self.size or info.file_size > room:
            raise DataError(
                f"{_OP}: {path} must have room for the {info.file_size} bytes of {key!r}, "
                f"got {packed} packed bytes in a file of {self.size}"
            )
        with self.zip.open(info) as stream:
            return self._read_array(key, stream, info.file_size)

    def _read_array(self, key: str, stream: IO[bytes], size: int) -> NDArray[Any]:
        path = self.path
        start = stream.read(8)
        if len(start) != 8 or start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
            raise DataError(f"{_OP}: {path} must hold {key!r} as a .npy array, got 0x{start.hex()}")
        width = 2 if start[6] == 1 else 4
        length = int.from_bytes(stream.read(width), "little")
        if length > _HEADER_LIMIT:
            raise DataError(
                f"{_OP}: {path} must have a header below {_HEADER_LIMIT} bytes for {key!r}, got "
                f"{length}"
            )
        text = stream.read(length).decode("latin-1")
        match = _HEADER.fullmatch(text)
        if match is None:
            raise DataError(
                f"{_OP}: {path} must describe {key!r} as a plain array of numbers or strings, got "
                f"{text!r:.80}"
            )
        dtype = self._dtype(key, match[1])
        shape = tuple(int(d) for d in match[3].replace(" ", "").split(",") if d)
        body, room = math.prod(shape) * dtype.itemsize, size - 8 - width - length
        if body != room:
            raise DataError(
                f"{_OP}: {path} must hold {body} bytes for {key!r} of shape {shape} {dtype}, got "
                f"{room}"
            )
        out = allocate(_OP, path, body)
        view, done = memoryview(cast(Any, out)), 0
        while done < body:
            chunk = stream.read(min(_CHUNK, body - done))
            if not chunk:
                raise DataError(f"{_OP}: {path} must hold {body} bytes for {key!r}, got {done}")
            view[done : done + len(chunk)] = chunk
            done += len(chunk)
        stream.read(1)  # at the end of the member zipfile compares the CRC
        order: Any = "F" if match[2] == "True" else "C"
        array = out.view(dtype).reshape(shape, order=order)
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))

    def _dtype(self, key: str, text: str) -> np.dtype[Any]:
        try:
            dtype = np.dtype(text)
        except TypeError:
            dtype = None
        if dtype is None or dtype.itemsize == 0:
            raise DataError(
                f"{_OP}: {self.path} must hold numbers or strings as {key!r}, got {text!r}"
            )
        return dtype

    def dataset(self, prefix: str, classes: tuple[str, ...]) -> Dataset:
        """Return the images and labels whose keys start with `prefix`."""
        labels = self.read(f"{prefix}labels")
        if labels.dtype.kind in "ui":
            if labels.dtype == np.uint64 and labels.size and int(labels.max()) >= 1 << 63:
                raise DataError(f"{_OP}: {self.path} must hold labels below 2**63, got more")
            labels = labels.astype(np.int64)
        elif labels.dtype == np.float64:
            # a target beyond float32 becomes infinite here and is refused as not finite below
            with np.errstate(over="ignore"):
                labels = labels.astype(np.float32)
        try:
            return Dataset(
                self.read(f"{prefix}images"), labels, classes, self.path.stem, str(self.path)
            )
        except DataError as error:
            raise DataError(
                f"{_OP}: {self.path} must hold a valid data set, got: {error}"
            ) from None

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes, () when the file has none."""
        if "classes" not in self.members:
            return ()
        if self.members["classes"].file_size > _CLASSES_LIMIT:
            raise DataError(
                f"{_OP}: {self.path} must have classes below {_CLASSES_LIMIT} bytes, got more"
            )
        array = self.read("classes")
        if array.dtype.kind != "U" or array.ndim != 1:
            raise DataError(
                f"{_OP}: {self.path} must hold classes as a list of strings, got {array.dtype} "
                f"{array.shape}"
            )
        # decoded here: NumPy does not check code points, and an impossible one kills str()
        codec, width = f"utf-32-{sys.byteorder[0]}e", array.dtype.itemsize
        raw = array.tobytes()
        try:
            return tuple(
                raw[i : i + width].decode(codec).rstrip("\0") for i in range(0, len(raw), width)
            )
        except UnicodeDecodeError:
            raise DataError(
                f"{_OP}: {self.path} must hold classes as Unicode text, got other bytes"
            ) from None


def load_npz(path: str | os.PathLike[str]) -> Dataset:
    """Load a data set from an `.npz` file; pickled objects are never read.

    Args:
        path: a zip of .npy arrays, stored or deflated: `images` (N, H, W, C) uint8 or float32;
            `labels` (N,) of any integer type, or float targets (N, K); optionally `classes`,
            strings.

    Returns:
        Dataset named after the file.

    Raises:
        DataError: damaged archive, missing key, object array, sizes that disagree, invalid data.
    """
    return _load(Path(path), ("",))[0]


def load_npz_pair(path: str | os.PathLike[str]) -> tuple[Dataset, ...]:
    """Load (train, test) from `train_images`, `train_labels`, `test_...`; else one set."""
    return _load(Path(path), ("train_", "test_"))


def _load(path: Path, prefixes: tuple[str, ...]) -> tuple[Dataset, ...]:
    from zipfile import BadZipFile

    with guarded(_OP, path):
        stream, size = open_regular(_OP, path)
        with stream:
            try:
                archive = _Archive(path, stream, size)
                if f"{prefixes[0]}images" not in archive.members:
                    prefixes = ("",)
                classes = archive.classes()
                return tuple(archive.dataset(prefix, classes) for prefix in prefixes)
            except DataError:
                raise
            except (BadZipFile, *_MALFORMED) as error:
                raise DataError(
                    f"{_OP}: {path} must be a whole .npz archive, got: {error}"
                ) from None
