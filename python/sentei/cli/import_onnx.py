"""sentei import."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentei.cli import options as o

if TYPE_CHECKING:
    from sentei.workflow.importing import Imported


def import_onnx(
    file: Annotated[Path, typer.Argument(help="An .onnx file.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="File for the model.", show_default="FILE.safetensors")
    ] = None,
    scaling: Annotated[
        str | None,
        typer.Option(
            help="What the network expects of images: imagenet, unit, signed, or MEAN,.../STD,...",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Height and width where the file leaves them open, e.g. 224 or 224x320.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(help="Value to take as the output.", show_default="the file's own"),
    ] = None,
    check: Annotated[
        bool, typer.Option(help="Compare with ONNX Runtime where it is installed.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
) -> int:
    """Read a network from an ONNX file, to train and prune it here.

    Says which operators were found, what the network costs, what can be pruned and why the rest cannot;
    then runs the file in ONNX Runtime and prints the largest difference. A network that differs by more
    than 1e-4 of the largest output is not written (exit code 1).

    Example: `sentei import resnet18.onnx --scaling imagenet`
    """
    from sentei.cli.guard import say
    from sentei.cli.output import print_json
    from sentei.workflow.importing import import_file

    if not quiet and not as_json:
        say(f"reading {file}")
    found = import_file(
        file,
        out,
        size=_pair(size),
        output=output,
        scaling=scaling,
        check=check,
        write=not dry_run,
        force=force,
    )
    if as_json:
        print_json(found.to_json())
    elif quiet:
        print(found.out or "")
    else:
        show(found)
    if not found.ok:
        say(f"sentei: import: the network must say what ONNX Runtime says, {found.difference}")
        return 1
    return 0


def show(found: "Imported") -> None:
    """What was found, for people."""
    from sentei.cli.guard import quoted

    about, model = found.about, found.model
    cost = model.costs()
    counts = ", ".join(f"{n} {op}" for op, n in sorted(about["operators"].items()))
    shape = " x ".join(map(str, model.input_shape))
    print(f"file       opset {about['opset']}, {about['producer'] or 'producer unknown'}")
    print(f"operators  {counts}")
    print(f"network    input {shape}, {cost.params:,} parameters, {cost.macs:,} MACs a sample")
    for note in about["notes"]:
        print(f"note       {note}")
    print()
    print(found.look)
    print()
    print(f"proof      {found.difference or found.unproved}")
    if found.out is None:
        print("nothing was written")
        return
    print(f"model      {found.out}")
    known = model.meta.get("data") is not None
    print(f"next       sentei prune {quoted(str(found.out))} --flops 50% --data FOLDER")
    if not known:
        print("           (it needs to know the scaling of images: see --scaling)")


def _pair(text: str | None) -> int | tuple[int, int] | None:
    """224 or 224x320."""
    from sentei.errors import DataError

    if text is None:
        return None
    parts = text.lower().split("x")
    if not 1 <= len(parts) <= 2 or not all(p.isdecimal() for p in parts):
        raise DataError(f"import: size must be like 224 or 224x320, got {text!r}")
    return (int(parts[0]), int(parts[-1]))
