"""One removal: what went, what it cost, and how it stood to what stayed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sentei.prune.scores import LayerScores

__all__ = ["PARTS", "PruneStep", "means_of"]

# scoring; surgery: finding what can go, cutting, planning anew; verification: masked against pruned;
# retraining; evaluation: the accuracy in the record.
PARTS = ("scoring", "surgery", "verification", "retraining", "evaluation")


@dataclass(frozen=True)
class PruneStep:
    """One removal. layer and channel: of the first member, numbered as in the original network.

    max_abs_diff, tolerance: masked against pruned network, and the bound it kept. seconds: of its round,
    shared evenly among the round's channels; parts: the same by what they went into (PARTS).
    feature, gradient: of the first member, its map's mean over samples and pixels, and the mean over
    pixels of |E[g]|; feature_left, gradient_left: the means of those over the channels of that layer
    that stayed in this round. None where they were not gathered, or none stayed.
    """

    step: int
    layer: str
    channel: int
    members: tuple[tuple[str, int], ...]
    score: float
    macs: int
    params: int
    max_abs_diff: float
    tolerance: float
    accuracy_after_retrain: float | None
    seconds: float
    parts: Mapping[str, float] = field(default_factory=dict)
    feature: float | None = None
    gradient: float | None = None
    feature_left: float | None = None
    gradient_left: float | None = None

    def to_json(self) -> dict[str, Any]:
        d = asdict(self)
        d["members"] = [list(m) for m in self.members]
        return d


def means_of(
    scores: Iterable[LayerScores], first: tuple[str, int], gone: Collection[tuple[str, int]]
) -> dict[str, float]:
    """feature, gradient and what is left of both, as PruneStep has them.

    first: layer and channel that is told of. gone: all (layer, channel) of the round. Channels are
    numbered as in the network that was scored.
    """
    layer, channel = first
    found = next((s for s in scores if s.layer == layer), None)
    if found is None or found.feature is None or found.gradient is None:
        return {}
    left = [i for i in range(len(found.values)) if (layer, i) not in gone]
    told = {"feature": float(found.feature[channel]), "gradient": float(found.gradient[channel])}
    if left:
        told["feature_left"] = float(found.feature[left].mean())
        told["gradient_left"] = float(found.gradient[left].mean())
    return told
