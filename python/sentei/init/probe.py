"""Measure how the variance of signals and gradients goes through a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import ShapeError
from sentei.graph import BATCH, Spec, op_named
from sentei.init.connections import weight_nodes
from sentei.model import Model
from sentei.passes import grad
from sentei.run import Runner

__all__ = ["ProbeRow", "probe"]


@dataclass(frozen=True)
class ProbeRow:
    """One convolution or linear layer on one batch.

    signal: variance of its output u over samples and elements (the claim to check: near 1).
    gradient: variance of the gradient that reaches its input, in units of the gradient's variance at
    the network's output; None without labels.
    """

    name: str
    op: str
    signal: float
    gradient: float | None = None


def probe(
    model: Model, images: NDArray[np.float32], labels: NDArray[np.int64] | None = None
) -> list[ProbeRow]:
    """Report each layer's signal variance forward and, with labels, gradient variance backward.

    Runs the training form once (batch statistics in batch norm); the model itself stays as it is.

    Args:
        model: as initialised. images (N, H, W, C) float32. labels (N,) int64: for the gradient of the
        summed softmax cross-entropy.
    Returns:
        A row for every convolution and linear layer, in order.
    Raises:
        ShapeError, DTypeError: the images or labels do not fit.
    Source: [I eq. 4, 5].
    """
    if images.ndim != len(model.input_shape) + 1 or images.shape[1:] != model.input_shape:
        raise ShapeError(
            f"probe: images must have shape (N, *{model.input_shape}), got {images.shape}"
        )
    if len(images) == 0:
        raise ShapeError("probe: images must hold at least one sample, got 0")
    model = model.copy()
    graph, nodes = model.graph, weight_nodes(model.graph)
    feeds: dict[str, NDArray[Any]] = {model.input: images}
    slopes: dict[str, str] = {}
    if labels is not None:
        graph = graph.copy()
        graph.add_input("labels", Spec((BATCH,), "int64"))
        out = graph.add(
            op_named("softmax_cross_entropy"),
            (model.output, "labels"),
            {"reduction": "sum"},
            "probe_loss",
        )
        wanted = [*(n.inputs[0] for n in nodes), model.output]
        graph, slopes = grad(graph, out[0], [v for v in dict.fromkeys(wanted) if v is not None])
        feeds["labels"] = labels
    keep = [*(n.outputs[0] for n in nodes), *slopes.values()]
    runner = Runner(graph, model.tensors, len(images), keep)
    runner.run(**feeds)

    def variance(value: str) -> float:
        return float(np.var(runner.fetch(value).astype(np.float64)))

    last = variance(slopes[model.output]) if slopes else 1.0
    rows = []
    for n in nodes:
        slope = slopes.get(n.inputs[0] or "")
        back = None if slope is None else variance(slope) / (last or 1.0)
        rows.append(ProbeRow(n.name, n.op.name, variance(n.outputs[0]), back))
    return rows
