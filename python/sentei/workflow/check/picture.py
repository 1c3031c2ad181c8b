"""Pictures of what excites units: a page, and one image of all of it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.data import Dataset
from sentei.errors import DataError
from sentei.report.files import atomic_path
from sentei.report.page import page as whole_page
from sentei.report.svg import escape, tag
from sentei.workflow.check.units import Box, Found, Units

__all__ = ["write_units"]

_SHOWN = 96  # pixels of the longer side of a picture on the page, about
_MARK = (214, 69, 65)
_STYLE = """
.unit{display:grid;grid-template-columns:88px minmax(0,1fr);gap:18px;padding:14px 0;
border-top:1px solid var(--line)}
.unit h3{font-size:14px;font-weight:600}
.shots{display:flex;flex-wrap:wrap;gap:14px}
.shot{font-size:12px;color:var(--soft);line-height:1.35}
.shot svg{display:block;width:96px;height:auto;image-rendering:pixelated;margin-bottom:4px}
.seen{fill:none;stroke:#d64541;stroke-width:2;vector-effect:non-scaling-stroke}
"""


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise DataError(
            'check: pictures need Pillow, which is not installed: pip install "sentei[images]"'
        ) from None
    return Image


def pixels_of(image: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3) of an image of a data set; float images are stretched from their least to largest."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = np.round(255 * (image - low) / ((high - low) or 1.0)).astype(np.uint8)
    channels = image.shape[2]
    if channels == 1:
        return np.repeat(image, 3, 2)
    if channels == 3:
        return image
    gray = image.astype(np.float64).mean(2, keepdims=True).astype(np.uint8)
    return np.repeat(gray, 3, 2)


def write_units(units: Units, data: Dataset, page: Path, title: str) -> tuple[Path, Path]:
    """Write a page (page, .html) and the same pictures in one image (.png beside it).

    A row per unit, best first; the rectangle is what the unit sees at its highest value, cut out
    in the second line of the image.

    Raises:
        DataError: Pillow is not installed.
    """
    image = _pillow()
    rows = []
    for unit, found in units.found.items():
        shots = "".join(_shot(image, data, f) for f in found)
        head = tag("div", tag("h3", f"unit {unit}"))
        rows.append(tag("div", head, tag("div", shots, class_="shots"), class_="unit"))
    intro = (
        f"The {len(next(iter(units.found.values()), ()))} of {units.images:,} images of {data.name} "
        f"with the largest values of each unit of {units.layer} ({units.width} in all), best first. "
        "The rectangle is the part of the image that the unit sees there."
    )
    text = whole_page(title, intro, *rows, style=_STYLE)
    picture = page.with_suffix(".png")
    mosaic = _mosaic(units, data)
    with atomic_path(picture) as beside:
        image.fromarray(mosaic).save(beside, format="PNG")
    with atomic_path(page) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
    return page, picture


def _shot(image: Any, data: Dataset, found: Found) -> str:
    pixels = pixels_of(data.images[found.image])
    height, width = pixels.shape[:2]
    raw = io.BytesIO()
    image.fromarray(pixels).save(raw, format="PNG")
    source = "data:image/png;base64," + base64.b64encode(raw.getvalue()).decode()
    box = found.box
    drawn = tag(
        "svg",
        tag("title", f"image {found.image}"),
        tag("image", href=source, width=width, height=height),
        tag(
            "rect", x=box.left, y=box.top, width=box.right - box.left + 1,
            height=box.bottom - box.top + 1, class_="seen",
        ),
        viewBox=f"0 0 {width} {height}", role="img",
    )  # fmt: skip
    label = label_of(data, found.image)
    return tag("div", drawn, escape(label), "<br>", f"{found.value:.4g}", class_="shot")


def label_of(data: Dataset, i: int) -> str:
    """The class of a sample, or its targets."""
    if data.is_regression:
        return ", ".join(f"{v:.3g}" for v in data.labels[i][:3])
    return data.classes[int(data.labels[i])]


def _mosaic(units: Units, data: Dataset) -> NDArray[np.uint8]:
    """Per unit a line of images with the rectangle, and one of what lies in it."""
    height, width = data.images.shape[1:3]
    scale = max(1, round(_SHOWN / max(height, width)))
    gap, h, w = 4, height * scale, width * scale
    columns = max((len(f) for f in units.found.values()), default=0)
    lines = 2 * len(units.found)
    out = np.full((gap + lines * (h + gap), gap + columns * (w + gap), 3), 255, np.uint8)
    for r, found in enumerate(units.found.values()):
        for c, f in enumerate(found):
            pixels = pixels_of(data.images[f.image]).repeat(scale, 0).repeat(scale, 1)
            top, left = gap + 2 * r * (h + gap), gap + c * (w + gap)
            part = _cut(pixels, f.box, scale)
            framed = _frame(pixels, f.box, scale)
            out[top : top + h, left : left + w] = framed
            below = top + h + gap
            out[below : below + part.shape[0], left : left + part.shape[1]] = part
    return out


def _cut(pixels: NDArray[np.uint8], box: Box, scale: int) -> NDArray[np.uint8]:
    ends: Sequence[int] = (box.top, box.bottom + 1, box.left, box.right + 1)
    top, bottom, left, right = (e * scale for e in ends)
    return pixels[top:bottom, left:right]


def _frame(pixels: NDArray[np.uint8], box: Box, scale: int) -> NDArray[np.uint8]:
    """A copy with the rectangle drawn inside its edge."""
    out = pixels.copy()
    inner = out[
        box.top * scale : (box.bottom + 1) * scale, box.left * scale : (box.right + 1) * scale
    ]
    for edge in (inner[:1], inner[-1:], inner[:, :1], inner[:, -1:]):
        edge[...] = _MARK
    return out
