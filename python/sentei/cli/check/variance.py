"""sentei check variance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sentei.cli import options as o
from sentei.cli.check.common import ModelName, Samples, load, page_name, settings_of


def variance(
    model: ModelName,
    samples: Samples = 64,
    init: Annotated[
        str | None,
        typer.Option(
            help="Initial weights to look at, e.g. henmi_kato; for the name of a network.",
            show_default="the settings' own",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Page to write; a .svg comes beside it.", show_default="variance-MODEL.html"
        ),
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
    """Do signals and gradients keep their variance from layer to layer?

    Writes a page and a picture. Exit code 1 when a variance is more than 10,000 times off.

    Example: `sentei check variance lenet5_prune --init henmi_kato`
    """
    from dataclasses import asdict

    from sentei.cli.output import print_json, show_table
    from sentei.cli.ticker import Ticker
    from sentei.errors import DataError
    from sentei.init import probe
    from sentei.workflow.check import variance_verdict, write_variance

    page = page_name(out, f"variance-{Path(model).stem}.html")
    settings = settings_of(model, data, data_dir, config, pairs, seed, threads, device)
    if init is not None:
        if settings.model.file is not None:
            raise DataError(f"check: init must go with the name of a network, got {init!r}")
        settings.model.init = init
    network, images = load(settings)
    x, labels = images.sample(samples, settings.run.seed)
    if labels.ndim != 1:
        raise DataError(f"check: {images.train.name} must have classes, got targets")
    with Ticker("variance", quiet or as_json):
        rows = probe(network, x, labels)
    written = write_variance(rows, page, f"variance of {model}")
    said = variance_verdict(rows)
    if as_json:
        found = [asdict(r) for r in rows]
        print_json({"rows": found, "verdict": said, "files": [str(p) for p in written]})
    else:
        cells = [
            (r.name, r.op, f"{r.signal:.3g}", "" if r.gradient is None else f"{r.gradient:.3g}")
            for r in rows
        ]
        if not quiet:
            show_table(("layer", "op", "signal", "gradient"), cells)
            print()
        print(f"{said} ({len(x)} images)\npage      {written[0]}\npicture   {written[1]}")
    return 0 if said.startswith("all") else 1
