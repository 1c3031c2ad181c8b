"""Find, score and remove channels; prove that the result equals the masked network."""

from sentei.prune.batch_sums import ScoreSums
from sentei.prune.block import attach_blocks, blocks_of, fold_blocks
from sentei.prune.closing import Closed, Closing, Outlook, close_gates, outlook, smallest_costs
from sentei.prune.gates import Gate, attach_gates, gates_of
from sentei.prune.gauge import Gauge, gauge_of, inference_bytes
from sentei.prune.guard import Rollback
from sentei.prune.importance import CRITERIA, Criterion, criterion
from sentei.prune.iterative import (
    IterativePruner,
    PruneResult,
    PruneStep,
    TargetUnreachableError,
    operating_points,
)
from sentei.prune.maps import BlockMap, block_maps
from sentei.prune.preview import Preview, preview
from sentei.prune.scores import LayerScores, score_layers
from sentei.prune.sensitivity import SensitivityPoint, sensitivity
from sentei.prune.surgery import remove
from sentei.prune.target import Target
from sentei.prune.trust import Trust, ranking_trust, spearman
from sentei.prune.units import LayerUnits, PruningMap, Unit, pruning_map
from sentei.prune.verify import Verification, VerificationError, verify

__all__ = [
    "CRITERIA",
    "BlockMap",
    "Closed",
    "Closing",
    "Criterion",
    "Gate",
    "Gauge",
    "IterativePruner",
    "LayerScores",
    "LayerUnits",
    "Outlook",
    "Preview",
    "PruneResult",
    "PruneStep",
    "PruningMap",
    "Rollback",
    "ScoreSums",
    "SensitivityPoint",
    "Target",
    "TargetUnreachableError",
    "Trust",
    "Unit",
    "Verification",
    "VerificationError",
    "attach_blocks",
    "attach_gates",
    "block_maps",
    "blocks_of",
    "close_gates",
    "criterion",
    "fold_blocks",
    "gates_of",
    "gauge_of",
    "inference_bytes",
    "operating_points",
    "outlook",
    "preview",
    "pruning_map",
    "ranking_trust",
    "remove",
    "score_layers",
    "sensitivity",
    "smallest_costs",
    "spearman",
    "verify",
]
