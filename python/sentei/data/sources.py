"""One way in: a data set by its name, or by the path of an .npz file or a folder of images."""

import os
from pathlib import Path

from sentei.data.binary import load_cifar10, load_cifar100, load_stl10
from sentei.data.catalog import CATALOG
from sentei.data.dataset import Dataset
from sentei.data.folder import load_folder
from sentei.data.idx import load_idx, read_idx
from sentei.data.npz import load_npz_pair
from sentei.errors import DataError

__all__ = ["NAMES", "load"]

NAMES = ("mnist-mini", "mnist", "fashion-mnist", "cifar10", "cifar100", "stl10")

_OP = "load"
_DIGITS = tuple("0123456789")
_FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip
_FOLDERS = {
    "mnist": ("mnist", "MNIST", "MNIST/raw", "."),
    "fashion-mnist": (
        "fashion-mnist",
        "fashion",
        "fashion_mnist",
        "FashionMNIST",
        "FashionMNIST/raw",
        ".",
    ),
    "cifar10": ("cifar-10-batches-bin", "cifar10", "cifar10/cifar-10-batches-bin", "."),
    "cifar100": ("cifar-100-binary", "cifar100", "cifar100/cifar-100-binary", "."),
    "stl10": ("stl10_binary", "stl10", "stl10/stl10_binary", "."),
}
_IDX_STEMS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
_FILES = {
    "cifar10": (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"),
    "cifar100": ("train.bin", "test.bin"),
    "stl10": ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"),
}


def load(
    name: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    fine: bool = True,
    channels: int = 3,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """Load (train, test) by name or path.

    Args:
        name: "mnist-mini" (in the package), "mnist", "fashion-mnist", "cifar10", "cifar100",
            "stl10"; or the path of an .npz file, or of a folder of images.
        data_dir: folder that holds the files of a named set, in itself or in the usual sub-folder.
        size: resample every image to this height and width (bicubic).
        fine: CIFAR-100 only: 100 classes instead of 20.
        channels: folder of images only: 3 (RGB) or 1 (grey).
        seed: a path that is not cut into train and test yet (an .npz with `train_images`,
            `test_images`, ...; a folder with `train` and `test`) is split 8:2, stratified, as a
            pure function of this seed.

    Raises:
        DataError: unknown name, files not found (says which, where, and how to fetch them),
            damaged files.
    """
    key = os.fspath(name)
    if key == "mnist-mini":
        pair = _embedded()
    elif key in NAMES:
        pair = _named(key, data_dir, fine)
    elif key.endswith(".npz"):
        pair = _cut(load_npz_pair(key), seed)
    elif Path(key).is_dir():
        return _folder(Path(key), size, channels, seed)
    else:
        import difflib  # slow to import, and wanted on this path only

        near = difflib.get_close_matches(key, NAMES, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise DataError(
            f"{_OP}: name must be one of {', '.join(NAMES)}, an .npz file or a folder, got "
            f"{key!r}{hint}"
        )
    if size is None:
        return pair
    return pair[0].resize(size), pair[1].resize(size)


def _embedded() -> tuple[Dataset, Dataset]:
    from importlib import resources

    packed = resources.files("sentei.data") / "embedded" / "mnist_mini.npz"
    with resources.as_file(packed) as path:
        train, test = load_npz_pair(path)
    source = "class-balanced subset of MNIST (Y. LeCun, C. Cortes, C. J. C. Burges)"
    return (
        Dataset(train.images, train.labels, train.classes, "mnist-mini", source),
        Dataset(test.images, test.labels, test.classes, "mnist-mini", source),
    )


def _cut(parts: tuple[Dataset, ...], seed: int) -> tuple[Dataset, Dataset]:
    if len(parts) == 1:
        parts = parts[0].split((8, 2), seed=seed)
    train, test = parts
    if train.shape != test.shape:
        raise DataError(
            f"{_OP}: {train.source} must hold images of one shape, got {train.shape} and "
            f"{test.shape}"
        )
    return train, test


def _folder(
    path: Path, size: int | tuple[int, int] | None, channels: int, seed: int
) -> tuple[Dataset, Dataset]:
    if not ((path / "train").is_dir() and (path / "test").is_dir()):
        return _cut((load_folder(path, size, channels=channels),), seed)
    train, test = (load_folder(path / part, size, channels=channels) for part in ("train", "test"))
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))
        raise DataError(
            f"{_OP}: {path} must have the same classes in train and test, got "
            f"{', '.join(odd[:5])} in one only"
        )
    return _cut((train, test), seed)


def _named(
    name: str, data_dir: str | os.PathLike[str] | None, fine: bool
) -> tuple[Dataset, Dataset]:
    if data_dir is None:
        raise DataError(f"{_OP}: {name!r} needs data_dir, got None ({_advice(name, 'DIR')})")
    root = Path(data_dir)
    if name not in _FILES:
        return _mnist(name, root)
    for sub in _FOLDERS[name]:
        # one file is enough to choose the folder: the loader itself names the ones that are missing
        if any((root / sub / file).is_file() for file in _FILES[name]):
            if name == "cifar10":
                return load_cifar10(root / sub)
            return load_cifar100(root / sub, fine) if name == "cifar100" else load_stl10(root / sub)
    raise _not_found(name, root, _FILES[name])


def _mnist(name: str, root: Path) -> tuple[Dataset, Dataset]:
    classes = _DIGITS if name == "mnist" else _FASHION
    for sub in _FOLDERS[name]:
        found = [_idx_file(root / sub, stem) for stem in _IDX_STEMS]
        if all(found):
            paths = [path for path in found if path is not None]
            if name != "mnist" and _is_mnist(paths[1]):
                raise DataError(
                    f"{_OP}: {root / sub} must hold Fashion-MNIST, got the labels of MNIST in "
                    f"{paths[1].name}"
                )
            return (
                load_idx(paths[0], paths[1], classes=classes, name=name),
                load_idx(paths[2], paths[3], classes=classes, name=name),
            )
    raise _not_found(name, root, tuple(f"{stem}-ubyte(.gz)" for stem in _IDX_STEMS))


def _idx_file(folder: Path, stem: str) -> Path | None:
    """Return the file under one of its usual names: -ubyte or .ubyte style, .gz or plain."""
    for base in (f"{stem}-ubyte", f"{stem.replace('-idx', '.idx')}-ubyte"):
        for path in (folder / base, folder / f"{base}.gz"):
            if path.is_file():
                return path
    return None


def _is_mnist(labels: Path) -> bool:
    # both sets use the same file names; only the labels tell them apart without guessing
    import hashlib

    y = read_idx(labels, 1)
    payload = bytes([0, 0, 8, 1]) + len(y).to_bytes(4, "big") + y.tobytes()
    known = {m.sha256 for archive in CATALOG["mnist"] for m in archive.members}
    return hashlib.sha256(payload).hexdigest() in known


def _advice(name: str, where: str) -> str:
    return f"`sentei data download {name} --data-dir {where}` fetches it"


def _not_found(name: str, root: Path, files: tuple[str, ...]) -> DataError:
    places = ", ".join(str(root / sub) for sub in _FOLDERS[name])
    return DataError(
        f"{_OP}: {name!r} must lie in data_dir, got none of its folders with {', '.join(files)} "
        f"(looked in {places}; {_advice(name, str(root))})"
    )
