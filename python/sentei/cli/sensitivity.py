"""sentei sensitivity."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sentei.cli import options as o


def sensitivity(
    model: Annotated[
        str, typer.Argument(help="A .safetensors file of `sentei train`.", show_default=False)
    ],
    shares: Annotated[
        str, typer.Option(help="Shares of a layer's channels that are removed.")
    ] = "10%,30%,50%,70%,90%",
    criterion: Annotated[
        str | None, typer.Option(help="Which channels go first.", show_default="robust")
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
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
) -> int:
    """Show how much of each layer can go: accuracy against the share removed, layer by layer.

    One layer at a time loses its least channels (tied layers together), nothing is retrained, and the
    rest is judged on the validation images, which are cut from the training images. A layer that
    falls at once is one to `--ignore` in `sentei prune`; one that bears 70 % is where to look for
    speed.

    Ctrl-C stops; `sentei resume FOLDER` goes on.

    Example: `sentei sensitivity runs/first/model.safetensors --criterion l1_std`
    """
    from sentei.cli.output import command_line, print_json
    from sentei.cli.ticker import Ticker
    from sentei.workflow.runs import prune_config
    from sentei.workflow.sensitivity import plan_sensitivity, run_sensitivity

    flags = {
        "model.file": model,
        "prune.criterion": criterion,
        "prune.ignore": ignore,
        "data.name": data,
        "data.data_dir": data_dir,
        **o.run_flags(run_dir, seed, threads, device),
    }
    made = plan_sensitivity(prune_config(config, pairs or (), flags), _shares(shares))
    if dry_run:
        plan = made.to_json()
        if as_json:
            print_json({**plan, "run_dir": str(made.run_dir)})
            return 0
        print(f"sentei sensitivity would write {made.run_dir}")
        print(f"{made.count} networks on {len(made.images.val):,} held-out training images")
        print(f"layers: {', '.join(' + '.join(g) for g in made.layers)}")
        print("nothing was written")
        return 0
    with Ticker("sensitivity", quiet or as_json) as ticker:
        report = run_sensitivity(made, ticker, command_line())
    return _end(report, made.run_dir, as_json)


def go_on(run_dir: Path, *, as_json: bool, quiet: bool) -> int:
    """Go on with an analysis that was stopped."""
    from sentei.cli.ticker import Ticker
    from sentei.workflow.sensitivity import resume_sensitivity

    with Ticker("sensitivity", quiet or as_json) as ticker:
        report = resume_sensitivity(run_dir, ticker)
    return _end(report, run_dir, as_json)


def _shares(text: str) -> list[float]:
    """Shares of "10%,50%"."""
    from sentei.errors import DataError

    found = []
    for word in filter(None, (w.strip() for w in text.split(","))):
        try:
            number = float(word.removesuffix("%"))
        except ValueError:
            number = float("nan")
        if not word.endswith("%") or not 0 < number < 100:
            raise DataError(
                f"sensitivity: --shares must be percentages between 0% and 100%, got {word!r}"
            )
        found.append(number / 100)
    return found


def _end(report: dict[str, Any], folder: Path, as_json: bool) -> int:
    from sentei.cli.output import print_json, show_table
    from sentei.report.sensitivity import sensitivity_rows, sensitivity_words

    if as_json:
        print_json({**report, "run_dir": str(folder)})
        return 0
    whole, count = report["whole"], report["images"]
    head, rows = sensitivity_rows(report)
    show_table(head, [[c.replace("\u00a0", " ") for c in row] for row in rows])
    accuracy = whole["accuracy"]
    if accuracy is None:
        print(f"loss by the share removed; {whole['loss']:.4f} with all channels, {count:,} images")
    else:
        error = 100 * (max(accuracy * (1 - accuracy), 0) / count) ** 0.5
        print(
            f"accuracy by the share removed; {accuracy:.1%} with all channels "
            f"(standard error {error:.1f} points, {count:,} held-out training images)"
        )
        print("bears: the largest share within one accuracy point")
    print(sensitivity_words(report))
    print()
    print(f"report    {folder / 'report.html'}")
    return 0
