"""sentei export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentei.cli import options as o

if TYPE_CHECKING:
    from sentei.io import ExportReport
    from sentei.workflow.exporting import RuntimeLatency


def export(
    model: Annotated[
        str,
        typer.Argument(help="A .safetensors file, or the name of a network.", show_default=False),
    ],
    to: Annotated[str, typer.Option(help="Format: onnx.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="MODEL with .onnx")
    ] = None,
    opset: Annotated[int, typer.Option(help="Set of operators of ONNX, 13 to 22.")] = 17,
    batch: Annotated[
        int | None, typer.Option(help="Fix the batch size.", show_default="any", min=1)
    ] = None,
    layout: Annotated[
        str, typer.Option(help="Of the images: nchw, or nhwc as sentei has them.")
    ] = "nchw",
    pixels: Annotated[
        str,
        typer.Option(
            help="What images hold: standardized, as in training; or unit (0 to 1) or byte (0 to 255), "
            "which the file then standardises itself."
        ),
    ] = "standardized",
    softmax: Annotated[bool, typer.Option("--softmax", help="End in probabilities.")] = False,
    fold: Annotated[
        bool, typer.Option(help="Batch norm goes into the layer before it, or stays.")
    ] = True,
    check: Annotated[
        bool, typer.Option(help="Run the file in ONNX Runtime and compare before it is written.")
    ] = True,
    bench: Annotated[
        bool, typer.Option("--bench", help="Time the file in ONNX Runtime beside sentei (CPU).")
    ] = False,
    seconds: Annotated[
        float, typer.Option(help="With --bench: seconds per batch size.", min=0.01)
    ] = 2.0,
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Write a network for other software, as ONNX.

    Batch norm and gates are folded and dropout is gone. The file is checked, run in ONNX Runtime on
    random images and compared with what sentei says; a difference above 1e-4 of the largest output is
    an error (exit code 1), and nothing is written. Needs `pip install "sentei[onnx]"`.

    Example: `sentei export runs/first/pruned.safetensors --out pruned.onnx --bench`
    """
    from sentei.cli.guard import say
    from sentei.cli.output import print_json
    from sentei.device import set_threads
    from sentei.workflow import exporting
    from sentei.workflow.checks import model_or_network

    if threads is not None:
        set_threads(threads)
    network = model_or_network(model)
    path = exporting.default_path(model) if out is None else out
    if not quiet and not as_json:
        say(f"writing {path}" + (" and comparing it in ONNX Runtime" if check else ""))
    report = exporting.export(
        network,
        to,
        path,
        opset=opset,
        batch=batch,
        layout=layout,
        pixels=pixels,
        softmax=softmax,
        fold=fold,
        check=check,
    )
    times = None
    if bench:
        sizes = [1, 100] if batch is None else [batch]
        if not quiet and not as_json:
            say(f"timing batches of {' and '.join(map(str, sizes))}, {seconds:g} s each")
        times = exporting.beside_runtime(network, path, sizes, seconds)
    if as_json:
        print_json({**report.to_json(), "latency": None if times is None else times.to_json()})
        return 0
    _show(report)
    if times is not None:
        _show_times(times)
    return 0


def _show(report: "ExportReport") -> None:
    shapes = [f"{n} ({', '.join(map(str, s))})" for n, s in (report.input, report.output)]
    print(f"file        {report.path}  {report.bytes:,} bytes, opset {report.opset}")
    print(f"takes       {shapes[0]}")
    print(f"gives       {shapes[1]}")
    print("operators   " + ", ".join(f"{n} {kind}" for kind, n in report.operators.items()))
    found = report.agreement
    if found is None:
        print("difference  not measured (--no-check)")
    else:
        print(
            f"difference  {found.largest_absolute:.2e} at most, {found.largest_relative:.2e} of the "
            f"largest output ({found.images} images, batches of {', '.join(map(str, found.batches))})"
        )


def _show_times(times: "RuntimeLatency") -> None:
    from sentei.cli.output import show_table

    rows = []
    for batch in times.sentei:
        for name, found in (
            ("sentei", times.sentei),
            (f"ONNX Runtime {times.version}", times.runtime),
        ):
            cells = [f"{found[batch][k]:.3f}" for k in ("median", "p10", "p90")]
            rows.append([name, batch, *cells])
    print()
    show_table(("network in", "batch", "median ms", "p10", "p90"), rows)
    for batch, r in times.ratios.items():
        span = f"{r.low:.2f} to {r.high:.2f}"
        print(f"batch {batch}: ONNX Runtime needs {r.ratio:.2f} times sentei's time ({span})")
