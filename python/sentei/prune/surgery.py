"""Remove channel units physically: slice every parameter and statistic that belongs to them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei import _core
from sentei._core import Tensor
from sentei.errors import DataError, GraphError
from sentei.graph import Graph, Spec
from sentei.model import Model
from sentei.passes import ChannelGroups, infer_specs
from sentei.prune.units import PruningMap, Unit

__all__ = ["Keep", "cut", "keep_first", "original_channels", "remove", "shrunk_graph"]

_LARGE = 1 << 20  # elements from which threads pay
Keep = dict[tuple[str, int], NDArray[np.int64]]  # (value, axis) -> indices that stay


def shrunk_graph(graph: Graph, groups: ChannelGroups, labels: Iterable[int]) -> tuple[Graph, Keep]:
    """The graph without these units, and what stays of each parameter's and state's axes.

    Raises:
        GraphError: an axis would become empty.
    """
    stored = {v.name for v in graph.values.values() if v.role in ("param", "state")}
    keep = {k: i for k, i in groups.removal(labels).items() if k[0] in stored}
    specs: dict[str, Spec] = {}
    for (name, axis), indices in keep.items():
        if indices.size == 0:
            raise GraphError(f"surgery: {name} must keep at least one element of axis {axis}")
        old = specs.get(name) or graph.values[name].spec
        assert old is not None
        shape = list(old.shape)
        shape[axis] = int(indices.size)
        specs[name] = Spec(tuple(shape), old.dtype)
    smaller = graph.with_specs(specs)
    infer_specs(smaller, 1)  # the shapes must still fit together
    return smaller, keep


def cut(name: str, t: Tensor, keep: Mapping[tuple[str, int], NDArray[np.int64]]) -> Tensor:
    """A new tensor of what stays of `t` along each axis that `keep` has under this name."""
    cuts = [(a, keep[name, a]) for a in range(t.ndim) if (name, a) in keep]
    array = np.asarray(t) if t.device == "cpu" else t.numpy()
    for axis, indices in cuts[:-1]:
        array = np.take(array, indices, axis)
    if t.device != "cpu" or not cuts:
        array = np.take(array, cuts[-1][1], cuts[-1][0]) if cuts else array
        return Tensor.from_numpy(array).to(t.device)
    axis, indices = cuts[-1]
    shape = (*array.shape[:axis], len(indices), *array.shape[axis + 1 :])
    smaller = Tensor.empty(shape, t.dtype)
    _take(array, indices, axis, np.asarray(smaller))  # no copy in between
    return smaller


def _take(array: NDArray[Any], indices: NDArray[np.int64], axis: int, out: NDArray[Any]) -> None:
    """np.take into `out`; rows of a large array are shared by threads."""
    count = min(_core.threads(), len(array)) if axis and array.size >= _LARGE else 1
    ends = [len(array) * i // count for i in range(count + 1)]
    parts = [slice(a, b) for a, b in itertools.pairwise(ends)]

    def take(rows: slice) -> None:
        np.take(array[rows], indices, axis, out=out[rows], mode="clip")

    others = [threading.Thread(target=take, args=(p,)) for p in parts[1:]]
    for t in others:
        t.start()
    if axis:
        take(parts[0])
    else:
        np.take(array, indices, 0, out=out, mode="clip")
    for t in others:
        t.join()


def original_channels(model: Model) -> dict[str, list[int]]:
    """Numbers in the unpruned network of what is left, per layer; empty for one never pruned.

    Raises:
        DataError: the model's notes do not fit its layers.
    """
    kept = model.meta.get("kept") or {}
    widths = {
        n.name: model.tensors[str(n.inputs[1])].shape[0]
        for n in model.graph.nodes
        if n.op.name in ("conv2d", "linear")
    }
    fits = isinstance(kept, Mapping) and all(
        isinstance(v, list | tuple)
        and len(v) == widths.get(k)
        and all(isinstance(i, int) for i in v)
        for k, v in kept.items()
    )
    if not fits:
        raise DataError("prune: meta['kept'] must give every channel of a layer its first number")
    return {k: list(v) for k, v in kept.items()}


def remove(
    model: Model, pruning: PruningMap, units: Iterable[Unit], *, share: bool = False
) -> tuple[Model, Keep]:
    """A new, smaller model without these units; the given model stays as it is.

    share: tensors that lose nothing are those of the given model, not copies: to train one is then to
    change the other.

    Returns:
        The model, and for every sliced (value, axis) the indices that stay (for optimizer state).
    Raises:
        GraphError: no unit given, or nothing of a layer would be left.
    """
    units = list(units)
    if not units:
        raise GraphError("remove: at least one unit must be given")
    graph, keep = shrunk_graph(model.graph, pruning.groups, (u.label for u in units))
    touched = {name for name, _ in keep}
    tensors = {}
    for name, t in model.tensors.items():
        tensors[name] = t if share and name not in touched else cut(name, t, keep)
    smaller = Model(graph, tensors, model.meta)
    kept = original_channels(model)
    for node in graph.nodes:
        w = node.inputs[1] if node.op.name in ("conv2d", "linear") else None
        if w is not None and (w, 0) in keep:
            old = kept.get(node.name) or list(range(model.tensors[w].shape[0]))
            kept[node.name] = [old[i] for i in keep[(w, 0)].tolist()]
    smaller.meta["kept"] = kept  # original channel numbers of what is left, per layer
    return smaller, keep


def keep_first(pruning: PruningMap) -> list[Unit]:
    """Units whose removal leaves every layer at its floor: the smallest reachable network."""
    widths = pruning.widths()
    gone = []
    for unit in reversed(pruning.units):
        if pruning.removable(unit, widths):
            gone.append(unit)
            for layer, _ in unit.members:
                widths[layer] -= 1
    return gone
