"""sentei search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentei.cli import options as o

if TYPE_CHECKING:
    from sentei.workflow.search import Search, SearchResult


def search(
    ctx: typer.Context,
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            metavar="KEY=VALUES",
            help="A setting and its values: 16,32,64 or low..high, with log:, int: or logint: before "
            "it and /COUNT behind it for a grid. Repeatable.",
            show_default=False,
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(help="TOML file with such settings and values.", show_default=False),
    ] = None,
    method: Annotated[str, typer.Option(help="random or grid.")] = "random",
    trials: Annotated[
        int | None, typer.Option(help="How many.", show_default="20; of a grid, all")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="val_accuracy, val_loss, accuracy or loss.",
            show_default="val_accuracy; of a regression val_loss",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(help="Trials at a time; the threads are divided among them.")
    ] = 1,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="local|HOST:PORT",
            help="Run the trials as tasks of Ray; on several machines the run folder must be shared.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on in this folder.", show_default=False)
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Network by name.", show_default="lenet5_prune")
    ] = None,
    data: o.DataName = None,
    data_dir: o.DataDir = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.", show_default="5")] = None,
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
    """Search for good settings, at random or on a grid.

    Every trial is a training run. The values of trial j depend on the seed and j alone, the results on
    no number of jobs or threads. Ctrl-C stops; `--resume FOLDER` goes on, also with more --trials.

    Example: `sentei search --param train.lr=log:1e-3..1e-1 --param train.batch=50,100 --trials 12`
    """
    from sentei.cli.output import command_line, print_json
    from sentei.cli.ticker import Ticker
    from sentei.workflow.search import plan_search, run_search
    from sentei.workflow.settings import load_config, read_toml

    if resume is not None:
        o.check_alone(ctx, "search", ("--trials", "--jobs", "--cluster", "--json", "--quiet"))
        return go_on(resume, jobs, trials, cluster, as_json=as_json, quiet=quiet)
    flags = {
        "model.network": network,
        "data.name": data,
        "data.data_dir": data_dir,
        "train.epochs": epochs,
        **o.run_flags(run_dir, seed, threads, device),
    }
    made = plan_search(
        load_config(config, pairs or (), flags),
        tuple(params or ()),
        None if space is None else read_toml(space),
        method=method,  # type: ignore[arg-type]
        trials=trials,
        metric=metric,
    )
    if dry_run:
        if as_json:
            print_json(
                {**made.to_json(), "run_dir": str(made.run_dir), "values": made.assignments()}
            )
        else:
            _show_plan(made)
        return 0
    with Ticker("search", quiet or as_json) as ticker:
        result = run_search(made, jobs, ticker, command_line(), cluster)
    return _end(result, as_json)


def go_on(
    run_dir: Path,
    jobs: int = 1,
    trials: int | None = None,
    cluster: str | None = None,
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Go on with a search that was stopped, with more trials if asked for."""
    from sentei.cli.ticker import Ticker
    from sentei.workflow.search import resume_search

    with Ticker("search", quiet or as_json) as ticker:
        result = resume_search(run_dir, jobs, ticker, trials, cluster)
    return _end(result, as_json)


def _end(result: SearchResult, as_json: bool) -> int:
    from sentei.cli.output import print_json
    from sentei.workflow.search import to_json

    if as_json:
        print_json({**to_json(result), "run_dir": str(result.run_dir)})
    else:
        show_result(result)
    return 0 if result.best is not None else 1


def _show_plan(made: Search) -> None:
    from sentei.cli.output import show_table
    from sentei.workflow.search.report import shown

    print(f"sentei search would write {made.run_dir}")
    print(f"{made.trials} trials, {made.method}, of {made.config.train.epochs} epochs each")
    names = list(made.space)
    rows = [[str(j), *(shown(v[k]) for k in names)] for j, v in enumerate(made.assignments()[:20])]
    show_table(["trial", *names], rows)
    if made.trials > len(rows):
        print(f"and {made.trials - len(rows)} more")
    print("nothing was written")


def show_result(result: SearchResult) -> None:
    """Table of the trials, and where things lie."""
    from sentei.cli.guard import quoted, say
    from sentei.cli.output import show_table
    from sentei.workflow.search import rows_of

    head, rows = rows_of(result)
    if not any(r[-1] for r in rows):
        head, rows = head[:-1], [r[:-1] for r in rows]
    show_table(head, rows[:30])
    if len(rows) > 30:
        print(f"and {len(rows) - 30} more, in {result.run_dir / 'results.csv'}")
    print()
    print(f"report    {result.run_dir / 'report.html'}")
    if result.best is None:
        say("sentei: every trial failed")
        return
    best = result.run_dir / "best.toml"
    network = result.run_dir / "trials" / f"{result.best.number:04d}" / "model.safetensors"
    print(f"model     {network}")
    print(f"next      sentei train --config {quoted(str(best))}")
