"""Every operation: its record for graphs (upper case) and its eager function."""

from sentei.ops.activations import (
    CLIP,
    CLIP_BACKWARD,
    ELU,
    ELU_BACKWARD,
    LEAKY_RELU,
    LEAKY_RELU_BACKWARD,
    LOGISTIC,
    LOGISTIC_BACKWARD,
    RELU,
    RELU_BACKWARD,
    SOFTPLUS,
    SOFTPLUS_BACKWARD,
    STEP,
    TANH,
    TANH_BACKWARD,
    clip_backward,
    clip_forward,
    elu_backward,
    elu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    logistic_backward,
    logistic_forward,
    relu_backward,
    relu_forward,
    softplus_backward,
    softplus_forward,
    step_forward,
    tanh_backward,
    tanh_forward,
)
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
from sentei.ops.batch_norm_add import (
    BATCH_NORM_ADD,
    BATCH_NORM_ADD_BACKWARD,
    batch_norm_add_backward,
    batch_norm_add_forward,
)
from sentei.ops.batch_norm_given import (
    BATCH_NORM_ADD_GIVEN,
    BATCH_NORM_GIVEN,
    BATCH_NORM_POOL_GIVEN,
    batch_norm_add_given_forward,
    batch_norm_given_forward,
    batch_norm_pool_given_forward,
)
from sentei.ops.batch_norm_inference import (
    BATCH_NORM_INFERENCE,
    BATCH_NORM_INFERENCE_BACKWARD,
    BATCH_NORM_INFERENCE_BACKWARD_INPUT,
    batch_norm_inference_backward,
    batch_norm_inference_backward_input,
    batch_norm_inference_forward,
)
from sentei.ops.batch_norm_join import (
    BATCH_NORM_JOIN,
    BATCH_NORM_JOIN_BACKWARD,
    batch_norm_join_backward,
    batch_norm_join_forward,
)
from sentei.ops.batch_norm_pool import (
    BATCH_NORM_POOL,
    BATCH_NORM_POOL_BACKWARD,
    batch_norm_pool_backward,
    batch_norm_pool_forward,
)
from sentei.ops.bias import BIAS_BACKWARD, bias_backward
from sentei.ops.channel_scale import (
    CHANNEL_SCALE,
    CHANNEL_SCALE_BACKWARD,
    channel_scale_backward,
    channel_scale_forward,
)
from sentei.ops.concat import CHANNEL_SPLIT, CONCAT, channel_split_forward, concat_forward
from sentei.ops.conv2d import (
    CONV2D,
    CONV2D_BACKWARD_INPUT,
    CONV2D_BACKWARD_WEIGHT,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
)
from sentei.ops.conv2d_statistics import CONV2D_STATISTICS, conv2d_statistics_forward
from sentei.ops.cross_entropy import (
    SIGMOID_CROSS_ENTROPY,
    SOFTMAX_CROSS_ENTROPY,
    sigmoid_cross_entropy_forward,
    softmax_cross_entropy_forward,
)
from sentei.ops.discriminant_penalty import (
    DISCRIMINANT_PENALTY,
    DISCRIMINANT_PENALTY_BACKWARD,
    discriminant_penalty_backward,
    discriminant_penalty_forward,
)
from sentei.ops.distillation import DISTILLATION, distillation_forward
from sentei.ops.dropout import (
    DROPOUT,
    DROPOUT_BACKWARD,
    MASK_MULTIPLY,
    SCALE,
    dropout_backward,
    dropout_forward,
    dropout_mask,
    mask_multiply_forward,
    scale_forward,
)
from sentei.ops.fill import FILL, fill_forward
from sentei.ops.flatten import FLATTEN, RESHAPE_LIKE, flatten_forward
from sentei.ops.gate import (
    GATE,
    GATE_BACKWARD,
    GATE_CLIP_UPDATE,
    GATE_PENALTY,
    GATE_PENALTY_BACKWARD,
    GATE_WEIGHTS,
    GATE_WEIGHTS_BACKWARD,
    gate_backward,
    gate_clip_update,
    gate_forward,
    gate_penalty_backward,
    gate_penalty_forward,
    gate_weights_backward,
    gate_weights_forward,
)
from sentei.ops.gather_batch import GATHER_BATCH, gather_batch_forward
from sentei.ops.gather_channels import CONV2D_BACKWARD_WEIGHT_ROWS, GATHER_CHANNELS, gather_channels
from sentei.ops.linear import (
    LINEAR,
    LINEAR_BACKWARD_INPUT,
    LINEAR_BACKWARD_WEIGHT,
    LINEAR_BACKWARD_WEIGHT_ROWS,
    linear_backward_input,
    linear_backward_weight,
    linear_backward_weight_rows,
    linear_forward,
)
from sentei.ops.linear_lazy import (
    LINEAR_LAZY,
    LINEAR_LAZY_BACKWARD_INPUT,
    linear_lazy_backward_input,
    linear_lazy_forward,
)
from sentei.ops.losses import (
    ELEMENTWISE_LOSS,
    LOSS_BACKWARD,
    LossKind,
    elementwise_loss_forward,
    loss_backward,
)
from sentei.ops.max_pool2d import (
    MAX_POOL2D,
    MAX_POOL2D_BACKWARD,
    max_pool2d_backward,
    max_pool2d_forward,
)
from sentei.ops.maxout import MAXOUT, MAXOUT_BACKWARD, maxout_backward, maxout_forward
from sentei.ops.optimizers import (
    ADAGRAD_UPDATE,
    ADAM_UPDATE,
    RMSPROP_UPDATE,
    SGD_UPDATE,
    SGD_UPDATE_MANY,
    adagrad_update,
    adam_update,
    rmsprop_update,
    sgd_update,
    sgd_update_many,
)
from sentei.ops.pad2d import PAD2D, PAD2D_BACKWARD, pad2d_backward, pad2d_forward
from sentei.ops.prelu import PRELU, PRELU_BACKWARD, prelu_backward, prelu_forward
from sentei.ops.record import RECORD_APPEND, record_append
from sentei.ops.score_from_gradients import SCORE_FROM_GRADIENTS, score_from_gradients
from sentei.ops.scores import SCORE_ACCUMULATE, TRACE_ACCUMULATE, score_accumulate, trace_accumulate
from sentei.ops.semi_sync import (
    COUNTER_ADVANCE,
    SEMI_SYNC_UPDATE,
    counter_advance,
    semi_sync_update,
)
from sentei.ops.semi_sync_adaptive import SEMI_SYNC_ADAPTIVE_UPDATE, semi_sync_adaptive_update
from sentei.ops.semi_sync_lazy import (
    SEMI_SYNC_LAZY_WEIGHT,
    SEMI_SYNC_MATERIALISE,
    SEMI_SYNC_UPDATE_LAZY,
    semi_sync_lazy_weight,
    semi_sync_materialise,
    semi_sync_update_lazy,
)
from sentei.ops.softmax import SOFTMAX, SOFTMAX_BACKWARD, softmax_backward, softmax_forward
from sentei.ops.sparse_penalty import (
    SPARSE_PENALTY,
    SPARSE_PENALTY_BACKWARD,
    sparse_penalty_backward,
    sparse_penalty_forward,
)

