"""A small valid call of every op, and of its variants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from helpers import normal
from sentei.graph import Spec, all_ops

__all__ = ["CALLS", "CASES", "EXACT"]

RUN = {n for n, op in all_ops().items() if op.alias is None}

Draw = Callable[[np.random.Generator], np.ndarray]


class Call(NamedTuple):
    """Small valid inputs of an op: drawn anew each time, a Spec (only its shape is used) or None."""

    inputs: tuple[Draw | Spec | None, ...]
    attrs: dict[str, Any]

    def draw(self, seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        return [x(rng) if callable(x) else x for x in self.inputs]


def call(*inputs: Draw | Spec | None, **attrs: Any) -> Call:
    return Call(inputs, attrs)


def real(*shape: int) -> Draw:
    return lambda rng: normal(rng, shape)


def positive(*shape: int, least: float = 0.1) -> Draw:
    return lambda rng: np.abs(normal(rng, shape)) + np.float32(least)


def double(*shape: int) -> Draw:
    return lambda rng: rng.standard_normal(shape)


def whole(bound: int, *shape: int, dtype: str = "int64") -> Draw:
    """Whole numbers in [0, bound)."""
    return lambda rng: rng.integers(0, bound, shape).astype(dtype)


def given(values: Sequence[int], dtype: str) -> Draw:
    return lambda rng: np.array(values, dtype)


def order(n: int) -> Draw:
    return lambda rng: rng.permutation(n).astype(np.int32)


def plan(samples: int, images: int) -> Draw:
    """Which image, moved by how much, and whether mirrored, for gather_batch."""
    low, high = [0, -2, -2, 0], [images, 3, 3, 2]
    return lambda rng: rng.integers(low, high, (samples, 4)).astype(np.int32)


def probabilities(*shape: int) -> Draw:
    return lambda rng: rng.dirichlet(np.ones(shape[-1]), shape[:-1]).astype(np.float32)


def signs(*shape: int) -> Draw:
    return lambda rng: rng.choice(np.array([-1, 1], np.float32), shape)


C, N, ROW, X, W, Y = 12, 6, 20, (2, 5, 6, 8), (7, 3, 3, 8), (2, 3, 6, 7)
IMAGE, HALF, MATRIX = (3, 5, 6, C), (3, 2, 3, C), (N, ROW)
c, c_positive, high = real(C), positive(C), positive(C, least=1000)
image, matrix, one, rate = real(*IMAGE), real(*MATRIX), real(1), positive(1)
window = {"kernel": (3, 2), "stride": (2, 2)}
conv = {"stride": (2, 1), "padding": (1, 1), "dilation": (1, 1)}
decays, dropped = {"weight_decay": 1e-2, "l2": 1e-3}, {"keep": 0.7, "stream": 3, "inverted": True}
groups = (order(N), given([0, 3, 6], "int32"), whole(2, 1, dtype="int32"))
rows = (matrix, matrix, *[positive(*MATRIX)] * 2, whole(9, MATRIX[0]))  # w, dw, h, v, count
lazy = (matrix, matrix, positive(2, 2), whole(2, N, dtype="int32"))  # w, v, coef, group_of

CALLS = {
    "adagrad_update": call(matrix, matrix, positive(*MATRIX), rate, **decays),
    "adam_update": call(
        matrix, matrix, matrix, positive(*MATRIX), given([5], "int64"), rate, **decays
    ),
    "add": call(image, image),
    "avg_pool2d": call(image, **window),
    "avg_pool2d_backward": call(real(3, 2, 3, C), Spec(IMAGE), **window),
    "batch_norm": call(image, c, c, c, c_positive, relu=True),
    "batch_norm_add": call(image, image, c, c, c, c_positive),
    "batch_norm_add_given": call(image, image, c, c, c, c_positive, c, c_positive),
    "batch_norm_add_backward": call(image, image, image, c, c, c_positive),
    "batch_norm_backward": call(image, image, c, c, c_positive, c, relu=True),
    "batch_norm_given": call(image, c, c, c, c_positive, c, c_positive, relu=True),
    "batch_norm_inference": call(image, c, c, c, c_positive, relu=True),
    "batch_norm_inference_backward": call(image, image, c, c, c_positive, c, relu=True),
    "batch_norm_inference_backward_input": call(image, c, c_positive, image, c, c, relu=True),
    "batch_norm_join": call(*[image, c, c, c, c_positive] * 2),
    "batch_norm_join_backward": call(image, positive(*IMAGE), *[image, c, high, c, c_positive] * 2),
    "batch_norm_pool": call(image, c, c, c, c_positive, relu=True),
    "batch_norm_pool_given": call(image, c, c, c, c_positive, c, c_positive, relu=True),
    "batch_norm_pool_backward": call(
        real(*HALF), whole(4, *HALF, dtype="uint8"), image, c, c, c_positive, c, relu=True
    ),
    "bias_backward": call(image),
    "channel_scale": call(image, c),
    "channel_scale_backward": call(image, image, c),
    "channel_split": call(image, Spec((*IMAGE[:3], 5))),
    "clip": call(image, low=-0.5, high=0.75),
    "clip_backward": call(image, image, low=-0.5, high=0.75),
    "concat": call(real(3, 4, 5), real(3, 4, 8), real(3, 4, 1)),
    "conv2d": call(real(*X), real(*W), real(W[0]), **conv, relu=True),
    "conv2d_backward_input": call(real(*Y), real(*W), Spec(X), **conv),
    "conv2d_backward_weight": (dw_of := call(real(*X), real(*Y), Spec(W), **conv)),
    "conv2d_backward_weight_rows": dw_of,
    "conv2d_statistics": call(real(*X), real(*W), real(W[0]), **conv),
    "counter_advance": call(whole(3, 1), modulo=3),
    "discriminant_penalty": call(matrix, whole(4, N), lam=0.5),
    "discriminant_penalty_backward": call(matrix, whole(4, N), one, lam=0.5),
    "distillation": call(matrix, whole(ROW, N), matrix, alpha=0.5, temperature=2.0),
    "dropout": call(image, whole(1000, 2), **dropped),
    "dropout_backward": call(image, whole(1000, 2), **dropped),
    "elementwise_loss": call(matrix, matrix, kind="huber", parameter=0.7),
    "elu": call(image, alpha=0.8),
    "elu_backward": call(image, image, alpha=0.8),
    "fill": call(shape=(3, 7), value=2.5),
    "flatten": call(image),
    "gate": call(image, kind="sigmoid", alpha=50.0),
    "gate_backward": call(image, image, kind="sigmoid", alpha=5.0),
    "gate_clip_update": call(image, bound=0.5),
    "gather_channels": call(real(3, 5, N), *groups),
    "gate_penalty": call(c, lam=0.3),
    "gate_penalty_backward": call(Spec((C,)), one, lam=0.3),
    "gate_weights": call(real(*W), real(W[0]), estimator="value"),
    "gate_weights_backward": call(real(*W), real(*W), real(W[0]), estimator="value"),
    "gather_batch": call(whole(256, 5, 4, 6, 3, dtype="uint8"), plan(7, 5), real(3), real(3)),
    "global_avg_pool": call(image),
    "global_avg_pool_backward": call(real(3, 1, 1, C), Spec(IMAGE)),
    "leaky_relu": call(image, alpha=0.1),
    "leaky_relu_backward": call(image, image, alpha=0.1),
    "linear": call(matrix, real(9, ROW), real(9), relu=True),
    "linear_backward_input": call(real(N, 9), real(9, ROW)),
    "linear_backward_weight": call(matrix, real(N, 9)),
    "linear_backward_weight_rows": call(real(9, ROW), real(9, N), *groups),
    "linear_lazy": call(real(7, ROW), *lazy, real(N), relu=True),
    "linear_lazy_backward_input": call(real(7, N), *lazy),
    "logistic": call(image),
    "logistic_backward": call(probabilities(*IMAGE), image),
    "loss_backward": call(matrix, one),
    "mask_multiply": call(image, whole(2, *IMAGE, dtype="float32"), factor=1.5),
    "max_pool2d": call(image, **window, padding=(1, 1)),
    "max_pool2d_backward": call(
        real(3, 3, 4, C), whole(6, 3, 3, 4, C, dtype="uint8"), Spec(IMAGE), **window, padding=(1, 1)
    ),
    "maxout": call(matrix, pieces=4),
    "maxout_backward": call(real(N, 5), whole(4, N, 5, dtype="uint8"), pieces=4),
    "pad2d": call(image, pads=(1, 0, 2, 3)),
    "pad2d_backward": call(real(3, 8, 9, C), Spec(IMAGE), pads=(1, 0, 2, 3)),
    "prelu": call(image, one),
    "prelu_backward": call(image, one, image),
    "record_append": call(one, one, whole(9, 1), double(4, 3), whole(4, 1)),
    "relu": call(image),
    "relu_backward": call(image, image),
    "reshape_like": call(real(3, 30 * C), Spec(IMAGE)),
    "rmsprop_update": call(matrix, matrix, positive(*MATRIX), rate, **decays),
    "scale": call(image, factor=0.3),
    "score_accumulate": call(image, image, double(6, C), double(*IMAGE[1:]), double(*IMAGE[1:])),
    "score_from_gradients": call(
        double(2, MATRIX[0] + 7), *[matrix] * 2, *[real(7)] * 4, bias=(False, True)
    ),
    "semi_sync_adaptive_update": call(*rows, *groups, rate, rule="adam", beta1=0.9, beta2=0.99),
    "semi_sync_update": call(matrix, matrix, matrix, *groups, rate, momentum=0.9, **decays),
    "semi_sync_lazy_weight": call(*lazy),
    "semi_sync_materialise": call(*lazy),
    "semi_sync_update_lazy": call(
        matrix, real(3, ROW), *lazy[1:3], *groups, rate, momentum=0.9, **decays
    ),
    "sgd_update": call(matrix, matrix, matrix, rate, momentum=0.9, **decays),
    "sgd_update_many": call(
        rate,
        *[matrix] * 3,
        *[real(7)] * 3,
        with_v=True,
        momentum=(0.9, 0.5),
        weight_decay=(1e-2, 0.0),
    ),
    "sigmoid_cross_entropy": call(matrix, whole(ROW, N)),
    "softmax": call(matrix),
    "softmax_backward": call(probabilities(*MATRIX), matrix),
    "softmax_cross_entropy": call(matrix, whole(ROW, N)),
    "softplus": call(image),
    "softplus_backward": call(image, image),
    "sparse_penalty": call(image, lam=0.2, form="channel"),
    "sparse_penalty_backward": call(image, one, lam=0.2, form="channel"),
    "step": call(image),
    "tanh": call(image),
    "tanh_backward": call(signs(*IMAGE), image),
    "trace_accumulate": call(image, double(*IMAGE[1:]), double(2, C)),
}

# Without what is optional, and with other kernels: "<op>, <what is special>".
VARIANTS = {
    "avg_pool2d, odd channels": call(real(2, 4, 4, 5), kernel=(2, 2)),
    "batch_norm, odd channels": call(real(2, 3, 3, 5), *[real(5)] * 3, positive(5)),
    "batch_norm_backward, no relu": call(image, image, c, c, c_positive, None),
    "batch_norm_inference_backward, no relu": call(image, image, c, c, c_positive, None),
    "batch_norm_inference_backward_input, no relu": call(image, c, c_positive, None, None, None),
    "batch_norm_pool, odd channels": call(real(2, 5, 4, 5), *[real(5)] * 3, positive(5)),
    "batch_norm_pool_backward, no relu": call(
        real(*HALF), whole(4, *HALF, dtype="uint8"), image, c, c, c_positive, None
    ),
    "conv2d, no bias": call(real(*X), real(*W), None, **conv),
    "conv2d, by channels": call(image, real(C, 3, 3, 1), c, **conv, relu=True),
    "conv2d, in groups": call(image, real(8, 3, 2, C // 4), real(8), **conv),
    "conv2d, deep": call(real(1, 3, 3, 96), real(5, 3, 3, 96), real(5), **conv, relu=True),
    "conv2d_statistics, no bias": call(real(*X), real(*W), None, **conv),
    "conv2d_statistics, by channels": call(image, real(C, 3, 3, 1), c, **conv),
    "conv2d_statistics, in groups": call(image, real(8, 3, 2, C // 4), real(8), **conv),
    "conv2d_statistics, deep": call(real(1, 3, 3, 96), real(5, 3, 3, 96), real(5), **conv),
    "conv2d_backward_input, by channels": call(
        real(3, 3, 6, C), real(C, 3, 3, 1), Spec(IMAGE), **conv
    ),
    "conv2d_backward_weight, by channels": call(
        image, real(3, 3, 6, C), Spec((C, 3, 3, 1)), **conv
    ),
    "counter_advance, without end": call(whole(99, 1, dtype="int32"), modulo=0),
    "dropout, not inverted": call(real(7), whole(1000, 2), keep=0.3, stream=0, inverted=False),
    **{
        f"elementwise_loss, {kind}": call(
            probabilities(N, 5), probabilities(N, 5), kind=kind, parameter=parameter
        )
        for kind, parameter in (
            ("squared", 0.0),
            ("binary_ce", 0.0),
            ("binary_ce_logits", 0.0),
            ("categorical_ce", 0.0),
            ("quantile", 0.3),
            ("eps_insensitive", 0.1),
        )
    },
    **{
        f"elementwise_loss, {kind}": call(
            real(N, 5), signs(N, 5), kind=kind, parameter=0.0, reduction="sum"
        )
        for kind in ("logistic", "exponential", "hinge")
    },
    "gate, step": call(image, kind="step", alpha=50.0),
    "gate_backward, step": call(image, image, kind="step", alpha=50.0),
    "gate_weights, each": call(matrix, matrix, estimator="value"),
    "gate_weights_backward, each": call(matrix, matrix, matrix, estimator="sign"),
    "gather_batch, of float32": call(real(5, 4, 6, 3), plan(7, 5), real(3), real(3)),
    "linear, no bias": call(matrix, real(9, ROW), None),
    "linear, deep": call(real(3, 700), real(5, 700), real(5), relu=True),
    "linear_lazy, no bias": call(real(7, ROW), *lazy, None),
    "loss_backward, sum": call(matrix, one, reduction="sum"),
    "max_pool2d, 2 x 2": call(image, kernel=(2, 2)),
    "max_pool2d_backward, 2 x 2": call(
        real(*HALF), whole(4, *HALF, dtype="uint8"), Spec(IMAGE), kernel=(2, 2)
    ),
    "record_append, without correct": call(one, one, None, double(4, 3), whole(4, 1)),
    "score_accumulate, without g": call(image, None, double(6, C), None, None),
    "semi_sync_update, without v": call(matrix, matrix, None, *groups, rate),
    "semi_sync_update, compact": call(
        matrix, real(3, ROW), matrix, *groups, rate, momentum=0.5, compact=True
    ),
    "sgd_update, without v": call(matrix, matrix, None, rate),
    "sgd_update_many, without v": call(rate, *[matrix] * 2, *[real(3)] * 2),
    "sparse_penalty, by neuron": call(image, lam=0.2, form="neuron"),
    "sparse_penalty_backward, by neuron": call(image, one, lam=0.2, form="neuron"),
}
EXACT = {**{n: x for n, x in CALLS.items() if n in RUN}, **VARIANTS}
# Rounded operands, which the CPU has not or adds up in another order: that is for the ops' own tests.
ROUNDED = {
    f"{n}, {p}": Call(x.inputs, {**x.attrs, "precision": p})
    for n, x in CALLS.items()
    if n.startswith(("conv2d", "linear"))
    for p in ("tf32", "bfloat16")
}
CASES = {**EXACT, **ROUNDED}
