"""The commands of `sentei`, each in a file of its own."""

from typing import Annotated

import typer

from sentei.cli import (
    bench,
    check,
    compare,
    data,
    demo,
    doctor,
    evaluate,
    export,
    import_onnx,
    plan,
    profile,
    prune,
    reproduce,
    resume,
    search,
    sensitivity,
    train,
)
from sentei.cli.guard import guarded

__all__ = ["app"]

app = typer.Typer(
    name="sentei",
    help=(
        "Train, prune and ship smaller, faster convolutional networks.\n\n"
        "Start with: `sentei demo`\n\n"
        "Exit codes: 0 ok; 1 a target, a proof or training failed; 2 bad usage or input; 130 Ctrl-C."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("demo")(guarded(demo.demo))
app.command("train")(guarded(train.train))
app.command("search")(guarded(search.search))
app.command("prune")(guarded(prune.prune))
app.command("reproduce")(guarded(reproduce.reproduce))
app.command("compare")(guarded(compare.compare))
app.command("eval")(guarded(evaluate.evaluate))
app.command("sensitivity")(guarded(sensitivity.sensitivity))
app.command("export")(guarded(export.export))
app.command("plan")(guarded(plan.plan))
app.command("profile")(guarded(profile.profile))
app.command("bench")(guarded(bench.bench))
app.command("import")(guarded(import_onnx.import_onnx))
app.command("resume")(guarded(resume.resume))
app.command("doctor")(guarded(doctor.doctor))

_data = typer.Typer(
    help="Fetch public data sets.", no_args_is_help=True, rich_markup_mode="markdown"
)
_data.command("download")(guarded(data.download))
app.add_typer(_data, name="data")

_check = typer.Typer(
    help="Check a network: its gradients, variances, whether it can learn, what its units see and answer.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_check.command("gradients")(guarded(check.gradients))
_check.command("overfit")(guarded(check.overfit))
_check.command("units")(guarded(check.units))
_check.command("variance")(guarded(check.variance))
_check.command("responses")(guarded(check.responses))
app.add_typer(_check, name="check")


def _version(asked: bool) -> None:
    if asked:
        from sentei import __version__

        typer.echo(f"sentei {__version__}")
        raise typer.Exit()


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")
    ] = False,
) -> None:
    pass
