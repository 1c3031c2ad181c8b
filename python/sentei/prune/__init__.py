"""Prune channels by scores: targets, preview, surgery, proof, the iterative pruner."""

from sentei.prune.importance import CRITERIA, Criterion
from sentei.prune.iterative import (
    IterativePruner,
    PruneResult,
    PruneStep,
    TargetUnreachableError,
    Trains,
)
from sentei.prune.preview import Preview, preview
from sentei.prune.scores import LayerScores, score_layers
from sentei.prune.surgery import Keep, remove
from sentei.prune.target import Target
from sentei.prune.units import LayerUnits, PruningMap, Unit, pruning_map
from sentei.prune.verify import Verification, VerificationError, verify

__all__ = [
    "CRITERIA",
    "Criterion",
    "IterativePruner",
    "Keep",
    "LayerScores",
    "LayerUnits",
    "Preview",
    "PruneResult",
    "PruneStep",
    "PruningMap",
    "Target",
    "TargetUnreachableError",
    "Trains",
    "Unit",
    "Verification",
    "VerificationError",
    "criteria",
    "preview",
    "pruning_map",
    "remove",
    "score_layers",
    "verify",
]


def criteria() -> list[str]:
    """Names of all scores."""
    return list(CRITERIA)
