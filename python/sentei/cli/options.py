"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file with settings.", show_default=False)
]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One setting, dotted, e.g. train.lr=0.1. Repeatable; goes before the file.",
        show_default=False,
    ),
]
RunFolder = Annotated[
    Path | None,
    typer.Option("--run-dir", help="New folder for the results.", show_default="runs/..."),
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.", show_default="0")]
Threads = Annotated[
    int | None, typer.Option(help="Threads of the kernels.", show_default="all that are allowed")
]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.", show_default="auto")]
Precision = Annotated[
    str | None,
    typer.Option(
        help="Of products in training: float32, precise, bfloat16; on cpu also fast, on cuda tf32.",
        show_default="float32",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything, say what would be done, write nothing.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
DataName = Annotated[
    str | None,
    typer.Option("--data", help="Data set: a name, an .npz file or a folder of images."),
]
DataDir = Annotated[
    str | None, typer.Option(help="Folder with the files of a named data set.", show_default=False)
]
Batches = Annotated[
    list[int] | None,
    typer.Option("--batch", help="Batch size; repeatable.", show_default="1 and 100"),
]


def run_flags(
    run_dir: Path | None, seed: int | None, threads: int | None, device: str | None
) -> dict[str, Any]:
    """The common options as settings."""
    return {
        "run.run_dir": None if run_dir is None else str(run_dir),
        "run.seed": seed,
        "run.threads": threads,
        "run.device": device,
    }


def check_alone(ctx: typer.Context, command: str, allowed: tuple[str, ...]) -> None:
    """Refuse what --resume does not heed: the folder keeps its settings.

    Raises:
        DataError: an option or argument was given that is not among those allowed (and --resume).
    """
    from sentei.errors import DataError

    names = {p.name: p.opts[0] if p.param_type_name == "option" else str(p.name).upper()
             for p in ctx.command.params if p.name is not None}  # fmt: skip
    found = []
    for name, shown in names.items():
        source = ctx.get_parameter_source(name)
        given = source is not None and source.name == "COMMANDLINE"
        if given and shown not in ("--resume", *allowed):
            found.append(shown)
    if found:
        raise DataError(
            f"{command}: with --resume only {', '.join(allowed)} may be given, got {', '.join(found)}"
        )
