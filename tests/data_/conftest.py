"""Writers of small files in the exact formats of the public data sets."""

import gzip
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest


def idx(path, array):
    array = np.asarray(array, np.uint8)
    head = bytes([0, 0, 8, array.ndim]) + b"".join(d.to_bytes(4, "big") for d in array.shape)
    raw = head + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)
    return path


def mnist(folder, n_train=12, n_test=5, suffix="", seed=0):
    rng = np.random.default_rng(seed)
    parts = {}
    for stem, n in (("train", n_train), ("t10k", n_test)):
        x = rng.integers(0, 256, (n, 28, 28), np.uint8)
        y = (np.arange(n) % 10).astype(np.uint8)
        idx(folder / f"{stem}-images-idx3-ubyte{suffix}", x)
        idx(folder / f"{stem}-labels-idx1-ubyte{suffix}", y)
        parts[stem] = (x, y)
    return parts


def cifar(path, labels, images):
    """labels (N, number of label bytes), images (N, 32, 32, 3)."""
    rows = [
        bytes(label.tolist()) + b"".join(image[..., c].tobytes() for c in range(3))
        for label, image in zip(labels, images, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(rows))


def cifar10(folder, per_file=3):
    rng = np.random.default_rng(1)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    x = rng.integers(0, 256, (6 * per_file, 32, 32, 3), np.uint8)
    y = rng.integers(0, 10, (6 * per_file, 1), np.uint8)
    for i, name in enumerate(names):
        part = slice(i * per_file, (i + 1) * per_file)
        cifar(folder / f"{name}.bin", y[part], x[part])
    return x, y[:, 0]


def stl10(folder, n=(3, 2)):
    rng = np.random.default_rng(2)
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for part, count in zip(("train", "test"), n, strict=True):
        x = rng.integers(0, 256, (count, 96, 96, 3), np.uint8)
        y = rng.integers(1, 11, count, np.uint8)
        # channel by channel, and within a channel column by column
        raw = b"".join(
            image[:, col, c].tobytes() for image in x for c in range(3) for col in range(96)
        )
        (folder / f"{part}_X.bin").write_bytes(raw)
        (folder / f"{part}_y.bin").write_bytes(y.tobytes())
        parts.append((x, y))
    return parts


@pytest.fixture
def write():
    return SimpleNamespace(idx=idx, mnist=mnist, cifar=cifar, cifar10=cifar10, stl10=stl10)


@pytest.fixture
def real():
    """Give the folder of real data sets beside the repository, or skip the test."""
    here = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("SENTEI_SHARED", here.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder} (set SENTEI_SHARED)")
    return folder
