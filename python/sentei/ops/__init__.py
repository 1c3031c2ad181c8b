"""Every operation: its record for graphs (upper case) and its eager function."""

from sentei.ops.add import ADD, add_forward
from sentei.ops.avg_pool2d import (
    AVG_POOL2D,
    AVG_POOL2D_BACKWARD,
    GLOBAL_AVG_POOL,
    GLOBAL_AVG_POOL_BACKWARD,
    avg_pool2d_backward,
    avg_pool2d_forward,
    global_avg_pool_backward,
    global_avg_pool_forward,
)
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
from sentei.ops.channel_scale import (
    CHANNEL_SCALE,
    CHANNEL_SCALE_BACKWARD,
    channel_scale_backward,
    channel_scale_forward,
)
from sentei.ops.concat import (
    CHANNEL_SPLIT,
    CONCAT,
    channel_split_forward,
    concat_forward,
)
from sentei.ops.conv2d import (
    CONV2D,
    CONV2D_BACKWARD_INPUT,
    CONV2D_BACKWARD_WEIGHT,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
)
from sentei.ops.fill import FILL, fill_forward
from sentei.ops.flatten import (
    FLATTEN,
    RESHAPE_LIKE,
    flatten_forward,
)
from sentei.ops.max_pool2d import (
    MAX_POOL2D,
    MAX_POOL2D_BACKWARD,
    max_pool2d_backward,
    max_pool2d_forward,
)

__all__ = [
    "ADD",
    "AVG_POOL2D",
    "AVG_POOL2D_BACKWARD",
    "BATCH_NORM",
    "BATCH_NORM_BACKWARD",
    "BATCH_NORM_INFERENCE",
    "BATCH_NORM_INFERENCE_BACKWARD",
    "BATCH_NORM_INFERENCE_BACKWARD_INPUT",
    "BIAS_BACKWARD",
    "CHANNEL_SCALE",
    "CHANNEL_SCALE_BACKWARD",
    "CHANNEL_SPLIT",
    "CONCAT",
    "CONV2D",
    "CONV2D_BACKWARD_INPUT",
    "CONV2D_BACKWARD_WEIGHT",
    "FILL",
    "FLATTEN",
    "GLOBAL_AVG_POOL",
    "GLOBAL_AVG_POOL_BACKWARD",
    "MAX_POOL2D",
    "MAX_POOL2D_BACKWARD",
    "RESHAPE_LIKE",
    "add_forward",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference_backward",
    "batch_norm_inference_backward_input",
    "batch_norm_inference_forward",
    "bias_backward",
    "channel_scale_backward",
    "channel_scale_forward",
    "channel_split_forward",
    "concat_forward",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
    "fill_forward",
    "flatten_forward",
    "global_avg_pool_backward",
    "global_avg_pool_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
]
