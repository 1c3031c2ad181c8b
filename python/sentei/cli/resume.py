"""sentei resume."""

from pathlib import Path
from typing import Annotated

import typer

from sentei.cli import options as o


def resume(
    run_dir: Annotated[
        Path, typer.Argument(help="Folder of a run that was stopped.", show_default=False)
    ],
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Go on with a run, a search, a comparison or an analysis that was stopped.

    On the CPU the finished result is, bit for bit, that of a run that was never stopped.

    Example: `sentei resume runs/first`
    """
    from sentei import device
    from sentei.cli.compare import go_on as go_on_comparing
    from sentei.cli.output import finish, watcher
    from sentei.cli.search import go_on as go_on_searching
    from sentei.cli.sensitivity import go_on as go_on_analysing
    from sentei.workflow.run_dir import RunDir
    from sentei.workflow.runs import resume as run

    if threads is not None:
        device.set_threads(threads)
    command = RunDir.reopen(run_dir).read_plan()["command"]
    if command == "search":
        return go_on_searching(run_dir, as_json=as_json, quiet=quiet)
    if command == "compare":
        return go_on_comparing(run_dir, as_json=as_json, quiet=quiet)
    if command == "sensitivity":
        return go_on_analysing(run_dir, as_json=as_json, quiet=quiet)
    return finish(run(run_dir, watcher(quiet or as_json)), as_json=as_json)
