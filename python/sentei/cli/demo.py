"""sentei demo."""

from typing import Annotated

import typer

from sentei.cli import options as o


def demo(
    quick: Annotated[
        bool, typer.Option("--quick", help="The same path with hardly any work.")
    ] = False,
    config: o.ConfigFile = None,
    pairs: o.Pairs = None,
    run_dir: o.RunFolder = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    device: o.Device = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
) -> int:
    """Train, prune, verify, time and report a small network: about a minute.

    Trains lenet5_prune on 10,000 embedded digits, removes channels one by one until 30 % of its FLOPs
    remain, and measures accuracy and latency before and after. The same seed gives the same networks.

    Example: `sentei demo --run-dir runs/first`
    """
    from sentei.cli.output import carry_out, command_line
    from sentei.workflow.demonstration import demo_plan

    plan = demo_plan(
        quick=quick,
        file=None if config is None else str(config),
        pairs=tuple(pairs or ()),
        flags=o.run_flags(run_dir, seed, threads, device),
    )
    return carry_out(plan, words=command_line(), as_json=as_json, dry_run=dry_run, quiet=quiet)
