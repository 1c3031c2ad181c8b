"""Batch norm and pooling, alone and fused as training graphs fuse them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from cases import Case, Peer, Pool, Step
from timing import torch

from sentei import ops
from sentei.graph import Op
from sentei.ops.eager import eager

Shape = tuple[int, int, int, int]
LAYOUTS = {
    "torch_nchw": {"precision": "float32", "storage": "float32", "layout": "NCHW"},
    "torch_channels_last": {"precision": "float32", "storage": "float32", "layout": "NHWC"},
}
EPS = 1e-5


def normalise(t: list[Any]) -> Any:
    """x, gamma, beta, running mean, running variance -> y as PyTorch's layers compute it."""
    return torch.batch_norm(*t, True, 0.1, EPS, True)


def gradient_of(x: Any, gamma: Any, beta: Any) -> tuple[Any, Callable[[Any], Any]]:
    """PyTorch's normalised x, and the call that maps its gradient to that of x."""
    aten = torch.ops.aten
    old = torch.zeros_like(gamma), torch.ones_like(gamma)
    y, m, r, reserve, kind = aten._batch_norm_impl_index(x, gamma, beta, *old, True, 0.1, EPS, True)

    def back(dy: Any) -> Any:
        return aten._batch_norm_impl_index_backward(
            kind, x, dy, gamma, *old, m, r, True, EPS, [True] * 3, reserve
        )[0]

    return y, back


def masked(dy: Any, y: Any) -> Any:
    return torch.ops.aten.threshold_backward(dy, y, 0)


def pool_of(x: Any) -> tuple[Any, Any]:
    y, where = torch.ops.aten.max_pool2d_with_indices(x, [2, 2], [2, 2])
    return y, where


def unpool(dy: Any, x: Any, where: Any) -> Any:
    back = torch.ops.aten.max_pool2d_with_indices_backward
    return back(dy, x, [2, 2], [2, 2], [0, 0], [1, 1], False, where)


# Peers of the gradients take the tensors that sentei's ops take.
def norm_backward(t: list[Any]) -> Any:
    dy, x, gamma, _, _, beta = t
    y, back = gradient_of(x, gamma, beta)
    y = torch.relu(y)
    return lambda: back(masked(dy, y))


def norm_pool_backward(t: list[Any]) -> Any:
    dy, _, x, gamma, _, _, beta = t
    y, back = gradient_of(x, gamma, beta)
    y = torch.relu(y)
    where = pool_of(y)[1]
    return lambda: back(masked(unpool(dy, y, where), y))


def norm_add_backward(t: list[Any]) -> Any:
    dy, y, x, gamma, _, _ = t
    _, back = gradient_of(x, gamma, torch.zeros_like(gamma))
    return lambda: back(masked(dy, y))


def norms(pool: Pool, shape: Shape) -> Iterator[Case]:
    """Batch norm with ReLU, with pooling behind it, with an addition before the ReLU.

    Bytes: statistics and their use are two passes over x (and, backward, over what the sums need).
    """
    text, c = "x".join(map(str, shape)), shape[-1]
    x, other, dy = (pool.normal(*shape) for _ in range(3))
    gamma, beta = pool.normal(c), pool.normal(c)
    states = np.zeros(c, np.float32), np.ones(c, np.float32)
    given = (x, gamma, beta, *states)
    n = x.nbytes

    def case(op: Op, inputs: Any, attrs: dict[str, Any], peer: Peer, moved: float) -> Case:
        name = op.name + ("+relu" if attrs.get("relu") else "")
        return Case(name, text, [Step(op, inputs, attrs)], peer, LAYOUTS, moved=round(moved))

    relu = {"relu": True}
    forward = {**relu, "eps": EPS, "momentum": 0.1}
    y, mean, rstd = (t.numpy() for t in eager(ops.BATCH_NORM, (x, gamma, beta, *copies(states))))
    yield case(
        ops.BATCH_NORM, given, forward, lambda t: lambda: torch.relu(normalise(t)), moved=3 * n
    )
    back = (dy, x, gamma, mean, rstd, beta)
    yield case(ops.BATCH_NORM_BACKWARD, back, relu, norm_backward, moved=5 * n)

    def pooled(t: list[Any]) -> Any:
        return lambda: pool_of(torch.relu(normalise(t)))[0]

    yield case(ops.BATCH_NORM_POOL, given, forward, pooled, moved=(2 + 1 / 4 + 1 / 16) * n)
    small, index = eager(ops.BATCH_NORM_POOL, (x, gamma, beta, *copies(states)), **relu)[:2]
    back = (pool.normal(*small.shape), index.numpy(), x, gamma, mean, rstd, beta)
    moved = (3 + 2 / 4 + 2 / 16) * n
    yield case(ops.BATCH_NORM_POOL_BACKWARD, back, relu, norm_pool_backward, moved)

    def added(t: list[Any]) -> Any:
        return lambda: torch.relu(normalise([t[0], *t[2:]]) + t[1])

    attrs = {"eps": EPS, "momentum": 0.1}
    yield case(ops.BATCH_NORM_ADD, (x, other, gamma, beta, *states), attrs, added, moved=4 * n)
    back = (dy, np.maximum(y + other, 0), x, gamma, mean, rstd)
    yield case(ops.BATCH_NORM_ADD_BACKWARD, back, {}, norm_add_backward, moved=7 * n)


def copies(states: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(s.copy() for s in states)


def pools(pool: Pool, shape: Shape) -> Iterator[Case]:
    """Max pooling 2x2; our index is a byte, PyTorch's eight."""
    text = "x".join(map(str, shape))
    x = pool.normal(*shape)
    attrs = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "ceil_mode": False}
    pooled, index = eager(ops.MAX_POOL2D, (x,), **attrs)
    dy = pool.normal(*pooled.shape)

    def backward(t: list[Any]) -> Any:
        dy, _, x = t
        where = pool_of(x)[1]
        return lambda: unpool(dy, x, where)

    forward: Peer = lambda t: lambda: pool_of(t[0])[0]  # noqa: E731
    yield Case("max_pool2d", text, [Step(ops.MAX_POOL2D, (x,), attrs)], forward, LAYOUTS)
    step = Step(ops.MAX_POOL2D_BACKWARD, (dy, index.numpy(), x), attrs)
    yield Case("max_pool2d_backward", text, [step], backward, LAYOUTS)
