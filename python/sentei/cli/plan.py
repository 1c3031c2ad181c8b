"""sentei plan."""

from pathlib import Path
from typing import Annotated

import typer

from sentei.cli import options as o


def plan(
    params: Annotated[str, typer.Option(help="Parameters of the model: 42M, 1.5e6.")],
    bandwidth: Annotated[
        str, typer.Option(help="Of a worker's link: 10Gbit, 1Gbit, or bytes/s such as 1.2e9.")
    ],
    flops: Annotated[
        str | None,
        typer.Option(
            help="FLOPs of one sample's training step (about 3 x forward): 2G.", show_default=False
        ),
    ] = None,
    speed: Annotated[
        str | None, typer.Option(help="FLOP/s of a worker: 200G.", show_default=False)
    ] = None,
    batch: Annotated[int, typer.Option(help="Samples of a worker's mini-batch.", min=1)] = 100,
    seconds: Annotated[
        float | None,
        typer.Option(help="Of a mini-batch, instead of --flops and --speed.", show_default=False),
    ] = None,
    workers: Annotated[int, typer.Option(help="At most so many workers.", min=1, max=4096)] = 32,
    shards: Annotated[int, typer.Option(help="Parameter servers; 0: workers / 4.", min=0)] = 0,
    backups: Annotated[int, typer.Option(help="Workers not waited for (sync).", min=0)] = 1,
    every: Annotated[int, typer.Option(help="Mini-batches between exchanges (downpour).")] = 1,
    slow: Annotated[float, typer.Option(help="Share of mini-batches that are slow.")] = 0.01,
    factor: Annotated[float, typer.Option(help="How many times as long those take.")] = 5.0,
    width: Annotated[
        str, typer.Option(help="Activations per mini-batch that split layers exchange; 0: no split.")
    ] = "0",
    portions: Annotated[
        int, typer.Option(help="Mini-batches of a full gradient (sandblaster).")
    ] = 1000,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the speed-ups (.svg or .png).", show_default=False)
    ] = None,
    as_json: o.Json = False,
) -> int:
    """Predict what several machines would gain, before they are rented.

    A model with few numbers: time of a mini-batch, bytes of the parameters, links, slow mini-batches.
    It counts mini-batches per second; a stale or larger batch may need more of them.

    Example: `sentei plan --params 42M --flops 250M --speed 100G --batch 128 --bandwidth 10Gbit`
    """
    from sentei.cli.output import print_json, show_table
    from sentei.workflow.plan import read_workload, speedups

    workload = read_workload(
        params=params, bandwidth=bandwidth, flops=flops, speed=speed, batch=batch, seconds=seconds,
        shards=shards, backups=backups, every=every, slow=slow, factor=factor, width=width,
        portions=portions,
    )  # fmt: skip
    found = speedups(workload, workers, plot)
    if as_json:
        print_json(found.to_json())
        return 0
    print(
        f"a mini-batch {workload.seconds:.4g} s, parameters {4 * workload.parameters / 1e6:.4g} MB, "
        f"{workload.transfer:.4g} s over a link"
    )
    rows = [
        [
            r.strategy, str(r.workers), f"{r.seconds:.4g}", f"{r.speedup:.2f}",
            f"{r.efficiency:.0%}", f"{r.staleness:.1f}", f"{r.waiting:.0%}",
        ]
        for r in found.rows
    ]  # fmt: skip
    show_table(
        ("strategy", "workers", "step s", "speed-up", "per machine", "staleness", "waiting"), rows
    )
    print(found.verdict)
    if plot is not None:
        print(f"drawn: {plot}")
    return 0
