"""batch_norm and batch_norm_inference: what they refuse, what backward emits, which axes they tie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sentei import _core
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Node, Spec
from sentei.ops import (
    BATCH_NORM,
    BATCH_NORM_INFERENCE,
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference_backward,
    batch_norm_inference_backward_input,
    batch_norm_inference_forward,
)
from sentei.tensor import Tensor

EPS = 1e-5
X, ONE, BAD = np.zeros((2, 3, 3, 5), np.float32), np.ones(5, np.float32), np.ones(4, np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batch_norm_forward(X[0], ONE, ONE, ONE, ONE), r"x must have shape \(N, H, W, C\)"),
        (
            lambda: batch_norm_forward(X, BAD, ONE, ONE, ONE),
            r"gamma must have shape \(5,\), got \(4,\)",
        ),
        (lambda: batch_norm_forward(X, ONE, BAD, ONE, ONE), "beta must have shape"),
        (lambda: batch_norm_forward(X, ONE, ONE, BAD, ONE), "running_mean must have shape"),
        (lambda: batch_norm_forward(X, ONE, ONE, ONE, BAD), "running_var must have shape"),
        (
            lambda: batch_norm_backward(X[:1], X, ONE, ONE, ONE),
            r"dy must have shape \(2, 3, 3, 5\)",
        ),
        (lambda: batch_norm_backward(X, X, ONE, BAD, ONE), "mean must have shape"),
        (lambda: batch_norm_backward(X, X, ONE, ONE, BAD), "rstd must have shape"),
        (lambda: batch_norm_backward(X, X, ONE, ONE, ONE, BAD, relu=True), "beta must have shape"),
        (lambda: batch_norm_inference_forward(X, ONE, ONE, BAD, ONE), "mean must have shape"),
        (lambda: batch_norm_inference_forward(X, ONE, ONE, ONE, BAD), "var must have shape"),
        (lambda: batch_norm_inference_backward(X[:1], X, ONE, ONE, ONE), "dy must have shape"),
        (
            lambda: batch_norm_inference_backward_input(X, ONE, ONE, X[:1], ONE, ONE, relu=True),
            "x must have shape",
        ),
    ],
)
def test_refuses_shapes(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batch_norm_forward(X, ONE, ONE, ONE, ONE, eps=0.0), "eps must be a finite number"),
        (
            lambda: batch_norm_forward(X, ONE, ONE, ONE, ONE, momentum=1.5),
            "momentum must be between 0 and 1, got 1.5",
        ),
        (
            lambda: batch_norm_inference_forward(X, ONE, ONE, ONE, ONE, eps=float("nan")),
            "eps must be a finite number",
        ),
        (lambda: batch_norm_backward(X, X, ONE, ONE, ONE, relu=True), "beta must be given"),
        (
            lambda: batch_norm_inference_backward(X, X, ONE, ONE, ONE, relu=True),
            "beta must be given",
        ),
        (lambda: batch_norm_inference_backward_input(X, ONE, ONE, relu=True), "x must be given"),
    ],
)
def test_refuses_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_refuses_dtype_overlap_and_small_workspace():
    with pytest.raises(DTypeError, match="x must be float32, got float64"):
        batch_norm_forward(X.astype(np.float64), ONE, ONE, ONE, ONE)
    whole = Tensor.zeros((3, 4))
    c = [Tensor.from_numpy(np.ones(4, np.float32)) for _ in range(4)]
    scratch = Tensor.empty((_core.batch_norm_workspace((2, 4)),), "uint8")
    with pytest.raises(ValueError, match="y must be x itself or not overlap it"):
        _core.batch_norm_inference_forward(
            whole.view((2, 4)), *c, whole.view((2, 4), 16), scratch, EPS, False
        )
    with pytest.raises(ShapeError, match="workspace must have at least"):
        _core.batch_norm_inference_forward(
            whole, *c, Tensor.zeros((3, 4)), Tensor.empty((8,), "uint8"), EPS, False
        )
    need = _core.batch_norm_workspace((3, 4))
    odd = Tensor.empty((need + 8,), "uint8").view((need,), 8)
    with pytest.raises(ValueError, match="workspace must be aligned to 64 bytes"):
        _core.batch_norm_inference_forward(whole, *c, Tensor.zeros((3, 4)), odd, EPS, False)
    y, scratch = Tensor.zeros((3, 4)), Tensor.empty((need,), "uint8")
    with pytest.raises(ValueError, match="mean must not overlap y"):
        _core.batch_norm_forward(
            whole, *c, y, y.view((4,)), Tensor.zeros((4,)), scratch, EPS, 0.1, False
        )
    with pytest.raises(ValueError, match="dgamma must not overlap dbeta"):
        _core.batch_norm_backward(
            whole, y, *c[:3], None, Tensor.zeros((3, 4)), c[3], c[3], scratch, False
        )


def test_frozen_statistics_are_refused():
    frozen = ONE.copy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="running_mean must be writable"):
        batch_norm_forward(X, ONE, ONE, frozen, ONE.copy())


class Recorder:
    """Gradient context that only notes what an op emits."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self.wanted = wanted
        self.nodes: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def emit(self, op, inputs, **attrs):
        self.nodes.append((op.name, tuple(inputs), attrs))
        outs = tuple(f"{op.name}.{o}" for o in op.outputs)
        return outs[0] if len(outs) == 1 else outs

    def needs(self, value):
        return value in self.wanted


def test_backward_emits_only_what_is_needed():
    ins = ("x", "g", "b", "m", "v")
    node = Node("n", BATCH_NORM_INFERENCE, ins, ("y",), {"relu": False})
    assert BATCH_NORM_INFERENCE.backward is not None
    ctx = Recorder(["x"])
    assert BATCH_NORM_INFERENCE.backward(ctx, node, ["dy"])[1:] == (None,) * 4
    assert ctx.nodes == [
        (
            "batch_norm_inference_backward_input",
            ("dy", "g", "v", None, None, None),
            {"eps": EPS, "relu": False},
        )
    ]
    ctx = Recorder(["x", "b"])
    grads = BATCH_NORM_INFERENCE.backward(ctx, node, ["dy"])
    assert ctx.nodes[0][0] == "batch_norm_inference_backward" and None not in grads[:3]
    node = Node("n", BATCH_NORM, ins, ("y", "mean", "rstd"), {"relu": True})
    ctx = Recorder(["x"])
    assert BATCH_NORM.backward is not None
    assert len(BATCH_NORM.backward(ctx, node, ["dy", None, None])) == 5
    assert ctx.nodes[0][1] == ("dy", "x", "g", "mean", "rstd", "b")


def test_ties_bind_all_axes_to_the_channels():
    x, c = Spec((2, 3, 3, 5)), Spec((5,))
    given = dict.fromkeys(("gamma", "beta", "running_mean", "running_var"), c)
    assert BATCH_NORM.ties is not None
    ties = BATCH_NORM.ties({"x": x, **given}, {"y": x, "mean": c, "rstd": c}, {})
    assert {t.a for t in ties} == {("x", 3), *((n, 0) for n in given), ("mean", 0), ("rstd", 0)}
    assert all(t.b == ("y", 3) for t in ties)
