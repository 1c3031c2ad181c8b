"""Small files in the exact formats of the public data sets, with classes that can be told apart."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np


def pictures(n: int, size: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright bar whose place is the class: (N, size, size) and labels (N,)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    images = rng.integers(0, 150, (n, size, size))
    for i, k in enumerate(labels):
        at = 1 + int(k) * (size - 4) // classes
        images[i, at : at + 3] += 60
    return images.astype(np.uint8), labels.astype(np.uint8)


def _idx(path: Path, array: np.ndarray) -> None:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(d.to_bytes(4, "big") for d in array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes(), mtime=0))


def write_mnist(folder: Path, train: int, test: int) -> Path:
    (folder / "mnist").mkdir(parents=True)
    for seed, (stem, n) in enumerate((("train", train), ("t10k", test))):
        images, labels = pictures(n, 28, 10, seed)
        _idx(folder / "mnist" / f"{stem}-images-idx3-ubyte.gz", images)
        _idx(folder / "mnist" / f"{stem}-labels-idx1-ubyte.gz", labels)
    return folder


def write_cifar(folder: Path, name: str, train: int, test: int) -> Path:
    """CIFAR-10 in its six files, or CIFAR-100 in its two."""
    hundred = name == "cifar100"
    below = folder / ("cifar-100-binary" if hundred else "cifar-10-batches-bin")
    below.mkdir(parents=True)
    files = {"train.bin": train, "test.bin": test}
    if not hundred:
        files = {f"data_batch_{i}.bin": train // 5 for i in range(1, 6)} | {"test_batch.bin": test}
    for seed, (file, n) in enumerate(files.items()):
        images, labels = pictures(n, 32, 100 if hundred else 10, seed)
        rows = [
            (b"\x00" if hundred else b"") + bytes([int(k)]) + 3 * image.tobytes()
            for image, k in zip(images, labels, strict=True)
        ]
        (below / file).write_bytes(b"".join(rows))
    return folder
