"""sentei check gradients."""

from __future__ import annotations

from typing import Annotated

import typer

from sentei.cli import options as o
from sentei.cli.check.common import ModelName, Samples, load, settings_of


def gradients(
    model: ModelName,
    samples: Samples = 4,
    directions: Annotated[int, typer.Option(help="Directions per parameter.")] = 2,
    tolerance: Annotated[float, typer.Option(help="Relative difference that is accepted.")] = 0.02,
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
    """Compare the gradient of every parameter with numeric ones.

    Penalties and the loss are those of the settings (--set train.loss=sigmoid). Exit code 1 when a
    gradient is wrong.

    Example: `sentei check gradients lenet5_prune`
    """
    from sentei.cli.output import print_json, show_table
    from sentei.cli.ticker import Ticker
    from sentei.workflow.check import check_gradients
    from sentei.workflow.factory import make_loss, make_regularizers

    settings = settings_of(model, data, data_dir, config, pairs, seed, threads, device)
    network, images = load(settings)
    x, labels = images.sample(samples, settings.run.seed)
    with Ticker("gradients", quiet or as_json) as ticker:
        found = check_gradients(
            network,
            x,
            labels,
            make_loss(settings.train),
            make_regularizers(settings.train.regularizers),
            directions=directions,
            tolerance=tolerance,
            seed=settings.run.seed,
            progress=ticker,
        )
    if as_json:
        print_json(found.to_json())
        return 0 if found.ok else 1
    head = ("parameter", "elements", "|gradient|", "difference", "verdict")
    rows = [
        (
            r.parameter,
            f"{r.size:,}",
            f"{r.norm:.3g}",
            "" if r.error is None else f"{r.error:.2%}",
            r.verdict,
        )
        for r in found.rows
    ]
    if not quiet:
        show_table(head, rows)
        print()
    wrong = sum(r.verdict == "wrong" for r in found.rows)
    said = (
        f"{wrong} of {len(rows)} gradients are wrong" if wrong else f"{len(rows)} gradients agree"
    )
    print(f"{said} (loss {found.loss:.4g} on {found.samples} images, {tolerance:.2%} accepted)")
    return 0 if found.ok else 1
