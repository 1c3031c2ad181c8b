"""The feature maps of a Pruning Block, drawn in two dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import GraphError, ShapeError
from sentei.model import Model
from sentei.passes import inference
from sentei.prune.block import blocks_of
from sentei.run import Runner

__all__ = ["BlockMap", "block_maps", "principal_axes"]

Points = NDArray[np.float64]


@dataclass(frozen=True)
class BlockMap:
    """A map of a block: where, its channels, the test images in the plane of its two first axes.

    share: of the training images' variance that each axis holds.
    """

    layer: str
    name: str
    channels: int
    points: Points
    share: tuple[float, float]


def principal_axes(x: NDArray[Any]) -> tuple[Points, Points, NDArray[np.float64]]:
    """Mean (D,), two principal axes (2, D) and the share of the variance of each.

    Args:
        x (N, D): N at least 1. Missing axes (D or N too small, no variance) are 0.
    The sign of an axis is that of its largest entry, so that the same data give the same picture.
    """
    if x.ndim != 2 or len(x) < 1:
        raise ShapeError(f"principal_axes: x must have shape (N, D) with N > 0, got {x.shape}")
    x = x.astype(np.float64)
    mean = x.mean(axis=0)
    _, s, axes = np.linalg.svd(x - mean, full_matrices=False)
    power = s**2
    total = float(power.sum()) or 1.0
    found, share = np.zeros((2, x.shape[1])), np.zeros(2)
    for i in range(min(2, int(np.count_nonzero(s)))):
        found[i] = axes[i] * (np.sign(axes[i][np.abs(axes[i]).argmax()]) or 1.0)
        share[i] = power[i] / total
    return mean, found, share


def block_maps(
    model: Model, train: NDArray[np.float32], test: NDArray[np.float32], layer: str | None = None
) -> tuple[BlockMap, ...]:
    """Maps of a block of this model: its input u, the gated code, after the activation, its output.

    The axes are those of the training images; the test images are projected on them.

    Args:
        model: with blocks, gated or closed, not folded. train, test (N, H, W, C): images as the
        network takes them. layer: the convolution that the block follows; None: the last one.
    Raises:
        GraphError: no such block.
    Source:
        T section 4.8, figure 4.10.
    """
    layers = blocks_of(model.graph)
    if layer is None and layers:
        layer = layers[-1]
    if layer not in layers:
        raise GraphError(
            f"block_maps: layer must name a block, one of {list(layers)}, got {layer!r}"
        )
    graph = inference(model.graph)
    enc, dec = graph.node(f"{layer}.encoder"), graph.node(f"{layer}.decoder")
    values = {
        "input": str(enc.inputs[0]),
        "code": enc.outputs[0],
        "activation": str(dec.inputs[0]),
        "output": dec.outputs[0],
    }
    if values["code"] == values["activation"]:
        del values["activation"]
    end = next(i for i, n in enumerate(graph.nodes) if n is dec) + 1
    cut = graph.rebuild(graph.nodes[:end], tuple(values.values()))
    maps = [_values(model, cut, images) for images in (train, test)]
    found = []
    for name, value in values.items():
        seen, shown = (m[value] for m in maps)
        mean, axes, share = principal_axes(seen.reshape(len(seen), -1))
        points = (shown.reshape(len(shown), -1) - mean) @ axes.T
        both = float(share[0]), float(share[1])
        found.append(BlockMap(str(layer), name, seen.shape[-1], points, both))
    return tuple(found)


def _values(model: Model, graph: Any, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    tensors = {k: t for k, t in model.tensors.items() if k in graph.values}
    batch = min(100, len(images))
    runner = Runner(graph, tensors, batch, device=model.device)
    parts: dict[str, list[NDArray[Any]]] = {v: [] for v in graph.outputs}
    for i in range(0, len(images) // batch * batch, batch):
        runner.run(**{model.input: np.ascontiguousarray(images[i : i + batch])})
        for v in graph.outputs:
            parts[v].append(runner.fetch(v).copy())
    return {v: np.concatenate(p) for v, p in parts.items()}
