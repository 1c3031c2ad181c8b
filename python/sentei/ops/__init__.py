"""Every operation: its record for graphs (upper case) and its eager function."""

from sentei.ops.add import ADD, add_forward
from sentei.ops.batch_norm import (
    BATCH_NORM,
    BATCH_NORM_BACKWARD,
    batch_norm_backward,
    batch_norm_forward,
)
from sentei.ops.batch_norm_inference import (
    BATCH_NORM_INFERENCE,
    BATCH_NORM_INFERENCE_BACKWARD,
    BATCH_NORM_INFERENCE_BACKWARD_INPUT,
    batch_norm_inference_backward,
    batch_norm_inference_backward_input,
    batch_norm_inference_forward,
)
from sentei.ops.bias import BIAS_BACKWARD, bias_backward
from sentei.ops.conv2d import (
    CONV2D,
    CONV2D_BACKWARD_INPUT,
    CONV2D_BACKWARD_WEIGHT,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
)
from sentei.ops.fill import FILL, fill_forward
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
    "BATCH_NORM",
    "BATCH_NORM_BACKWARD",
    "BATCH_NORM_INFERENCE",
    "BATCH_NORM_INFERENCE_BACKWARD",
    "BATCH_NORM_INFERENCE_BACKWARD_INPUT",
    "BIAS_BACKWARD",
    "CONV2D",
    "CONV2D_BACKWARD_INPUT",
    "CONV2D_BACKWARD_WEIGHT",
    "COUNTER_ADVANCE",
    "FILL",
    "RMSPROP_UPDATE",
    "SCORE_ACCUMULATE",
    "SEMI_SYNC_UPDATE",
    "SGD_UPDATE",
    "TRACE_ACCUMULATE",
    "adagrad_update",
    "adam_update",
    "add_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference_backward",
    "batch_norm_inference_backward_input",
    "batch_norm_inference_forward",
    "bias_backward",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
    "counter_advance",
    "fill_forward",
    "rmsprop_update",
    "score_accumulate",
    "semi_sync_update",
    "sgd_update",
    "trace_accumulate",
]
