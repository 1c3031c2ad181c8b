"""The images of a run: loaded, cut into parts, with what a model file keeps about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.data import (
    ClassLimitedSampler,
    Dataset,
    Loader,
    RandomCrop,
    RandomFlip,
    Standardize,
    Transform,
    load,
)
from sentei.errors import DataError
from sentei.workflow.config import Data

__all__ = ["Images", "data_settings", "images_for", "load_images"]


@dataclass(frozen=True)
class Images:
    """Training, validation and test images, and how every pixel is scaled."""

    train: Dataset
    val: Dataset
    test: Dataset
    standardize: Standardize
    settings: Data
    seed: int  # of the cut

    @property
    def classes(self) -> int:
        return self.train.num_outputs

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.train.shape

    def training(self, batch: int, seed: int) -> Loader:
        """Shuffled, augmented mini-batches of the training images."""
        s = self.settings
        transforms: list[Transform] = []
        if s.crop:
            transforms.append(RandomCrop(s.crop))
        if s.flip:
            transforms.append(RandomFlip())
        sampler = ClassLimitedSampler(s.classes_per_batch) if s.classes_per_batch else None
        return Loader(
            self.train,
            batch,
            shuffle=batch < len(self.train),  # the whole set is the same in any order
            seed=seed,
            drop_last=True,
            standardize=self.standardize,
            transforms=transforms,
            sampler=sampler,
        )

    def plain(self, part: Dataset, batch: int = 100) -> Loader:
        """A part in order, as evaluation takes it."""
        return Loader(part, min(batch, len(part)), standardize=self.standardize)

    def sample(self, count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Standardised training images (N, H, W, C) and labels (N,) or targets (N, K), each once."""
        chosen = self.chosen(self.train, count, seed)
        return self.standardize.apply(chosen.images), chosen.labels

    @staticmethod
    def chosen(part: Dataset, count: int, seed: int) -> Dataset:
        """So many of the samples of a part, at most, drawn by the seed, in their order."""
        order = np.random.default_rng([seed, 1]).permutation(len(part))[:count]
        return part.subset(np.sort(order))

    def about(self) -> dict[str, Any]:
        """What a model file keeps, enough to evaluate it again without asking."""
        return {
            "settings": self.settings.model_dump(exclude_none=True),
            "standardize": self.standardize.to_json(),
            "classes": list(self.train.classes),
            "name": self.train.name,
            "train_images": len(self.train),
            "test_images": len(self.test),
            # it decides which images are for training, validation and test
            "seed": self.seed,
        }


def load_images(settings: Data, seed: int, standardize: Standardize | None = None) -> Images:
    """Load and cut; `standardize`: of the model that will see the images, else as settings say.

    Raises:
        DataError: unknown, missing or damaged data; a part without an image.
    """
    size: int | tuple[int, int] | None = None
    if isinstance(settings.size, list):
        if len(settings.size) != 2:
            raise DataError(f"data: size must be a number or [height, width], got {settings.size}")
        size = (settings.size[0], settings.size[1])
    else:
        size = settings.size
    train, test = load(
        settings.name,
        settings.data_dir,
        size=size,
        fine=settings.fine,
        channels=settings.channels,
        seed=seed,
    )
    if settings.limit is not None:
        train, test = _first(train, settings.limit), _first(test, settings.limit)
    if len(settings.split) == 3:
        whole = Dataset(
            np.concatenate([train.images, test.images]),
            np.concatenate([train.labels, test.labels]),
            train.classes,
            train.name,
            train.source,
        )
        train, val, test = whole.split(settings.split, seed=seed)
    else:
        train, val = train.split(settings.split, seed=seed)
    return Images(train, val, test, standardize or _standardize(settings, train), settings, seed)


def _first(part: Dataset, limit: int) -> Dataset:
    return part.subset(np.arange(min(limit, len(part))))


def _standardize(settings: Data, train: Dataset) -> Standardize:
    if settings.standardize == "fit":
        return Standardize.fit(train)
    make = Standardize.unit if settings.standardize == "unit" else Standardize.signed
    return make(train.shape[2])


def data_settings(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The [data] block that a model file keeps; empty when it keeps none."""
    about = meta.get("data")
    settings = about.get("settings") if isinstance(about, Mapping) else None
    return dict(settings) if isinstance(settings, Mapping) else {}


def images_for(
    meta: Mapping[str, Any], settings: Data, seed: int, *, scaled: bool = True
) -> Images:
    """The images for a model of a file: scaled and cut as in its training.

    Args:
        meta: of the model. settings, seed: where the file says nothing, or of other data.
        scaled: the scaling must be known, by the file or the settings.
    Raises:
        DataError: as load_images; neither the file nor the settings give the scaling.
    """
    scaling = model_standardize(meta)
    if scaled and scaling is None and "standardize" not in settings.model_fields_set:
        raise DataError(
            "data: the file must say how its images were scaled, or data.standardize must be given "
            "(fit, unit or signed)"
        )
    about = meta.get("data")
    cut = about.get("seed") if isinstance(about, Mapping) else None
    same = data_settings(meta).get("name") == settings.name
    if same and isinstance(cut, int) and not isinstance(cut, bool) and cut >= 0:
        seed = cut  # another would put training images among those for testing
    return load_images(settings, seed, scaling)


def model_standardize(meta: Mapping[str, Any]) -> Standardize | None:
    """The scaling that a model was trained with, from its file."""
    about = meta.get("data")
    found = about.get("standardize") if isinstance(about, Mapping) else None
    return None if found is None else Standardize.from_json(found)
