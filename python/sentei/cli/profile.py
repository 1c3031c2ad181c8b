"""sentei profile."""

from typing import Annotated

import typer

from sentei.cli import options as o


def profile(
    model: Annotated[
        str,
        typer.Argument(help="A .safetensors file, or the name of a network.", show_default=False),
    ],
    flops: Annotated[
        str | None, typer.Option(help="Can this target be reached? e.g. 30%.", show_default=False)
    ] = None,
    classes: Annotated[int, typer.Option(help="Outputs of a network by name.")] = 10,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="Layer or pattern left alone; repeatable.", show_default=False),
    ] = None,
    floor: Annotated[int, typer.Option(help="Channels that every layer keeps.")] = 1,
    batch: o.Batches = None,
    as_json: o.Json = False,
) -> int:
    """Show what a network costs, layer by layer, and what of it can be pruned.

    Example: `sentei profile vgg13_like --flops 30%`
    """
    from sentei.cli.output import print_json
    from sentei.prune.target import Target
    from sentei.workflow.checks import model_or_network
    from sentei.workflow.checks import profile as run

    target = None if flops is None else Target(flops=flops)
    network = model_or_network(model, classes)
    found = run(network, batch or (1, 100), target, ignore=ignore or (), floor=floor)
    if as_json:
        print_json(found.to_json())
        return 0
    print(network)
    print()
    print(found.preview)
    print()
    print(f"memory: {found.parameter_bytes:,} bytes of parameters and statistics")
    for size, nbytes in found.memory.items():
        print(f"        {nbytes:,} bytes of activations for inference at batch {size}")
    return 0
