"""Every operation: its record for graphs (upper case) and its eager function."""

from sentei.ops.add import ADD, add_forward
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
    "BIAS_BACKWARD",
    "CONV2D",
    "CONV2D_BACKWARD_INPUT",
    "CONV2D_BACKWARD_WEIGHT",
    "FILL",
    "add_forward",
    "bias_backward",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
    "fill_forward",
]
