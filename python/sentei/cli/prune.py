"""sentei prune."""

from typing import Annotated

import typer

from sentei.cli import options as o


def prune(
    model: Annotated[
        str | None,
        typer.Argument(help="A .safetensors file of `sentei train`.", show_default=False),
    ] = None,
    flops: Annotated[
        str | None,
        typer.Option(
            help="Target: FLOPs that REMAIN, e.g. 30%, or a number. Several, 70%,50%,30%: one network each.",
            show_default=False,
        ),
    ] = None,
    macs: Annotated[
        str | None, typer.Option(help="Target in multiply-adds instead.", show_default=False)
    ] = None,
    params: Annotated[
        str | None, typer.Option(help="Target in parameters instead.", show_default=False)
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Target in bytes of inference instead (activations and parameters): 40%, 2MB.",
            show_default=False,
        ),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            help="Target in time of inference on this machine instead, measured: 60%, 0.8ms.",
            show_default=False,
        ),
    ] = None,
    at_batch: Annotated[
        int | None,
        typer.Option(help="Of --memory and --latency: images at a time.", show_default="1"),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="Accuracy points that may be lost on the validation images (cut from the training "
            "images). Alone: as small as that allows; with a target: stop where it would break.",
            show_default=False,
        ),
    ] = None,
    rollback: Annotated[
        float | None,
        typer.Option(
            help="Undo a round that costs more accuracy points than this; its channels then stay.",
            show_default=False,
        ),
    ] = None,
    round_to: Annotated[
        int | None,
        typer.Option(
            help="Widths end at multiples of this.",
            show_default="1; on cuda 8 in bfloat16, 4 in tf32",
        ),
    ] = None,
    distill: Annotated[
        str | None,
        typer.Option(
            metavar="ALPHA[,T]",
            help="Learn from the unpruned network too, e.g. 0.5,4: its weight, and the temperature.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="score: least score first. autoprune, sigmoid, block: gates that learn.",
            show_default="score",
        ),
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            help="Of score: l1_std, norm, first, first_second, fisher, oracle, robust or trace.",
            show_default="robust",
        ),
    ] = None,
    normalize: Annotated[
        float | None,
        typer.Option(help="p of the Lp norm over a layer; 0: raw scores.", show_default="1"),
    ] = None,
    per_round: Annotated[
        int | None, typer.Option(help="Channels removed before scoring again.", show_default="1")
    ] = None,
    retrain_steps: Annotated[
        int | None, typer.Option(help="Training steps after each round.", show_default="10")
    ] = None,
    finetune_epochs: Annotated[
        int | None, typer.Option(help="Epochs of training at the end.", show_default="1")
    ] = None,
    gate_epochs: Annotated[
        int | None, typer.Option(help="Of gates: epochs in which they learn.", show_default="5")
    ] = None,
    lam: Annotated[
        float | None,
        typer.Option(
            "--lambda",
            help="Of gates: price of an open one.",
            show_default="0.5; autoprune: 0.05",
        ),
    ] = None,
    gates_lr: Annotated[
        float | None,
        typer.Option(help="Of gates: their step size.", show_default="0.1; autoprune: 0.5"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Of gates: closed where h(m) is at most this.", show_default="0.001"),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            help="Of gates: layers that have them (patterns); repeatable.",
            show_default="all convolutions",
        ),
    ] = None,
    freeze_statistics: Annotated[
        bool, typer.Option("--freeze-statistics", help="Of gates: batch norm keeps its statistics.")
    ] = False,
    network: Annotated[
        str | None,
        typer.Option(help="Of gates: an untrained network in place of MODEL.", show_default=False),
    ] = None,
    floor: Annotated[
        int | None, typer.Option(help="Channels that every layer keeps.", show_default="1")
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="Layer or pattern left alone; repeatable.", show_default=False),
    ] = None,
    data: o.DataName = None,
    data_dir: o.DataDir = None,
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
    """Prune a trained network to a budget.

    By score: removes the channel of least score, retrains, and again, until the target is met.

    By gates: a variable on every filter learns, in turns with the weights, whether the filter is worth
    its price (--lambda). Closed filters go; with a target, training ends when they suffice, and at its
    end more go if need be. autoprune: 0 or 1; sigmoid: smooth; block: in an encoder and decoder that
    are folded into the layers around them. All else by --set prune.auxiliary.KEY=VALUE.

    Targets are what REMAINS. With --max-drop 1 pruning goes on while at most one accuracy point is lost
    and comes back to the last network that kept it. Several values of a target make several
    networks in one run (points/), in a table and a curve of the report.

    Every removal is compared with the masked network. Data and training settings are those that the
    file keeps, unless given. The file itself stays as it is.

    Example: `sentei prune runs/first/model.safetensors --flops 30%`

    As small as one point allows: `sentei prune runs/first/model.safetensors --max-drop 1 --rollback 0.5`

    Three sizes, taught: `sentei prune runs/first/model.safetensors --flops 70%,50%,30% --distill 0.5,4`

    By gates: `sentei prune runs/first/model.safetensors --method block --gate-epochs 8`
    """
    from sentei.cli.output import carry_out, command_line
    from sentei.errors import DataError
    from sentei.workflow.runs import plan, prune_config
    from sentei.workflow.targets import split_amounts

    by_score: dict[str, object] = {
        "criterion": criterion,
        "normalize": normalize,
        "per_round": per_round,
        "retrain_steps": retrain_steps,
        "memory": memory,
        "latency": latency,
        "at_batch": at_batch,
        "max_drop": max_drop,
        "rollback": rollback,
        "round_to": round_to,
    }
    by_gates: dict[str, object] = {
        "gate_epochs": gate_epochs,
        "lambda": lam,
        "gates_lr": gates_lr,
        "threshold": threshold,
        "layers": layers or None,
        "freeze_statistics": freeze_statistics,
    }
    sizes = {"flops": flops, "macs": macs, "params": params, "memory": memory, "latency": latency}
    targets = {f"prune.{k}": split_amounts(v) for k, v in sizes.items()}
    alpha, temperature = _distilled(distill)
    flags = {
        "model.file": model,
        **targets,
        "model.network": network,
        "prune.method": method,
        "prune.criterion": criterion,
        "prune.auxiliary.epochs": gate_epochs,
        "prune.auxiliary.lam": lam,
        "prune.auxiliary.gates_lr": gates_lr,
        "prune.auxiliary.threshold": threshold,
        "prune.auxiliary.layers": layers,
        "prune.auxiliary.freeze_statistics": True if freeze_statistics else None,
        "prune.target_batch": at_batch,
        "prune.max_drop": max_drop,
        "prune.rollback": rollback,
        "prune.round_to": round_to,
        "prune.distill_alpha": alpha,
        "prune.distill_temperature": temperature,
        "prune.normalize": normalize,
        "prune.per_round": per_round,
        "prune.retrain_steps": retrain_steps,
        "prune.finetune_epochs": finetune_epochs,
        "prune.floor": floor,
        "prune.ignore": ignore,
        "data.name": data,
        "data.data_dir": data_dir,
        "train.precision": precision,
        **o.run_flags(run_dir, seed, threads, device),
    }
    settings = prune_config(config, pairs or (), flags)
    of_gates = settings.prune.method != "score"
    unused = [
        f"--{k.replace('_', '-')}" for k, v in (by_score if of_gates else by_gates).items()
        if v is not None and v is not False
    ]  # fmt: skip
    if unused:
        raise DataError(
            f"prune: {', '.join(unused)} must be left out with method {settings.prune.method}, "
            f"being of {'method score' if of_gates else 'methods with gates'}"
        )
    made = plan(settings, "prune")
    return carry_out(made, words=command_line(), as_json=as_json, dry_run=dry_run, quiet=quiet)


def _distilled(text: str | None) -> tuple[float | None, float | None]:
    """Weight and temperature of "0.5,4" or "0.5"."""
    from sentei.errors import DataError

    if text is None:
        return None, None
    parts = text.split(",")
    try:
        numbers = [float(p) for p in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2:
        raise DataError(
            f"prune: --distill must be a weight or a weight and a temperature, e.g. 0.5,4, got {text!r}"
        )
    return numbers[0], numbers[1] if len(numbers) == 2 else None
