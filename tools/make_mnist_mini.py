#!/usr/bin/env python3
"""Make the embedded subset of MNIST: 1,000 training and 200 test images of each digit.

usage: make_mnist_mini.py IDX_FOLDER [OUT.npz]

IDX_FOLDER holds the four MNIST files (-idx?-ubyte, plain or .gz). The images of each digit are
drawn with a fixed seed and keep the order they have in MNIST; the file is the same byte for byte
each time it is made with the same zlib.
"""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))

from sentei.data import Dataset, load  # noqa: E402
from sentei.data._rng import permutation  # noqa: E402

SEED = 20240501
PER_CLASS = {"train": 1000, "test": 200}
LIMIT = 2_600_000


def choose(dataset: Dataset, per_class: int, stream: int) -> Dataset:
    """Draw `per_class` images of each class; kept in the order of the set."""
    order = permutation(len(dataset), SEED, stream=stream)
    labels = dataset.labels[order]
    picked = [order[labels == c][:per_class] for c in range(10)]
    return dataset.subset(np.sort(np.concatenate(picked)))


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz with fixed dates, at the best deflate level."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, buffer.getvalue())


def main(argv: list[str]) -> int:
    """Make the file and print its size."""
    if len(argv) not in (1, 2):
        print(__doc__)
        return 2
    default = ROOT / "python" / "sentei" / "data" / "embedded" / "mnist_mini.npz"
    out = Path(argv[1]) if len(argv) == 2 else default
    arrays: dict[str, np.ndarray] = {"classes": np.array([str(d) for d in range(10)])}
    parts = zip(("train", "test"), load("mnist", argv[0]), strict=True)
    for stream, (part, dataset) in enumerate(parts):
        mini = choose(dataset, PER_CLASS[part], 100 + stream)
        arrays[f"{part}_images"] = mini.images
        arrays[f"{part}_labels"] = mini.labels.astype(np.uint8)
        print(part, mini, mini.class_counts().tolist())
    write(out, arrays)
    size = out.stat().st_size
    print(f"{out}: {size} bytes")
    return 0 if size <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
