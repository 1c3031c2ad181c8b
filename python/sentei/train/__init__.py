"""Train a model: steps, evaluation, early stopping, checkpoints, resume."""

from sentei.train.callbacks import BestWeights, Callback, Checkpoint, EarlyStopping
from sentei.train.evaluate import evaluate, outputs_of
from sentei.train.recalibrate import recalibrate_bn
from sentei.train.trainer import Trainer
from sentei.train.world import ALONE, World

__all__ = [
    "ALONE",
    "BestWeights",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Trainer",
    "World",
    "evaluate",
    "outputs_of",
    "recalibrate_bn",
]
