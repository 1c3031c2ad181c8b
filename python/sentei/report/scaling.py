"""Speed-up over workers as a picture, when matplotlib is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .files import atomic_path

__all__ = ["write_speedups"]

_COLOURS = ("#2b6b4d", "#b3541e", "#3b5b92", "#8a3b6b", "#6b6b2b")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)))


def write_speedups(path: Path, curves: Mapping[str, Sequence[tuple[int, float]]]) -> bool:
    """Draw speed-ups over the number of workers, one line per strategy, both axes in powers of two.

    Args:
        path: an .svg or .png file; written beside and renamed.
        curves: strategy -> (workers, speed-up).
    Returns:
        False when matplotlib is not installed: nothing is written.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter
    except ImportError:
        return False
    figure = Figure(figsize=(6.4, 4.2), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    most = max(n for line in curves.values() for n, _ in line)
    axes.plot([1, most], [1, most], color="#c9ccc4", linewidth=1, label="ideal")
    for i, (name, line) in enumerate(curves.items()):
        axes.plot(
            [n for n, _ in line],
            [s for _, s in line],
            color=_COLOURS[i % len(_COLOURS)],
            linestyle=_DASHES[i % len(_DASHES)],
            marker="o",
            markersize=3.5,
            label=name,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.set_xlabel("workers")
    axes.set_ylabel("mini-batches per second, over one worker's")
    axes.grid(color="#e4e6df")
    axes.legend(frameon=False, fontsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    suffix = path.suffix.lstrip(".")
    with (
        matplotlib.rc_context({"svg.hashsalt": "sentei", "svg.fonttype": "none"}),
        atomic_path(path) as beside,
    ):
        figure.savefig(beside, format=suffix, metadata={"Date": None} if suffix == "svg" else None)
    return True
