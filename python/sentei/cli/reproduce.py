"""sentei reproduce."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentei.cli import options as o

if TYPE_CHECKING:
    from sentei.workflow.reproduce import Entry, Reproduction, Result


def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="A table, see --list.", show_default=False)
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="All tables: data set, cost, what is missing.")
    ] = False,
    scale: Annotated[
        float,
        typer.Option(help="Share of the published epochs; below one epoch, of the images too."),
    ] = 1.0,
    images: Annotated[
        int | None,
        typer.Option(help="At most so many images of each part.", show_default="all"),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Runs of each arm.", show_default="as published")
    ] = None,
    data_dir: o.DataDir = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder; goes on there.", show_default="runs/reproduce/NAME"),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(help="Write a record as JSON lines too.", show_default=False),
    ] = None,
    threads: o.Threads = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
) -> int:
    """Run a published table again: its networks and settings, its figures beside ours.

    Full size takes days to months; --scale, --images and --seeds make it smaller, and the report says
    by what. A line is kept per finished trial: the same command goes on after Ctrl-C, also with more
    --seeds. Whether the ordering of the source holds is judged by Welch's t test of every
    pair of arms, at 5 % divided by the number of pairs; it takes two --seeds at least, and only clear
    differences show with two or three.

    Example: `sentei reproduce t2.6 --data-dir data --scale 0.002 --images 10000 --seeds 3`
    """
    from sentei import device as devices
    from sentei.cli.guard import say
    from sentei.cli.output import command_line, print_json
    from sentei.cli.ticker import Ticker
    from sentei.errors import DataError
    from sentei.workflow.reproduce import (
        check_record,
        entries,
        plan_table,
        table,
        to_json,
        write_record,
    )
    from sentei.workflow.reproduce import reproduce as run

    if list_:
        _show_list(entries(data_dir), as_json)
        return 0
    if name is None:
        raise DataError("reproduce: NAME must be given, got none (`sentei reproduce --list`)")
    if threads is not None:
        devices.set_threads(threads)
    made = plan_table(
        table(name),
        scale=scale,
        images=images,
        seeds=seeds,
        data_dir=data_dir,
        out=out,
        device=device,
    )
    if record is not None:
        check_record(record)
    if dry_run:
        _show_plan(made, as_json)
        return 0
    try:
        with Ticker("reproduce", quiet or as_json) as ticker:
            result = run(made, ticker, command_line())
    except KeyboardInterrupt:
        say(f"\nsentei: stopped; {made.out} keeps what is done, the same command goes on")
        return 130
    if record is not None:
        write_record(result, record)
    if as_json:
        print_json({**to_json(result), "out": str(made.out)})
    else:
        _show(result)
    return 0


def _show_list(found: list[Entry], as_json: bool) -> None:
    from sentei.cli.output import print_json, show_table
    from sentei.report import formats as f

    if as_json:
        print_json(
            [
                {
                    "name": e.table.name,
                    "source": e.table.source,
                    "title": e.table.title,
                    "data": e.table.data.name,
                    "arms": len(e.table.arms),
                    "runs": e.table.runs,
                    "epochs": max(a.setting.epochs for a in e.table.arms),
                    "training_flops": e.flops,
                    "seconds_per_epoch": e.epoch,
                    "status": e.status,
                }
                for e in found
            ]
        )
        return
    head = ["name", "what", "data", "arms", "runs", "epochs", "training FLOPs", "epoch", "status"]
    lines = [
        [
            e.table.name,
            e.table.title,
            e.table.data.name,
            str(len(e.table.arms)),
            str(e.table.runs),
            f"{max(a.setting.epochs for a in e.table.arms):,}",
            "?" if e.flops is None else f"{e.flops:.1e}",
            "-" if e.epoch is None else f.duration(e.epoch),
            "runnable" if e.status == "runnable" else "needs data" if e.table.needs == "" else "no",
        ]
        for e in found
    ]
    show_table(head, lines, 3)
    print("\ntraining FLOPs: as published, all arms and runs; epoch: measured, by bench records")
    for words in dict.fromkeys(e.status for e in found if e.status != "runnable"):
        print(f"{', '.join(e.table.name for e in found if e.status == words)}: {words}")


def _show_plan(made: Reproduction, as_json: bool) -> None:
    from sentei.cli.output import print_json, show_table

    scaled = made.scale.describe(made.table, made.seeds)
    if as_json:
        print_json(
            {
                "table": made.table.name,
                "source": made.table.source,
                "out": str(made.out),
                "trials": len(made.trials),
                "done": made.done,
                "scaled": list(scaled),
                "settled": list(made.table.settled),
            }
        )
        return
    print(f"sentei reproduce {made.table.name}: {made.table.title}; {made.table.source}")
    print(f"{len(made.trials)} trials in {made.out}, {made.done} of them done")
    rows = []
    for arm in made.table.arms:
        setting = made.scale.setting(arm.setting)
        shown = "  ".join(f"{k} {v.mean:.2f}" for k, v in arm.published.items())
        rows.append([arm.name, setting.network, str(setting.epochs), shown])
    show_table(["arm", "network", "epochs", "published"], rows, 2)
    for words in scaled:
        print(f"scaled    {words}")
    for words in made.table.settled:
        print(f"settled   {words}")
    print("nothing was written")


def _show(result: Result) -> None:
    from sentei.cli.output import show_table
    from sentei.workflow.reproduce import lines_of, orders, rows

    table = result.what.table
    print(f"{table.title}; {table.source}")
    show_table(*lines_of(result), left=2)
    print()
    for order in orders(table, rows(table, result.trials), result.test_images):
        print(f"order     {order.words}")
    for words in result.scaled:
        print(f"scaled    {words}")
    for words in table.settled:
        print(f"settled   {words}")
    print(f"report    {result.what.out / 'report.html'}")
