"""Batch sums of x . g from parameters and their gradients: scores without reading a feature map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = ["SCORE_FROM_GRADIENTS", "score_from_gradients"]

NAME = "score_from_gradients"


def _layers(attrs: Attrs) -> Iterator[tuple[int, int]]:
    """(place of its w among the rows, number of tensors) of every layer."""
    at = 0
    for with_b in attrs["bias"]:
        yield at, 4 if with_b else 2
        at += 4 if with_b else 2


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    stats, *rows = inputs
    assert stats is not None
    need = sum(n for _, n in _layers(attrs))
    if len(rows) != need:
        raise ShapeError(
            f"{NAME}: rows must hold {need} tensors for {len(attrs['bias'])} layers, got {len(rows)}"
        )
    width = 0
    for at, n in _layers(attrs):
        w = rows[at]
        assert w is not None
        if not w.shape:
            raise ShapeError(f"{NAME}: rows{at} must have shape (K, ...), got {w.shape}")
        for i in range(1, n):
            spec, want = rows[at + i], w.shape if i == 1 else w.shape[:1]
            if spec is None or spec.shape != want:
                got = None if spec is None else spec.shape
                raise ShapeError(f"{NAME}: rows{at + i} must have shape {want}, got {got}")
        width += w.shape[0]
    if stats.shape != (2, width):
        raise ShapeError(f"{NAME}: stats must have shape {(2, width)}, got {stats.shape}")
    return ()


def _run(
    inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None
) -> None:
    _core.score_from_gradients(inputs[0], inputs[1:], list(attrs["bias"]))


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    ties, column = [], 0
    for at, n in _layers(attrs):
        shape = inputs[f"rows{at}"].shape
        own = np.arange(shape[0])
        ties.append(Tie((f"rows{at}", 0), ("stats", 1), own, column + own))
        ties += [Tie((f"rows{at}", a), (f"rows{at + 1}", a)) for a in range(len(shape))]
        ties += [Tie((f"rows{at}", 0), (f"rows{at + i}", 0)) for i in range(2, n)]
        column += shape[0]
    return ties


SCORE_FROM_GRADIENTS = register(
    Op(
        name=NAME,
        inputs=("stats", "rows*"),
        outputs=(),
        infer=_infer,
        run=_run,
        ties=_ties,
        mutates=("stats",),
    )
)


def score_from_gradients(stats: ArrayLike, *layers: Sequence[ArrayLike]) -> None:
    """Add one batch's sums of x . g, taken from parameters and their gradients.

    v[k] = sum_j w[k,j] dw[k,j] + b[k] db[k];  stats[0] += v,  stats[1] += v^2

    For a batch norm (w = gamma, b = beta), a convolution or a linear layer v is the sum of y dy over
    samples and pixels of its output's channel k, and of what follows up to the next ReLU or max pool.

    Args:
        stats (Tensor, (2, sum of the K), float64): changed; zeros at the start; layers in order.
        layers (sequence): (w, dw) or (w, dw, b, db) of each, float32: w, dw of shape (K, ...),
        b, db (K,).
    Raises:
        ShapeError, DTypeError: as said above. ValueError: shared memory.
    Cost:
        8 bytes per parameter; float64 sums.
    Source:
        T table 4.2 and eq. 4.32, summed over the batch before the product is formed.
    """
    bias = tuple(len(layer) == 4 for layer in layers)
    eager(SCORE_FROM_GRADIENTS, (stats, *(x for layer in layers for x in layer)), bias=bias)
