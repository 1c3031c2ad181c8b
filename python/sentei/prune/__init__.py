"""Find, score and remove channels; prove that the result equals the masked network."""

from sentei.prune.batch_sums import ScoreSums
from sentei.prune.importance import CRITERIA, Criterion, criterion
from sentei.prune.iterative import IterativePruner, PruneResult, PruneStep, TargetUnreachableError
from sentei.prune.preview import Preview, preview
from sentei.prune.scores import LayerScores, score_layers
from sentei.prune.surgery import remove
from sentei.prune.target import Target
from sentei.prune.units import LayerUnits, PruningMap, Unit, pruning_map
from sentei.prune.verify import Verification, VerificationError, verify

__all__ = [
    "CRITERIA",
    "Criterion",
    "IterativePruner",
    "LayerScores",
    "LayerUnits",
    "Preview",
    "PruneResult",
    "PruneStep",
    "PruningMap",
    "ScoreSums",
    "Target",
    "TargetUnreachableError",
    "Unit",
    "Verification",
    "VerificationError",
    "criterion",
    "preview",
    "pruning_map",
    "remove",
    "score_layers",
    "verify",
]
