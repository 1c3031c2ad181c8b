"""Learning curves as PNG, when matplotlib is there."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path

from .files import atomic_path
from .schema import entries, number

__all__ = ["write_learning_curves"]

_log = logging.getLogger("sentei.report")


def write_learning_curves(path: Path, report: Mapping[str, object]) -> Path | None:
    """Draw loss and accuracy over the epochs into a PNG file.

    Args:
        path: where to write; written beside and renamed.
        report: the report, as in `schema.Report`; its `training` is drawn.

    Returns:
        The path, or None when there is nothing to draw or matplotlib is not installed.
    """
    epochs = entries(report, "training")
    if not epochs:
        return None
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        _log.info("learning curves: no PNG, matplotlib is not installed (extra: plot)")
        return None
    figure = Figure(figsize=(9.0, 3.4), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    xs = [number(e, "epoch") for e in epochs]
    for place, (label, keys) in enumerate(
        (("Loss", ("loss", "val_loss")), ("Accuracy (%)", ("accuracy", "val_accuracy"))), 1
    ):
        axes = figure.add_subplot(1, 2, place)
        scale = 1.0 if place == 1 else 100.0
        drawn = False
        for key, name, colour, dash in (
            (keys[0], "training", "#8d938a", "--"),
            (keys[1], "validation", "#2b6b4d", "-"),
        ):
            points = [(x, number(e, key)) for x, e in zip(xs, epochs, strict=True)]
            # beyond 1e30 the margins matplotlib adds overflow
            kept = [(x, y) for x, y in points if x is not None and y is not None and abs(y) < 1e30]
            if not kept:
                continue
            drawn = True
            lone = "o" if len(kept) == 1 else None
            ys = [scale * y if math.isfinite(y) else math.nan for _, y in kept]
            axes.plot([x for x, _ in kept], ys, dash, color=colour, label=name, marker=lone)
        axes.locator_params(axis="x", integer=True)
        axes.set_xlabel("epoch")
        axes.set_title(label, loc="left", fontsize=10)
        axes.grid(axis="y", color="#e4e6df")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        if drawn:
            axes.legend(frameon=False, fontsize=9)
    with atomic_path(path) as beside:
        figure.savefig(beside, format="png")
    return path
