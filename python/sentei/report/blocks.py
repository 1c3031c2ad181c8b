"""The maps of a Pruning Block as PNG, when matplotlib is there."""

import logging
from collections.abc import Mapping
from pathlib import Path

from .files import atomic_path
from .schema import entries, number, text

__all__ = ["write_block_maps"]

_log = logging.getLogger("sentei.report")
_WORDS = {
    "input": "input u",
    "code": "gated code h(m) E u",
    "activation": "after the activation",
    "output": "output of the decoder",
}


def write_block_maps(path: Path, report: Mapping[str, object]) -> Path | None:
    """Draw the test images in the plane of each map's first two principal axes into a PNG file.

    Args:
        path: where to write; written beside and renamed.
        report: as in `schema.Report`; its `block_maps` are drawn, one colour a class.
    Returns:
        The path, or None when there is nothing to draw or matplotlib is not installed.
    """
    maps = [m for m in entries(report, "block_maps") if m.get("x") and m.get("y")]
    if not maps:
        return None
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        _log.info("maps of the Pruning Block: no PNG, matplotlib is not installed (extra: plot)")
        return None
    figure = Figure(figsize=(3.0 * len(maps), 3.3), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    for place, m in enumerate(maps, 1):
        axes = figure.add_subplot(1, len(maps), place)
        axes.scatter(m["x"], m["y"], c=m.get("labels"), cmap="tab10", s=5, linewidths=0)
        share = sum(number(m, key) or 0.0 for key in ("share_1", "share_2"))
        name = _WORDS.get(text(m, "name"), text(m, "name"))
        axes.set_title(f"{name}\n{text(m, 'channels')} channels, {share:.0%} of the variance",
                       loc="left", fontsize=8)  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["top", "right", "left", "bottom"]].set_color("#d5d8d0")
    figure.suptitle(f"Pruning Block after {text(maps[0], 'layer')}", fontsize=9, x=0.01, ha="left")
    with atomic_path(path) as beside:
        figure.savefig(beside, format="png")
    return path
