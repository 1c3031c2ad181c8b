"""sentei data download."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from sentei.cli import options as o


def download(
    name: Annotated[
        str,
        typer.Argument(
            help="mnist, fashion-mnist, cifar10, cifar100 or stl10.", show_default=False
        ),
    ],
    data_dir: Annotated[Path, typer.Option(help="Folder to put the files in.")] = Path("data"),
    quiet: o.Quiet = False,
    as_json: o.Json = False,
) -> int:
    """Fetch a public data set; every file is checked before it gets its name.

    Files that are there are kept, an interrupted download goes on.

    Example: `sentei data download mnist --data-dir data`
    """
    from sentei.data import download as run

    paths = run(name, data_dir, None if quiet or as_json else _Show())
    if as_json:
        from sentei.cli.output import print_json

        print_json({"name": name, "files": [str(p) for p in paths]})
    else:
        print(f"{len(paths)} files of {name} in {data_dir}")
        print(f"next      sentei train --data {name} --data-dir {data_dir}")
    return 0


class _Show:
    """A line that moves on a terminal; one line per file elsewhere."""

    def __init__(self) -> None:
        self._last, self._name = 0.0, ""

    def __call__(self, name: str, done: int, total: int | None) -> None:
        live = sys.stderr.isatty()
        if not live:
            if name != self._name:
                print(f"fetching {name}", file=sys.stderr, flush=True)
            self._name = name
            return
        now = time.monotonic()
        if now - self._last < 0.1 and done != total:
            return
        self._last = now
        share = f" {done / total:4.0%}" if total else ""
        end = "\n" if done == total else ""
        print(f"\r{name}{share}  {done / 1e6:,.1f} MB   ", end=end, file=sys.stderr, flush=True)