__all__ = [
    "ADAGRAD_UPDATE", "ADAM_UPDATE", "ADD", "AVG_POOL2D", "AVG_POOL2D_BACKWARD", "BATCH_NORM",
    "BATCH_NORM_ADD", "BATCH_NORM_ADD_BACKWARD", "BATCH_NORM_ADD_GIVEN", "BATCH_NORM_BACKWARD",
    "BATCH_NORM_GIVEN", "BATCH_NORM_INFERENCE", "BATCH_NORM_INFERENCE_BACKWARD",
    "BATCH_NORM_INFERENCE_BACKWARD_INPUT", "BATCH_NORM_JOIN", "BATCH_NORM_JOIN_BACKWARD",
    "BATCH_NORM_POOL", "BATCH_NORM_POOL_BACKWARD", "BATCH_NORM_POOL_GIVEN", "BIAS_BACKWARD",
    "CHANNEL_SCALE", "CHANNEL_SCALE_BACKWARD", "CHANNEL_SPLIT", "CLIP", "CLIP_BACKWARD", "CONCAT",
    "CONV2D", "CONV2D_BACKWARD_INPUT", "CONV2D_BACKWARD_WEIGHT", "CONV2D_BACKWARD_WEIGHT_ROWS",
    "CONV2D_STATISTICS", "COUNTER_ADVANCE", "DISCRIMINANT_PENALTY", "DISCRIMINANT_PENALTY_BACKWARD",
    "DISTILLATION", "DROPOUT", "DROPOUT_BACKWARD", "ELEMENTWISE_LOSS", "ELU", "ELU_BACKWARD",
    "FILL", "FLATTEN", "GATE", "GATE_BACKWARD", "GATE_CLIP_UPDATE", "GATE_PENALTY",
    "GATE_PENALTY_BACKWARD", "GATE_WEIGHTS", "GATE_WEIGHTS_BACKWARD", "GATHER_BATCH",
    "GATHER_CHANNELS", "GLOBAL_AVG_POOL", "GLOBAL_AVG_POOL_BACKWARD", "LEAKY_RELU",
    "LEAKY_RELU_BACKWARD", "LINEAR", "LINEAR_BACKWARD_INPUT", "LINEAR_BACKWARD_WEIGHT",
    "LINEAR_BACKWARD_WEIGHT_ROWS", "LINEAR_LAZY", "LINEAR_LAZY_BACKWARD_INPUT", "LOGISTIC",
    "LOGISTIC_BACKWARD", "LOSS_BACKWARD", "MASK_MULTIPLY", "MAXOUT", "MAXOUT_BACKWARD",
    "MAX_POOL2D", "MAX_POOL2D_BACKWARD", "PAD2D", "PAD2D_BACKWARD", "PRELU", "PRELU_BACKWARD",
    "RECORD_APPEND", "RELU", "RELU_BACKWARD", "RESHAPE_LIKE", "RMSPROP_UPDATE", "SCALE",
    "SCORE_ACCUMULATE", "SCORE_FROM_GRADIENTS", "SEMI_SYNC_ADAPTIVE_UPDATE",
    "SEMI_SYNC_LAZY_WEIGHT", "SEMI_SYNC_MATERIALISE", "SEMI_SYNC_UPDATE", "SEMI_SYNC_UPDATE_LAZY",
    "SGD_UPDATE", "SGD_UPDATE_MANY", "SIGMOID_CROSS_ENTROPY", "SOFTMAX", "SOFTMAX_BACKWARD",
    "SOFTMAX_CROSS_ENTROPY", "SOFTPLUS", "SOFTPLUS_BACKWARD", "SPARSE_PENALTY",
    "SPARSE_PENALTY_BACKWARD", "STEP", "TANH", "TANH_BACKWARD", "TRACE_ACCUMULATE", "LossKind",
    "adagrad_update", "adam_update", "add_forward", "avg_pool2d_backward", "avg_pool2d_forward",
    "batch_norm_add_backward", "batch_norm_add_forward", "batch_norm_add_given_forward",
    "batch_norm_backward", "batch_norm_forward", "batch_norm_given_forward",
    "batch_norm_inference_backward", "batch_norm_inference_backward_input",
    "batch_norm_inference_forward", "batch_norm_join_backward", "batch_norm_join_forward",
    "batch_norm_pool_backward", "batch_norm_pool_forward", "batch_norm_pool_given_forward",
    "bias_backward", "channel_scale_backward", "channel_scale_forward", "channel_split_forward",
    "clip_backward", "clip_forward", "concat_forward", "conv2d_backward_input",
    "conv2d_backward_weight", "conv2d_forward", "conv2d_statistics_forward", "counter_advance",
    "discriminant_penalty_backward", "discriminant_penalty_forward", "distillation_forward",
    "dropout_backward", "dropout_forward", "dropout_mask", "elementwise_loss_forward",
    "elu_backward", "elu_forward", "fill_forward", "flatten_forward", "gate_backward",
    "gate_clip_update", "gate_forward", "gate_penalty_backward", "gate_penalty_forward",
    "gate_weights_backward", "gate_weights_forward", "gather_batch_forward", "gather_channels",
    "global_avg_pool_backward", "global_avg_pool_forward", "leaky_relu_backward",
    "leaky_relu_forward", "linear_backward_input", "linear_backward_weight",
    "linear_backward_weight_rows", "linear_forward", "linear_lazy_backward_input",
    "linear_lazy_forward", "logistic_backward", "logistic_forward", "loss_backward",
    "mask_multiply_forward", "max_pool2d_backward", "max_pool2d_forward", "maxout_backward",
    "maxout_forward", "pad2d_backward", "pad2d_forward", "prelu_backward", "prelu_forward",
    "record_append", "relu_backward", "relu_forward", "rmsprop_update", "scale_forward",
    "score_accumulate", "score_from_gradients", "semi_sync_adaptive_update",
    "semi_sync_lazy_weight", "semi_sync_materialise", "semi_sync_update", "semi_sync_update_lazy",
    "sgd_update", "sgd_update_many", "sigmoid_cross_entropy_forward", "softmax_backward",
    "softmax_cross_entropy_forward", "softmax_forward", "softplus_backward", "softplus_forward",
    "sparse_penalty_backward", "sparse_penalty_forward", "step_forward", "tanh_backward",
    "tanh_forward", "trace_accumulate",
]  # fmt: skip
