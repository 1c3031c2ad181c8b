"""Every operation: its record for graphs (upper case) and its eager function."""

from sentei.ops.add import ADD, add_forward
from sentei.ops.cross_entropy import (
    SIGMOID_CROSS_ENTROPY,
    SOFTMAX_CROSS_ENTROPY,
    sigmoid_cross_entropy_forward,
    softmax_cross_entropy_forward,
)
from sentei.ops.losses import (
    ELEMENTWISE_LOSS,
    LOSS_BACKWARD,
    elementwise_loss_forward,
    loss_backward,
)
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
    "ELEMENTWISE_LOSS",
    "LOSS_BACKWARD",
    "RMSPROP_UPDATE",
    "SCORE_ACCUMULATE",
    "SEMI_SYNC_UPDATE",
    "SGD_UPDATE",
    "SIGMOID_CROSS_ENTROPY",
    "SOFTMAX_CROSS_ENTROPY",
    "TRACE_ACCUMULATE",
    "adagrad_update",
    "adam_update",
    "add_forward",
    "counter_advance",
    "elementwise_loss_forward",
    "loss_backward",
    "rmsprop_update",
    "score_accumulate",
    "semi_sync_update",
    "sgd_update",
    "sigmoid_cross_entropy_forward",
    "softmax_cross_entropy_forward",
    "trace_accumulate",
]
