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

__all__ = [
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
    "FILL",
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
    "fill_forward",
]
