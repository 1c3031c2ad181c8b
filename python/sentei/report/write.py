"""Write report.json and report.html into a run folder, each written beside and renamed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentei.errors import DataError

from .blocks import write_block_maps
from .files import atomic_path
from .html import render_html
from .plots import write_learning_curves
from .schema import clean

__all__ = ["write_report"]


def write_report(run_dir: str | os.PathLike[str], report: Mapping[str, object]) -> dict[str, Path]:
    """Write the report of a run.

    Args:
        run_dir: the run folder; made when missing.
        report: the report, as in `schema.Report`. NaN and infinities become null; NumPy scalars
            and arrays become numbers and lists.

    Returns:
        The files written: "json", "html" and, when matplotlib is installed and the report holds
        epochs of training or maps of a Pruning Block, "learning_curves" and "block_maps".

    Raises:
        DataError: something in the report has no JSON form; no file is written then.
        OSError: the folder cannot be written; files that were there are left whole.
    """
    folder = Path(run_dir)
    data: Any = clean(report)
    if not isinstance(data, dict):
        raise DataError(f"write_report: report must be a mapping, got {type(report).__name__}")
    texts = {
        "json": json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "html": render_html(data),
    }
    written: dict[str, Path] = {}
    for kind, content in texts.items():
        path = folder / f"report.{kind}"
        with atomic_path(path) as beside:
            beside.write_text(content, encoding="utf-8", newline="\n")
        written[kind] = path
    curves = write_learning_curves(folder / "plots" / "learning_curves.png", data)
    if curves is not None:
        written["learning_curves"] = curves
    maps = write_block_maps(folder / "plots" / "block_maps.png", data)
    if maps is not None:
        written["block_maps"] = maps
    return written
