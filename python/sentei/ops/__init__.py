"""Every operation: its record for graphs (upper case) and its eager function."""

from sentei.ops.add import ADD, add_forward
from sentei.ops.optimizers import (
    ADAGRAD_UPDATE,
    ADAM_UPDATE,
    RMSPROP_UPDATE,
    SGD_UPDATE,
    adagrad_update,
    adam_update,
    rmsprop_update,
    sgd_update,
)
from sentei.ops.scores import SCORE_ACCUMULATE, TRACE_ACCUMULATE, score_accumulate, trace_accumulate
from sentei.ops.semi_sync import (
    COUNTER_ADVANCE,
    SEMI_SYNC_UPDATE,
    counter_advance,
    semi_sync_update,
)

__all__ = [
    "ADAGRAD_UPDATE",
    "ADAM_UPDATE",
    "ADD",
    "COUNTER_ADVANCE",
    "RMSPROP_UPDATE",
    "SCORE_ACCUMULATE",
    "SEMI_SYNC_UPDATE",
    "SGD_UPDATE",
    "TRACE_ACCUMULATE",
    "adagrad_update",
    "adam_update",
    "add_forward",
    "counter_advance",
    "rmsprop_update",
    "score_accumulate",
    "semi_sync_update",
    "sgd_update",
    "trace_accumulate",
]
