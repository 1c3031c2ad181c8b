"""What the checks share: their options, and the network with images that fit it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentei.cli import options as o

if TYPE_CHECKING:
    from sentei.model import Model
    from sentei.workflow.config import Config
    from sentei.workflow.datasets import Images

__all__ = ["ModelName", "Samples", "load", "page_name", "settings_of"]

ModelName = Annotated[
    str, typer.Argument(help="A .safetensors file, or the name of a network.", show_default=False)
]
Samples = Annotated[int, typer.Option(min=1, help="How many images.")]


def settings_of(
    model: str,
    data: str | None,
    data_dir: str | None,
    config: Path | None,
    pairs: list[str] | None,
    seed: int | None,
    threads: int | None,
    device: str | None,
) -> Config:
    """Settings of a check: those of the file where nothing else is given."""
    import os

    from sentei.workflow.runs import prune_config

    is_file = os.path.exists(model) or os.sep in model or model.endswith(".safetensors")
    flags = {
        "model.file" if is_file else "model.network": model,
        "data.name": data,
        "data.data_dir": data_dir,
        **o.run_flags(None, seed, threads, device),
    }
    return prune_config(config, pairs or (), flags)


def load(settings: Config) -> tuple[Model, Images]:
    """The network and images that fit it."""
    from sentei import device
    from sentei.workflow.datasets import images_for
    from sentei.workflow.factory import check_fits, make_model, read_model

    where = device.require(settings.run.device)
    if settings.run.threads is not None:
        device.set_threads(settings.run.threads)
    if settings.model.file is None:
        images = images_for({}, settings.data, settings.run.seed, scaled=False)
        model = make_model(settings.model, images, settings.run.seed)
    else:
        model = read_model(settings.model.file)
        images = images_for(model.meta, settings.data, settings.run.seed)
    return check_fits(model, images).to(where), images


def page_name(out: Path | None, default: str) -> Path:
    """Path of the page to write, which must be one."""
    from sentei.errors import DataError

    page = out or Path(default)
    if page.suffix != ".html":
        raise DataError(f"check: out must end in .html, got {str(page)!r}")
    return page
