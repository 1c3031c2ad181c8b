"""Elementwise activations. At 0 every one takes its x <= 0 branch, in the derivative too.

Gradients are computed from the output y where it tells the slope, so that x need not be kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sentei import _core
from sentei._core import Tensor
from sentei.graph import Node, OnnxContext, Op, register
from sentei.ops.eager import eager
from sentei.ops.elementwise import (
    backward_through,
    like_first,
    onnx_unary,
    runs,
    tie_channels,
)
from sentei.tensor import ArrayLike

__all__ = [
    "CLIP",
    "CLIP_BACKWARD",
    "ELU",
    "ELU_BACKWARD",
    "LEAKY_RELU",
    "LEAKY_RELU_BACKWARD",
    "LOGISTIC",
    "LOGISTIC_BACKWARD",
    "RELU",
    "RELU_BACKWARD",
    "SOFTPLUS",
    "SOFTPLUS_BACKWARD",
    "STEP",
    "TANH",
    "TANH_BACKWARD",
    "clip_backward",
    "clip_forward",
    "elu_backward",
    "elu_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "logistic_backward",
    "logistic_forward",
    "relu_backward",
    "relu_forward",
    "softplus_backward",
    "softplus_forward",
    "step_forward",
    "tanh_backward",
    "tanh_forward",
]


def _backward_op(name: str, saved: str, function: Callable[..., None], *attributes: str) -> Op:
    return register(
        Op(
            name=f"{name}_backward",
            inputs=(saved, "dy"),
            outputs=("dx",),
            infer=like_first(f"{name}_backward", "dy"),
            run=runs(function, *attributes),
        )
    )


def _forward_op(
    name: str,
    saved: str,
    function: Callable[..., None],
    back: Op,
    *attributes: str,
    onnx: str | Callable[[OnnxContext, Node], None],
    zero_preserving: bool = True,
) -> Op:
    return register(
        Op(
            name=name,
            inputs=("x",),
            outputs=("y",),
            infer=like_first(f"{name}_forward"),
            run=runs(function, *attributes),
            backward=backward_through(back, saved, *attributes),
            ties=tie_channels,
            to_onnx=onnx if callable(onnx) else onnx_unary(onnx, *attributes),
            zero_preserving=zero_preserving,
        )
    )


def _open(function: Callable[..., None]) -> Callable[..., None]:
    """With infinity where low or high, the last two arguments, is None: files hold finite numbers."""

    def run(*args: Any) -> None:
        low, high = args[-2:]
        function(*args[:-2], -math.inf if low is None else low, math.inf if high is None else high)

    return run


RELU_BACKWARD = _backward_op("relu", "y", _core.relu_backward)
RELU = _forward_op("relu", "y", _core.relu_forward, RELU_BACKWARD, onnx="Relu")

LEAKY_RELU_BACKWARD = _backward_op("leaky_relu", "y", _core.leaky_relu_backward, "alpha")
LEAKY_RELU = _forward_op(
    "leaky_relu", "y", _core.leaky_relu_forward, LEAKY_RELU_BACKWARD, "alpha", onnx="LeakyRelu"
)

ELU_BACKWARD = _backward_op("elu", "y", _core.elu_backward, "alpha")
ELU = _forward_op("elu", "y", _core.elu_forward, ELU_BACKWARD, "alpha", onnx="Elu")


def _clip_to_onnx(ctx: OnnxContext, node: Node) -> None:
    ends = [node.attrs[k] for k in ("low", "high")]
    given = [
        None if e is None else ctx.constant(np.array(e, np.float32), f"{node.name}.end")
        for e in ends
    ]
    ctx.emit("Clip", (node.inputs[0], *given), node.outputs[0])


# Of a range without 0 the bound nearest to it stands for a channel of zeros.
CLIP_BACKWARD = _backward_op("clip", "y", _open(_core.clip_backward), "low", "high")
CLIP = _forward_op(
    "clip",
    "y",
    _open(_core.clip_forward),
    CLIP_BACKWARD,
    "low",
    "high",
    onnx=_clip_to_onnx,
    zero_preserving=False,
)

LOGISTIC_BACKWARD = _backward_op("logistic", "y", _core.logistic_backward)
LOGISTIC = _forward_op(
    "logistic",
    "y",
    _core.logistic_forward,
    LOGISTIC_BACKWARD,
    onnx="Sigmoid",
    zero_preserving=False,
)

TANH_BACKWARD = _backward_op("tanh", "y", _core.tanh_backward)
TANH = _forward_op("tanh", "y", _core.tanh_forward, TANH_BACKWARD, onnx="Tanh")

SOFTPLUS_BACKWARD = _backward_op("softplus", "x", _core.softplus_backward)
SOFTPLUS = _forward_op(
    "softplus",
    "x",
    _core.softplus_forward,
    SOFTPLUS_BACKWARD,
    onnx="Softplus",
    zero_preserving=False,
)


def _step_to_onnx(ctx: OnnxContext, node: Node) -> None:
    zero = ctx.constant(np.zeros((), np.float32), "zero")
    above = ctx.emit("Greater", (node.inputs[0], zero))
    ctx.emit("Cast", (above,), node.outputs[0], to=1)  # float32


# No backward: the derivative is 0 everywhere, so nothing flows through a step.
STEP = register(
    Op(
        name="step",
        inputs=("x",),
        outputs=("y",),
        infer=like_first("step_forward"),
        run=runs(_core.step_forward),
        ties=tie_channels,
        to_onnx=_step_to_onnx,
    )
)


def relu_forward(x: ArrayLike) -> Tensor:
    """Rectify.

    y = max(x, 0)

    Args:
        x (Tensor, any shape of at most four axes, float32).
    Returns:
        y (Tensor, shape of x, float32); NaN stays NaN.
    Raises:
        DTypeError: not float32.
    """
    return eager(RELU, (x,))[0]


def relu_backward(y: ArrayLike, dy: ArrayLike) -> Tensor:
    """Return the gradient of relu_forward: dx = dy if y > 0 else 0.

    Args:
        y (Tensor, float32): output of relu_forward. dy (Tensor, shape of y, float32).
    Returns:
        dx (Tensor, shape of y, float32).
    Raises:
        ShapeError: shapes differ. DTypeError: not float32.
    """
    return eager(RELU_BACKWARD, (y, dy))[0]


def leaky_relu_forward(x: ArrayLike, *, alpha: float) -> Tensor:
    """Rectify, with a small slope below 0.

    y = x if x > 0 else alpha x

    Args:
        x (Tensor, any shape of at most four axes, float32). alpha (float, >= 0).
    Returns:
        y (Tensor, shape of x, float32).
    Raises:
        DTypeError: not float32. ValueError: alpha is negative or not finite.
    """
    return eager(LEAKY_RELU, (x,), alpha=alpha)[0]


def leaky_relu_backward(y: ArrayLike, dy: ArrayLike, *, alpha: float) -> Tensor:
    """Return the gradient of leaky_relu_forward: dx = dy if y > 0 else alpha dy.

    Args:
        y (Tensor, float32): output of leaky_relu_forward. dy (Tensor, shape of y, float32).
        alpha (float, >= 0).
    Returns:
        dx (Tensor, shape of y, float32).
    Raises:
        ShapeError: shapes differ. DTypeError: not float32. ValueError: alpha.
    """
    return eager(LEAKY_RELU_BACKWARD, (y, dy), alpha=alpha)[0]


def elu_forward(x: ArrayLike, *, alpha: float) -> Tensor:
    """Apply the exponential linear unit.

    y = x if x > 0 else alpha (exp(x) - 1)

    Args:
        x (Tensor, any shape of at most four axes, float32). alpha (float, >= 0).
    Returns:
        y (Tensor, shape of x, float32).
    Raises:
        DTypeError: not float32. ValueError: alpha is negative or not finite.
    """
    return eager(ELU, (x,), alpha=alpha)[0]


def elu_backward(y: ArrayLike, dy: ArrayLike, *, alpha: float) -> Tensor:
    """Return the gradient of elu_forward: dx = dy if y > 0 else dy (y + alpha).

    Args:
        y (Tensor, float32): output of elu_forward. dy (Tensor, shape of y, float32).
        alpha (float, >= 0).
    Returns:
        dx (Tensor, shape of y, float32).
    Raises:
        ShapeError: shapes differ. DTypeError: not float32. ValueError: alpha.
    """
    return eager(ELU_BACKWARD, (y, dy), alpha=alpha)[0]


def clip_forward(x: ArrayLike, *, low: float | None, high: float | None) -> Tensor:
    """Hold values within a range; 0 to 6 is ReLU6.

    y = min(max(x, low), high)

    Args:
        x (Tensor, any shape of at most four axes, float32).
        low, high (float or None): low <= high; None leaves a side open.
    Returns:
        y (Tensor, shape of x, float32); NaN stays NaN.
    Raises:
        DTypeError: not float32. ValueError: low is above high, or one is NaN.
    """
    return eager(CLIP, (x,), low=low, high=high)[0]


def clip_backward(y: ArrayLike, dy: ArrayLike, *, low: float | None, high: float | None) -> Tensor:
    """Return the gradient of clip_forward: dx = dy if low < y < high else 0.

    Args:
        y (Tensor, float32): output of clip_forward. dy (Tensor, shape of y, float32).
        low, high (float or None): as given to clip_forward.
    Returns:
        dx (Tensor, shape of y, float32).
    Raises:
        ShapeError: shapes differ. DTypeError: not float32. ValueError: low and high.
    """
    return eager(CLIP_BACKWARD, (y, dy), low=low, high=high)[0]


def logistic_forward(x: ArrayLike) -> Tensor:
    """Apply the logistic function (sigmoid).

    y = 1 / (1 + exp(-x)), without overflow for any x

    Args:
        x (Tensor, any shape of at most four axes, float32).
    Returns:
        y (Tensor, shape of x, float32), between 0 and 1.
    Raises:
        DTypeError: not float32.
    """
    return eager(LOGISTIC, (x,))[0]


def logistic_backward(y: ArrayLike, dy: ArrayLike) -> Tensor:
    """Return the gradient of logistic_forward: dx = dy y (1 - y).

    Args:
        y (Tensor, float32): output of logistic_forward. dy (Tensor, shape of y, float32).
    Returns:
        dx (Tensor, shape of y, float32).
    Raises:
        ShapeError: shapes differ. DTypeError: not float32.
    """
    return eager(LOGISTIC_BACKWARD, (y, dy))[0]


def tanh_forward(x: ArrayLike) -> Tensor:
    """Apply the hyperbolic tangent.

    y = tanh(x)

    Args:
        x (Tensor, any shape of at most four axes, float32).
    Returns:
        y (Tensor, shape of x, float32), between -1 and 1.
    Raises:
        DTypeError: not float32.
    """
    return eager(TANH, (x,))[0]


def tanh_backward(y: ArrayLike, dy: ArrayLike) -> Tensor:
    """Return the gradient of tanh_forward: dx = dy (1 - y) (1 + y).

    Args:
        y (Tensor, float32): output of tanh_forward. dy (Tensor, shape of y, float32).
    Returns:
        dx (Tensor, shape of y, float32).
    Raises:
        ShapeError: shapes differ. DTypeError: not float32.
    """
    return eager(TANH_BACKWARD, (y, dy))[0]


def softplus_forward(x: ArrayLike) -> Tensor:
    """Apply the smooth rectifier.

    y = log(1 + exp(x)), without overflow for any x

    Args:
        x (Tensor, any shape of at most four axes, float32).
    Returns:
        y (Tensor, shape of x, float32).
    Raises:
        DTypeError: not float32.
    """
    return eager(SOFTPLUS, (x,))[0]


def softplus_backward(x: ArrayLike, dy: ArrayLike) -> Tensor:
    """Return the gradient of softplus_forward: dx = dy / (1 + exp(-x)).

    Args:
        x (Tensor, float32): input of softplus_forward. dy (Tensor, shape of x, float32).
    Returns:
        dx (Tensor, shape of x, float32).
    Raises:
        ShapeError: shapes differ. DTypeError: not float32.
    """
    return eager(SOFTPLUS_BACKWARD, (x, dy))[0]


def step_forward(x: ArrayLike) -> Tensor:
    """Tell which elements are above 0.

    y = 1 if x > 0 else 0; its derivative is 0, so no gradient passes.

    Args:
        x (Tensor, any shape of at most four axes, float32).
    Returns:
        y (Tensor, shape of x, float32): 0, 1, or NaN where x is NaN.
    Raises:
        DTypeError: not float32.
    """
    return eager(STEP, (x,))[0]
