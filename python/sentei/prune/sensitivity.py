"""Sensitivity: what a network loses when one layer alone is pruned, without retraining."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.model import Model
from sentei.passes import costs
from sentei.prune.choice import unit_scores
from sentei.prune.scores import LayerScores, ScoreLoss, score_layers
from sentei.prune.surgery import remove
from sentei.prune.units import PruningMap, Unit, pruning_map

__all__ = ["SHARES", "SensitivityPoint", "sensitivity", "sensitivity_layers"]

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class SensitivityPoint:
    """One layer (or several that are tied) with a share of its channels gone; none: the whole network.

    share: as asked, in [0, 1). removed, of: channels. accuracy is None in a regression. flops: of what is
    left of the network.
    """

    layers: tuple[str, ...]
    share: float
    removed: int
    of: int
    loss: float
    accuracy: float | None
    flops: int

    @property
    def key(self) -> tuple[tuple[str, ...], float]:
        """What tells it from the others."""
        return self.layers, self.share

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "layers": list(self.layers)}


def _groups(pruning: PruningMap) -> dict[tuple[str, ...], list[int]]:
    """Units by the layers that they are channels of, in the order of the network."""
    found: dict[tuple[str, ...], list[int]] = {}
    for k, unit in enumerate(pruning.units):
        layers = tuple(dict.fromkeys(layer for layer, _ in unit.members))
        found.setdefault(layers, []).append(k)
    return found


def sensitivity_layers(
    model: Model, *, include: Sequence[str] = ("conv2d",), ignore: Sequence[str] = ()
) -> list[tuple[str, ...]]:
    """The layers that `sensitivity` looks at; tied ones together."""
    return list(_groups(pruning_map(model.graph, include=include, ignore=ignore)))


def sensitivity(
    model: Model,
    judge: Callable[[Model], Mapping[str, float]],
    *,
    criterion: str = "robust",
    images: NDArray[np.float32] | None = None,
    labels: NDArray[Any] | None = None,
    shares: Sequence[float] = SHARES,
    include: Sequence[str] = ("conv2d",),
    ignore: Sequence[str] = (),
    loss: ScoreLoss | None = None,
    skip: Callable[[tuple[str, ...], float], bool] = lambda layers, share: False,
) -> Iterator[SensitivityPoint]:
    """Remove a share of each layer's channels, least score first, and judge what is left.

    The model stays as it is; every point begins with all of it. Channels that are tied go together,
    under the names of all their layers, and one channel of a layer always stays.

    Args:
        judge: gives "loss" and "accuracy" of a model, on images that scores and training did not see:
        `lambda m: sentei.train.evaluate(m, val)`. criterion, images, labels, loss: as score_layers.
        shares: in (0, 1), rising. skip: points that are not wanted (known already).
    Yields:
        The whole network (no layer, share 0), then layer by layer, share by share.
    Raises:
        ValueError: shares out of range or not rising. Others as score_layers.
    Source: H. Li et al., "Pruning filters for efficient ConvNets" (2017), section 3.2.
    """
    if not shares or any(not 0 < s < 1 for s in shares) or list(shares) != sorted(set(shares)):
        raise ValueError(
            f"sensitivity: shares must lie between 0 and 1 and rise, got {list(shares)}"
        )
    pruning = pruning_map(model.graph, include=include, ignore=ignore)
    groups = _groups(pruning)
    total = len(pruning.units)
    if not skip((), 0.0):
        yield _point((), 0.0, 0, total, judge(model), model)
    wanted = [(g, s) for g in groups for s in shares if not skip(g, s)]
    if not wanted:
        return
    scores: tuple[LayerScores, ...] = score_layers(
        model, pruning, criterion, images=images, labels=labels, loss=loss,
        standard_errors=False, means=False,
    )  # fmt: skip
    values = unit_scores(pruning, scores)
    for layers, share in wanted:
        order = sorted(groups[layers], key=lambda k: (values[k], k))
        gone = _least(pruning, [pruning.units[k] for k in order], round(share * len(order)))
        cut = remove(model, pruning, gone, share=True)[0] if gone else model
        yield _point(layers, share, len(gone), len(order), judge(cut), cut)


def _least(pruning: PruningMap, units: Sequence[Unit], count: int) -> list[Unit]:
    """The first so many that may go."""
    widths = pruning.widths()
    gone: list[Unit] = []
    for unit in units:
        if len(gone) >= count:
            break
        if pruning.removable(unit, widths):
            for layer, _ in unit.members:
                widths[layer] -= 1
            gone.append(unit)
    return gone


def _point(
    layers: tuple[str, ...], share: float, removed: int, of: int,
    found: Mapping[str, float], model: Model,
) -> SensitivityPoint:  # fmt: skip
    accuracy = found.get("accuracy")
    return SensitivityPoint(
        layers, share, removed, of, float(found["loss"]),
        None if accuracy is None else float(accuracy), costs(model.graph).flops,
    )  # fmt: skip
