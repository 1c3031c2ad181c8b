"""sentei train."""

from typing import Annotated

import typer

from sentei.cli import options as o


def train(
    network: Annotated[
        str | None, typer.Option(help="Network by name.", show_default="lenet5_prune")
    ] = None,
    data: o.DataName = None,
    data_dir: o.DataDir = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.", show_default="5")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step.", show_default="100")] = None,
    lr: Annotated[float | None, typer.Option(help="Step size.", show_default="0.02")] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, adagrad, rmsprop, adam or lbfgs.", show_default="sgd")
    ] = None,
    momentum: Annotated[
        float | None, typer.Option(help="Momentum of sgd.", show_default="0.9")
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="Weight decay.", show_default="0")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="constant, step, inverse or cosine.", show_default="constant"),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many epochs without a better validation accuracy.",
            show_default="never",
        ),
    ] = None,
    semi_sync: Annotated[
        bool, typer.Option("--semi-sync", help="Semi-synchronous update of linear layers.")
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(
            help='Train on a cluster: "local" (processes of this machine) or HOST:PORT of Ray.',
            show_default=False,
        ),
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(help="Workers on the cluster.", show_default="2")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="sync, downpour or sandblaster.", show_default="sync")
    ] = None,
    config: o.ConfigFile = None,
    pairs: o.Pairs = None,
    run_dir: o.RunFolder = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    device: o.Device = None,
    precision: o.Precision = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
) -> int:
    """Train a network.

    Without --data the 12,000 digits in the package are used; other data sets come by
    `sentei data download`. Ctrl-C keeps a checkpoint for `sentei resume`.

    `--cluster local --replicas 2` trains on several processes that may die; more settings:
    `--set distributed.KEY=VALUE`.

    Example: `sentei train --network vgg13_like --data cifar10 --data-dir data --epochs 10 --lr 0.05`
    """
    from sentei.cli.output import carry_out, command_line
    from sentei.workflow.runs import plan
    from sentei.workflow.settings import load_config

    flags = {
        "model.network": network,
        "data.name": data,
        "data.data_dir": data_dir,
        "train.epochs": epochs,
        "train.batch": batch,
        "train.lr": lr,
        "train.optimizer": optimizer,
        "train.momentum": momentum,
        "train.weight_decay": weight_decay,
        "train.schedule.kind": schedule,
        "train.patience": patience,
        "train.semi_sync": True if semi_sync else None,
        "train.precision": precision,
        "distributed.cluster": cluster,
        "distributed.replicas": replicas,
        "distributed.strategy": strategy,
        **o.run_flags(run_dir, seed, threads, device),
    }
    made = plan(load_config(config, pairs or (), flags), "train")
    return carry_out(made, words=command_line(), as_json=as_json, dry_run=dry_run, quiet=quiet)
