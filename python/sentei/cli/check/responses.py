"""sentei check responses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentei.cli import options as o
from sentei.cli.check.common import ModelName, load, page_name, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from sentei.data import Loader


def _batches(loader: Loader) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
    """All mini-batches in order; a function of its own, so that each has its own loader."""
    return (loader.batch(0, i)[:2] for i in range(len(loader)))


def responses(
    model: ModelName,
    layer: Annotated[
        str | None, typer.Option(help="Layer whose vectors are projected too, e.g. relu3.")
    ] = None,
    samples: Annotated[int, typer.Option(min=2, help="Images of either part, at most.")] = 1000,
    out: Annotated[
        Path | None, typer.Option(help="Page to write.", show_default="responses-MODEL.html")
    ] = None,
    data: o.DataName = None,
    data_dir: o.DataDir = None,
    config: o.ConfigFile = None,
    pairs: o.Pairs = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    device: o.Device = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """How strongly do units answer, and how well do the outputs tell the classes apart?

    Writes a page: mean response per layer, the criterion 1 - W/T per output, histograms of the logits,
    projections of logits (and of a layer) on two axes.

    Example: `sentei check responses runs/first/model.safetensors --layer relu3`
    """
    from sentei.cli.output import print_json, show_table
    from sentei.cli.ticker import Ticker
    from sentei.errors import DataError
    from sentei.workflow.check import check_responses, write_responses

    page = page_name(out, f"responses-{Path(model).stem}.html")
    settings = settings_of(model, data, data_dir, config, pairs, seed, threads, device)
    network, images = load(settings)
    if images.train.is_regression:
        raise DataError(f"check: {images.train.name} must have classes, got targets")
    parts = [
        images.chosen(part, samples, settings.run.seed) for part in (images.train, images.test)
    ]
    loaders = [images.plain(part) for part in parts]
    train, test = map(_batches, loaders)
    with Ticker("images", quiet or as_json) as ticker:
        found = check_responses(
            network, train, test, images.train.classes, layer=layer, total=sum(map(len, parts)),
            progress=ticker,
        )  # fmt: skip
    written = write_responses(found, page, f"responses of {model}")
    if as_json:
        print_json({**found.to_json(), "files": [str(written)]})
        return 0
    if not quiet:
        rows = [(r["layer"], f"{r['mean']:.3g}", f"{r['zeros']:.1%}") for r in found.layers]
        show_table(("layer", "mean |response|", "zeros"), rows)
        ways = zip(found.classes, found.criterion["train"], found.criterion["test"], strict=False)
        print()
        show_table(
            ("output", "1 - W/T train", "test"), [(c, f"{a:.3f}", f"{b:.3f}") for c, a, b in ways]
        )
        print()
    print(f"page      {written}")
    return 0
