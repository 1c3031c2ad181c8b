"""Can a ranking be trusted? Score two halves of the images apart and compare the two rankings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sentei.errors import DataError
from sentei.model import Model
from sentei.prune import importance
from sentei.prune.scores import LayerScores, ScoreLoss, score_layers
from sentei.prune.units import PruningMap

__all__ = ["Trust", "ranking_trust", "spearman"]

ENOUGH = 0.9  # a rank correlation from which more images would hardly change what goes first
POOR = 0.7


def _ranks(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place.ravel()], np.float64)


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, ties at the mean of theirs.

    Args:
        a, b (array, (n,)): finite numbers.
    Returns:
        In [-1, 1]; NaN where one of them has fewer than two different values.
    Raises:
        ValueError: shapes differ, or a value is not finite.
    Source:
        C. Spearman, The proof and measurement of association between two things, 1904.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"spearman: b must have the shape of a, (n,), got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("spearman: values must be finite, got NaN or infinity")
    if x.size < 2:
        return float("nan")
    p, q = _ranks(x), _ranks(y)
    p, q = p - p.mean(), q - q.mean()
    size = float(np.sqrt((p @ p) * (q @ q)))
    return float(np.clip((p @ q) / size, -1, 1)) if size > 0 else float("nan")


@dataclass(frozen=True)
class Trust:
    """Rank correlation between the scores of two halves of the images.

    overall: of all units of the network, as pruning ranks them. layers: of each layer's channels. NaN:
    all scores are equal. images: in one half; 0: the criterion needs none, its ranking is exact.
    """

    criterion: str
    overall: float
    layers: dict[str, float]
    images: int

    @property
    def sentence(self) -> str:
        """What it means, in one plain sentence."""
        if not self.images:
            return (
                f"trust: {self.criterion} needs no images, so its ranking does not depend on them"
            )
        if not np.isfinite(self.overall):
            return f"trust: unknown, {self.criterion} gives all channels the same score"
        said = f"trust: {self.overall:.2f}, "
        halves = f"two halves of {self.images} images each"
        known = {k: v for k, v in self.layers.items() if np.isfinite(v)}
        weak = min(known, key=lambda k: known[k], default="")
        if self.overall >= ENOUGH:
            said += f"{halves} rank the channels nearly alike"
            if weak and known[weak] < POOR:
                said += f", least so in {weak} ({known[weak]:.2f})"
            return said
        many = "many more" if self.overall < POOR else "more"
        words = "in rather different orders" if self.overall < POOR else "somewhat differently"
        said += f"{halves} rank the channels {words}: {many} images would help"
        return f"{said}, most of all {weak} ({known[weak]:.2f})" if weak else said

    def to_json(self) -> dict[str, Any]:
        """As reports hold it."""
        return {
            "criterion": self.criterion,
            "overall": self.overall,
            "layers": [{"layer": k, "correlation": v} for k, v in self.layers.items()],
            "images": self.images,
            "sentence": self.sentence,
        }


def _of_units(pruning: PruningMap, scores: Sequence[LayerScores]) -> NDArray[np.float64]:
    """Score of every unit, tied channels added up, as pruning ranks them."""
    by_layer = {s.layer: s.values for s in scores}
    return np.array([sum(by_layer[k][i] for k, i in u.members) for u in pruning.units])


def ranking_trust(
    model: Model,
    pruning: PruningMap,
    criterion: str = "robust",
    *,
    normalize: float | None = 1.0,
    images: NDArray[np.float32] | None = None,
    labels: NDArray[Any] | None = None,
    batch: int = 100,
    loss: ScoreLoss | None = None,
    seed: int = 0,
) -> Trust:
    """Score two random halves of the images apart and correlate the rankings.

    The ranking by all images together is better than either half's, so this errs on the safe side.

    Args:
        As score_layers. seed: of the cut into halves; one image is left out of an odd number.
    Raises:
        As score_layers; DataError: fewer than two images.
    """
    layers = list(dict.fromkeys(k for u in pruning.units for k, _ in u.members))
    if importance.criterion(criterion).needs == "weights":
        return Trust(criterion, 1.0, dict.fromkeys(layers, 1.0), 0)
    if images is None or len(images) < 2:
        got = 0 if images is None else len(images)
        raise DataError(f"trust: images must be at least 2, got {got}")
    half = len(images) // 2
    order = np.random.default_rng([seed, 2]).permutation(len(images))
    found = [
        score_layers(
            model,
            pruning,
            criterion,
            normalize=normalize,
            images=images[chosen],
            labels=None if labels is None else labels[chosen],
            batch=min(batch, half),
            loss=loss,
            standard_errors=False,
        )
        for chosen in (np.sort(order[:half]), np.sort(order[half : 2 * half]))
    ]
    first, second = found
    each = {a.layer: spearman(a.values, b.values) for a, b in zip(first, second, strict=True)}
    overall = spearman(_of_units(pruning, first), _of_units(pruning, second))
    return Trust(criterion, overall, each, half)
