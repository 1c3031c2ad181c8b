"""Masked network = pruned network: the proof that surgery took out exactly what the masks silence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import SenteiError
from sentei.graph import Graph, Node, Spec
from sentei.model import Model
from sentei.ops import CHANNEL_SCALE
from sentei.passes import inference
from sentei.prune.units import PruningMap, Unit
from sentei.run import Runner

__all__ = ["RELATIVE_TOLERANCE", "Verification", "VerificationError", "masked_outputs", "verify"]

# float32 sums in another order, through some tens of layers.
RELATIVE_TOLERANCE = 5e-5


class VerificationError(SenteiError, AssertionError):
    """The pruned network does not compute what the masked one does."""


@dataclass(frozen=True)
class Verification:
    """Largest difference between the two outputs, and the bound it had to keep."""

    max_abs_diff: float
    tolerance: float
    samples: int

    @property
    def passed(self) -> bool:
        return self.max_abs_diff <= self.tolerance


def _mask_values(
    graph: Graph, pruning: PruningMap, labels: list[int]
) -> tuple[Graph, dict[str, NDArray[np.float32]]]:
    """Where f(0) is not 0, a masked channel would speak again: multiply it by 0 after the op."""
    masks: dict[str, NDArray[np.float32]] = {}
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        ins = tuple(None if v is None else renamed.get(v, v) for v in node.inputs)
        nodes.append(Node(node.name, node.op, ins, node.outputs, node.attrs))
        own = any((v, 0) in pruning.groups.producing for v in node.inputs if v is not None)
        if node.op.zero_preserving or own:  # an op's own scale and shift are set to zero instead
            continue
        for out in node.outputs:
            axis = next((a for a in pruning.groups.labels if a[0] == out), None)
            if axis is None:
                continue
            gone = np.isin(pruning.groups.labels[axis], labels)
            if gone.any():
                name = f"{out}.mask"
                masks[name] = (~gone).astype(np.float32)
                nodes.append(Node(name, CHANNEL_SCALE, (out, name), (f"{out}.masked",), {}))
                renamed[out] = f"{out}.masked"
    if not masks:
        return graph, masks
    with_masks = graph.copy()
    for name, m in masks.items():
        with_masks.add_param(name, Spec(m.shape))
    outputs = [renamed.get(o, o) for o in graph.outputs]
    return with_masks.rebuild(nodes, outputs), masks


def masked_outputs(
    model: Model, pruning: PruningMap, units: Iterable[Unit], images: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Outputs of the full network with every parameter that makes these channels set to zero.

    Filters, biases, norm scales *and shifts* on the producing side become 0; what reads the channels
    stays as it is.
    """
    labels = [u.label for u in units]
    graph, masks = _mask_values(inference(model.graph), pruning, labels)
    changed = dict(masks)
    for (name, axis), indices in pruning.groups.elements(labels, pruning.groups.producing).items():
        if name in graph.values:
            array = changed[name] if name in changed else model.tensors[name].numpy()
            np.moveaxis(array, axis, 0)[indices] = 0.0
            changed[name] = array
    placed = {k: Tensor.from_numpy(a).to(model.device) for k, a in changed.items()}
    return _outputs(graph, {**model.tensors, **placed}, model.input, images)


def _outputs(
    graph: Graph, tensors: Mapping[str, Tensor], name: str, images: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Run an inference graph on tensors where they are; they are only read."""
    runner = Runner(graph, tensors, len(images))
    runner.run(**{name: np.ascontiguousarray(images)})
    return runner.fetch(graph.outputs[0])


def verify(
    before: Model,
    after: Model,
    pruning: PruningMap,
    units: Iterable[Unit],
    images: NDArray[np.float32],
) -> Verification:
    """Compare the masked `before` with the pruned `after` on images (N, H, W, C) float32.

    Raises:
        VerificationError: the outputs differ by more than rounding.
    """
    want = masked_outputs(before, pruning, units, images)
    got = _outputs(inference(after.graph), after.tensors, after.input, images)
    scale = float(np.abs(want).max()) or 1.0
    diff = float(np.abs(got - want).max())
    result = Verification(diff, RELATIVE_TOLERANCE * scale, len(images))
    if not result.passed or not np.isfinite(diff):
        raise VerificationError(
            f"verify: the pruned network must equal the masked one within {result.tolerance:.3e}, "
            f"but differs by {diff:.3e}"
        )
    return result
