"""sentei bench."""

from typing import Annotated

import typer

from sentei.cli import options as o


def bench(
    first: Annotated[
        str,
        typer.Argument(help="A .safetensors file, or the name of a network.", show_default=False),
    ],
    second: Annotated[
        str | None, typer.Argument(help="Another one, timed in turns.", show_default=False)
    ] = None,
    batch: o.Batches = None,
    seconds: Annotated[float, typer.Option(help="Seconds per batch size.", min=0.01)] = 2.0,
    threads: o.Threads = None,
    device: o.Device = None,
    as_json: o.Json = False,
) -> int:
    """Measure latency of one network, or compare two.

    Both run in their inference form and take turns, so that a busy machine disturbs both alike. The
    verdict gives the ratio of the medians and, in brackets, its 95 % interval (bootstrap over rounds);
    within 5 % they are called as fast.

    Example: `sentei bench runs/first/model.safetensors runs/first/pruned.safetensors`
    """
    from sentei.cli.guard import say
    from sentei.cli.output import print_json, show_table
    from sentei.device import set_threads
    from sentei.workflow.checks import bench as run
    from sentei.workflow.checks import model_or_network

    if threads is not None:
        set_threads(threads)
    names = [first] if second is None else [first, second]
    sizes = batch or [1, 100]
    found = run(
        [model_or_network(n) for n in names], sizes, seconds, names=names, device=device or "auto"
    )
    if as_json:
        print_json(found.to_json())
        return 0
    rows = []
    for size in sizes:
        for name, times in zip(found.names, found.latency_ms, strict=True):
            t = times[str(size)]
            rate = size / max(t["median"], 1e-9) * 1000
            cells = [f"{x:.3f}" for x in (t["median"], t["p10"], t["p90"])]
            rows.append([name, str(size), *cells, f"{rate:,.0f}"])
    show_table(("network", "batch", "median ms", "p10", "p90", "images/s"), rows)
    for sentence in found.sentences:
        print(sentence)
    if len(found.macs) == 2 and found.macs[0]:
        left = found.macs[1] / found.macs[0]
        print(f"it has {left:.1%} of the multiply-adds ({1 - left:.1%} removed)")
    if found.slower:
        say(
            "sentei: WARNING: the second network is slower; fewer operations do not make it faster here"
        )
    return 0
