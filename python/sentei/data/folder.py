"""Images in folders, one sub-folder for each class. Needs Pillow, which is an optional extra."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sentei.data.dataset import Dataset
from sentei.data.scaling import resize
from sentei.errors import DataError

if TYPE_CHECKING:
    from PIL import Image as PilImage

__all__ = ["load_folder"]

_OP = "load_folder"
_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
_FORMATS = ("BMP", "JPEG", "PNG", "PPM", "WEBP")
_PIXELS_LIMIT = 1 << 26


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise DataError(
            f'{_OP}: image folders need Pillow, got no such package: pip install "sentei[images]"'
        ) from None
    return Image


def _decode(image: Any, path: Path, channels: int) -> NDArray[np.uint8]:
    try:
        # the header alone is read here; Pillow's own bomb limit only warns, so the size is checked
        # first
        with image.open(path, formats=_FORMATS) as picture:
            picture_: PilImage.Image = picture
            width, height = picture_.size
            if width * height > _PIXELS_LIMIT:
                raise DataError(
                    f"{_OP}: {path} must have at most {_PIXELS_LIMIT} pixels, got {width} x "
                    f"{height}"
                )
            if picture_.mode in ("F", "I") or picture_.mode.startswith("I;"):
                raise DataError(
                    f"{_OP}: {path} must have 8 bits a channel, got mode {picture_.mode!r}"
                )
            pixels = np.asarray(picture_.convert("L" if channels == 1 else "RGB"), np.uint8)
    except DataError:
        raise
    except Exception as error:  # decoders of many formats: each raises what it likes
        raise DataError(f"{_OP}: {path} must be a readable image, got: {error}") from None
    return pixels.reshape(height, width, channels)


def load_folder(
    directory: str | os.PathLike[str],
    size: int | tuple[int, int] | None = None,
    *,
    channels: int = 3,
) -> Dataset:
    """Load a folder of images: one sub-folder for each class, classes and files in sorted order.

    Args:
        directory: folder/class/image.png; PNG, JPEG, BMP, WebP, PGM, PPM. Names that start with a
            dot and files with other endings are passed over.
        size: height and width that every image is resampled to (bicubic); None: all must agree.
        channels: 3 (RGB) or 1 (grey).

    Returns:
        Dataset with images (N, H, W, channels) uint8, named after the folder.

    Raises:
        DataError: Pillow is missing, no class, a class without images, an unreadable or too large
            image, images of different sizes without `size`.
    """
    root = Path(directory)
    if channels not in (1, 3):
        raise DataError(f"{_OP}: channels must be 1 or 3, got {channels!r}")
    if not root.is_dir():
        raise DataError(
            f"{_OP}: {root} must be a folder, got {'a file' if root.exists() else 'nothing'}"
        )
    image = _pillow()
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise DataError(f"{_OP}: {root} must hold a sub-folder for each class, got none")
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        files = sorted(
            p
            for p in folder.iterdir()
            if p.suffix.lower() in _SUFFIXES and p.is_file() and not p.name.startswith(".")
        )
        if not files:
            raise DataError(f"{_OP}: {folder} must hold images ({', '.join(_SUFFIXES)}), got none")
        for path in files:
            pixels = _decode(image, path, channels)
            if size is not None:
                pixels = resize(pixels[None], size)[0]
            elif images and pixels.shape != images[0].shape:
                raise DataError(
                    f"{_OP}: {path} must have the size of the first image {images[0].shape[:2]} "
                    f"(or give size=), got {pixels.shape[:2]}"
                )
            images.append(pixels)
            labels.append(label)
    names = tuple(p.name for p in folders)
    return Dataset(np.stack(images), np.array(labels, np.int64), names, root.name, str(root))
