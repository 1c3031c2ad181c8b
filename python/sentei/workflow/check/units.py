"""The images that excite a unit most, and the part of them that it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sentei.errors import GraphError
from sentei.graph import Graph, Node, Spec
from sentei.model import Model
from sentei.ops.pool2d import window_of
from sentei.passes import infer_specs, inference
from sentei.run import Runner
from sentei.suggest import unknown

__all__ = ["Box", "Found", "Units", "check_units", "field_of"]


class Box(NamedTuple):
    """Rows top..bottom and columns left..right of an image, both ends included."""

    top: int
    bottom: int
    left: int
    right: int

    def join(self, other: Box | None) -> Box:
        """The smallest that holds both."""
        if other is None:
            return self
        return Box(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )

    def inside(self, height: int, width: int) -> Box:
        """What of it lies in an image; padding is left out."""
        return Box(
            max(self.top, 0),
            min(self.bottom, height - 1),
            max(self.left, 0),
            min(self.right, width - 1),
        )


class Found(NamedTuple):
    """An image (its place in the data), the unit's value there, and what of the image it sees."""

    image: int
    value: float
    box: Box


@dataclass(frozen=True)
class Units:
    """Of every unit asked for the images that excite it most, best first."""

    layer: str
    width: int
    found: dict[int, tuple[Found, ...]]
    images: int


def check_units(
    model: Model,
    layer: str,
    batches: Iterable[NDArray[np.float32]],
    total: int,
    *,
    units: Sequence[int] | None = None,
    most: int = 16,
    keep: int = 8,
    progress: Callable[[int, int, str], None] | None = None,
) -> Units:
    """Run images through a network and keep, per unit of a layer, those with the largest values.

    The value of a filter for an image is the largest over its map; of equal ones the first image, and
    the first pixel row by row, counts. In inference form; after an activation when it is asked for by
    its own name.

    Args:
        layer: name of a node of the model, e.g. "conv2" or "relu2". batches: images (N, H, W, C),
        standardised. total: how many there are, for the progress. units: numbers of units; None: the
        first `most`. keep: images per unit.
    Raises:
        GraphError: no such layer or unit.
    Source:
        L: the inputs that excite a unit most.
    """
    if keep < 1:
        raise ValueError(f"check: images must be at least 1, got {keep}")
    graph = inference(model.graph)
    names = [n.name for n in graph.nodes]
    if layer not in names:
        raise GraphError(unknown("check: layer", layer, names))
    node = graph.node(layer)
    value = node.outputs[0]
    shape = infer_specs(graph, 1)[value].shape
    width = shape[-1]
    chosen = list(range(min(most, width))) if units is None else list(units)
    for u in chosen:
        if not 0 <= u < width:
            raise GraphError(f"check: units of {layer} must lie in [0, {width}), got {u}")
    best: dict[int, list[tuple[float, int, int]]] = {u: [] for u in chosen}
    runners: dict[int, Runner] = {}
    at = 0
    for x in batches:
        n = len(x)
        if n not in runners:
            runners[n] = Runner(graph, model.tensors, n, (value,), model.device)
        runners[n].run(**{model.input: np.ascontiguousarray(x)})
        maps = runners[n].fetch(value).reshape(n, -1, width)[:, :, chosen]
        where = maps.argmax(1)
        peak = np.take_along_axis(maps, where[:, None], 1)[:, 0]
        for column, u in enumerate(chosen):
            new = [(float(peak[i, column]), at + i, int(where[i, column])) for i in range(n)]
            best[u] = sorted(best[u] + new, key=lambda v: (-v[0], v[1]))[:keep]
        at += n
        if progress is not None:
            progress(at, total, layer)
    field = field_of(graph, value)
    rows = {}
    for u, found in best.items():
        boxes = [
            field(*divmod(pixel, shape[2]) if len(shape) == 4 else (0, 0)) for *_, pixel in found
        ]
        rows[u] = tuple(Found(i, v, b) for (v, i, _), b in zip(found, boxes, strict=True))
    return Units(layer, width, rows, at)


def field_of(graph: Graph, value: str) -> Callable[[int, int], Box]:
    """What of the image a pixel of a value sees, as a function of its row and column.

    A layer without pixels, and what follows a flatten, sees all that its input sees anywhere.
    """
    specs = infer_specs(graph, 1)
    producers = graph.producers()
    image = next(v.name for v in graph.values.values() if v.role == "input")

    def whole(name: str) -> Box:
        h, w = specs[name].shape[1:3] if _pixels(specs[name]) else (1, 1)
        return Box(0, h - 1, 0, w - 1)

    order = {n.name: i for i, n in enumerate(graph.nodes)}

    def field(row: int, column: int) -> Box:
        waiting: dict[str, Box] = {value: Box(row, row, column, column)}
        seen: Box | None = None
        while waiting:
            # the last value first: then all that read it have been followed
            name = max(waiting, key=lambda v: order[producers[v].name] if v in producers else -1)
            box = waiting.pop(name)
            if name == image:
                seen = box.join(seen)
            if name not in producers:
                continue
            node = producers[name]
            for v in _maps(node, graph):
                inner = None
                if _pixels(specs[v]) and _pixels(specs[name]):
                    inner = _before(node, box, specs)
                # what lies in the padding depends on no image
                inner = whole(v) if inner is None else inner.inside(*specs[v].shape[1:3])
                waiting[v] = inner.join(waiting.get(v))
        return seen or whole(image)

    return field


def _pixels(spec: Spec) -> bool:
    return len(spec.shape) == 4


def _maps(node: Node, graph: Graph) -> list[str]:
    """Inputs that come from the image."""
    return [v for v in node.inputs if v is not None and graph.values[v].role in ("temp", "input")]


def _before(node: Node, box: Box, specs: Mapping[str, Spec]) -> Box | None:
    """What of its input a node needs for this part of its output; None: all of it."""
    kind = node.op.name
    if kind.startswith("global"):
        return None
    dilation: tuple[int, int] = (1, 1)
    if kind in ("max_pool2d", "avg_pool2d"):
        kernel, stride, padding, _ = window_of(kind, node.attrs)
    elif kind == "conv2d":
        _, r, s, _ = specs[str(node.inputs[1])].shape
        kernel = r, s
        stride, padding, dilation = (node.attrs[k] for k in ("stride", "padding", "dilation"))
    else:
        return box
    ends: list[int] = []
    for axis, (low, high) in enumerate((box[:2], box[2:])):
        reach = (kernel[axis] - 1) * dilation[axis]
        ends += [low * stride[axis] - padding[axis], high * stride[axis] - padding[axis] + reach]
    return Box(*ends)
