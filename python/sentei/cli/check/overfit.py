"""sentei check overfit."""

from __future__ import annotations

from typing import Annotated

import typer

from sentei.cli import options as o
from sentei.cli.check.common import ModelName, Samples, load, settings_of


def overfit(
    model: ModelName,
    samples: Samples = 10,
    steps: Annotated[int, typer.Option(help="Steps of Adam, at most.")] = 500,
    lr: Annotated[float, typer.Option(help="Step size of Adam.")] = 1e-3,
    target: Annotated[float, typer.Option(help="Loss that counts as none.")] = 0.01,
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
    """Can the network learn a handful of images by heart? If not, why?

    Dropout and penalties are left out. Exit code 1 when it cannot.

    Example: `sentei check overfit lenet5_prune`
    """
    from sentei.cli.output import print_json
    from sentei.cli.ticker import Ticker
    from sentei.workflow.check import check_overfit, handful
    from sentei.workflow.factory import make_loss

    settings = settings_of(model, data, data_dir, config, pairs, seed, threads, device)
    network, images = load(settings)
    chosen = images.train.subset(handful(images.train.labels, samples, settings.run.seed))
    with Ticker("overfit", quiet or as_json) as ticker:
        found = check_overfit(
            network,
            images.standardize.apply(chosen.images),
            chosen.labels,
            make_loss(settings.train),
            steps=steps,
            lr=lr,
            target=target,
            seed=settings.run.seed,
            progress=ticker,
        )
    if as_json:
        print_json(found.to_json())
    elif found.reached:
        print(
            f"learnt: {len(chosen)} images, loss {found.losses[0]:.4g} to {found.losses[-1]:.4g} "
            f"in {found.steps} steps"
        )
    else:
        last = f"{found.losses[-1]:.4g}" if found.losses else "not finite"
        print(f"not learnt: {len(chosen)} images, loss {last} after {found.steps} steps")
        for line in found.findings:
            print(f"- {line}")
    return 0 if found.reached else 1
