"""sentei eval."""

from typing import Annotated

import typer

from sentei.cli import options as o


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A .safetensors file of sentei.", show_default=False)
    ],
    data: o.DataName = None,
    data_dir: o.DataDir = None,
    config: o.ConfigFile = None,
    pairs: o.Pairs = None,
    run_dir: Annotated[
        str | None, typer.Option(help="Write the report into this new folder.", show_default=False)
    ] = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    device: o.Device = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
) -> int:
    """Measure loss and accuracy of a network on test images.

    The data are those that the file names, unless given.

    Example: `sentei eval runs/first/pruned.safetensors`
    """
    from sentei.cli.output import print_json, show_report
    from sentei.workflow.checks import evaluate as run
    from sentei.workflow.runs import prune_config

    flags = {
        "model.file": model,
        "data.name": data,
        "data.data_dir": data_dir,
        "run.seed": seed,
        "run.threads": threads,
        "run.device": device,
        "run.run_dir": run_dir,
    }
    settings = prune_config(config, pairs or (), flags)
    if dry_run:
        from sentei.workflow.checks import check_evaluation

        found = check_evaluation(settings)
        print_json(found) if as_json else print(
            f"would evaluate {model} on {found['images']} images"
        )
        return 0
    report = run(settings)
    if as_json:
        print_json(report)
    elif quiet:
        accuracy = report["accuracy"]["before"]
        print(report["loss"]["before"] if accuracy is None else accuracy)
    else:
        show_report(report)
    return 0
