"""sentei check units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sentei.cli import options as o
from sentei.cli.check.common import ModelName, load, page_name, settings_of


def units(
    model: ModelName,
    layer: Annotated[
        str,
        typer.Option(
            help="Layer, e.g. conv2 or relu2; `sentei profile` lists them.", show_default=False
        ),
    ],
    unit: Annotated[
        list[int] | None,
        typer.Option(help="Number of a unit or filter; repeatable.", show_default="the first 16"),
    ] = None,
    images: Annotated[int, typer.Option(help="Images per unit.")] = 8,
    part: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Page to write; a .png comes beside it.", show_default="units-LAYER.html"
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
    """Show the images that excite each unit of a layer most, and what of them it sees.

    Example: `sentei check units runs/first/model.safetensors --layer conv2`
    """
    from sentei.cli.output import print_json
    from sentei.cli.ticker import Ticker
    from sentei.errors import DataError
    from sentei.workflow.check import check_units, write_units

    if part not in ("train", "val", "test"):
        raise DataError(f"check: part must be train, val or test, got {part!r}")
    page = page_name(out, f"units-{layer}.html")
    settings = settings_of(model, data, data_dir, config, pairs, seed, threads, device)
    network, loaded = load(settings)
    chosen = getattr(loaded, part)
    loader = loaded.plain(chosen)
    batches = (loader.batch(0, i)[0] for i in range(len(loader)))
    with Ticker("images", quiet or as_json) as ticker:
        found = check_units(
            network, layer, batches, len(chosen), units=unit, keep=images, progress=ticker
        )
    written = write_units(found, chosen, page, f"{layer} of {model}")
    if as_json:
        rows: dict[str, Any] = {
            str(u): [{"image": f.image, "value": f.value, "box": list(f.box)} for f in best]
            for u, best in found.found.items()
        }
        print_json(
            {
                "layer": layer,
                "width": found.width,
                "part": part,
                "units": rows,
                "files": [str(p) for p in written],
            }
        )
        return 0
    print(f"page      {written[0]}")
    print(f"picture   {written[1]}")
    return 0
