"""The images of a table: found, cut and scaled."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentei.data import ClassLimitedSampler, Dataset, Loader, Resize, Standardize, load, load_folder
from sentei.errors import DataError
from sentei.workflow.reproduce.scale import Scale
from sentei.workflow.reproduce.spec import Data, Setting, Table

__all__ = ["Parts", "how_to_get", "is_there", "load_parts"]

_FILES = {
    "mnist": "t*-labels*idx1-ubyte*",
    "cifar10": "test_batch.bin",
    "cifar100": "test.bin",
    "stl10": "test_X.bin",
}


@dataclass(frozen=True)
class Parts:
    """Training and test images of a table, as they are used. there: how many there are."""

    train: Dataset
    test: Dataset
    standardize: Standardize
    size: int | None
    there: tuple[int, int]

    def training(self, setting: Setting, seed: int) -> Loader:
        """Shuffled mini-batches."""
        k = setting.classes_per_batch
        return Loader(
            self.train,
            setting.batch,
            shuffle=True,
            seed=seed,
            drop_last=True,
            standardize=self.standardize,
            transforms=self._transforms(),
            sampler=None if k is None else ClassLimitedSampler(k),
            prefetch=2 if self.size else 0,
        )

    def testing(self, batch: int) -> Loader:
        """Test images in order."""
        return self._plain(self.test, batch)

    def sample(self, count: int) -> tuple[Any, Any]:
        """Images (N, H, W, C) float32 as the network takes them, and labels, all classes alike."""
        part = _share(self.train, min(count, len(self.train)))
        return self._plain(part, len(part)).batch(0, 0)

    def _plain(self, part: Dataset, batch: int) -> Loader:
        return Loader(
            part,
            min(batch, len(part)),
            standardize=self.standardize,
            transforms=self._transforms(),
        )

    def _transforms(self) -> list[Any]:
        return [Resize(self.size)] if self.size else []


def how_to_get(data: Data, data_dir: str | os.PathLike[str] | None = None) -> str:
    """How a user gets the images, in words."""
    if data.how:
        return f"it takes {data.how}"
    where = "data" if data_dir is None else str(data_dir)
    return f"`sentei data download {data.name} --data-dir {where}` fetches it"


def is_there(data: Data, data_dir: str | os.PathLike[str] | None) -> bool:
    """Whether files of the data set lie in the folder or below it; nothing is read."""
    if data_dir is None or not Path(data_dir).is_dir():
        return False
    root = Path(data_dir)
    if data.name == "folder":
        return sum(p.is_dir() for p in root.iterdir()) >= data.classes
    pattern = _FILES[data.name]
    return any(next(root.glob(f"{below}{pattern}"), None) for below in ("", "*/", "*/*/"))


def load_parts(table: Table, data_dir: str | os.PathLike[str] | None, scale: Scale) -> Parts:
    """Load the images of a table, cut to the scale.

    Raises:
        DataError: they are not there (says how to get them), damaged, or of another shape.
    """
    data = table.data
    if not is_there(data, data_dir):
        where = "--data-dir" if data_dir is None else str(data_dir)
        raise DataError(
            f"reproduce: {table.name} must have its data set {data.name} in {where}, got none; "
            f"{how_to_get(data, data_dir)}"
        )
    size = data.size
    if data.name == "folder":
        whole = load_folder(str(data_dir), size)
        train, test = whole.split(data.split, seed=0)
        size = None
    else:
        train, test = load(data.name, data_dir)
    if data.name != "folder" and train.shape != data.shape:
        raise DataError(f"reproduce: images must have shape {data.shape}, got {train.shape}")
    if train.num_outputs != data.classes:
        raise DataError(
            f"reproduce: {data.name} must have {data.classes} classes, got {train.num_outputs}"
        )
    there = (len(train), len(test))
    train = _share(train, scale.training(table, len(train)))
    test = _share(test, scale.testing(len(test)))
    make = {"unit": Standardize.unit, "signed": Standardize.signed}.get(data.standardize)
    scaling = Standardize.fit(train) if make is None else make(train.shape[2])
    return Parts(train, test, scaling, size, there)


def _share(part: Dataset, count: int) -> Dataset:
    """So many images, all classes in the shares of the whole."""
    if count >= len(part):
        return part
    return part.split((count, len(part) - count), seed=0)[0]
