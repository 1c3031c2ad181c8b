"""Scores of all prunable layers over many samples: forward and one backward pass in inference mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import DataError, GraphError
from sentei.graph import Graph, Node, Spec
from sentei.model import Model
from sentei.ops import SCORE_ACCUMULATE, SOFTMAX_CROSS_ENTROPY, TRACE_ACCUMULATE
from sentei.passes import fold_relu, grad, infer_specs, inference
from sentei.prune import importance
from sentei.prune.batch_sums import (
    add_after,
    add_free_sums,
    chain,
    columns,
    free_parameters,
    from_norm,
)
from sentei.prune.units import PruningMap, weight_of
from sentei.run import Runner

__all__ = ["LayerScores", "ScoreLoss", "score_layers", "score_points"]

_LABELS = "score.labels"
_FREE = "score.free"
_LOSS_OPS = ("softmax_cross_entropy", "sigmoid_cross_entropy", "elementwise_loss")


_Means = tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]


class ScoreLoss(Protocol):
    """What is asked of a loss (those of sentei.losses have it): one node with a reduction."""

    @property
    def takes(self) -> str:
        """Name of the input that carries the truth."""

    def emit(self, graph: Graph, output: str) -> Any:
        """Append the loss of `output`; `.loss` of what is returned names the scalar."""

    def truth(self, labels: NDArray[Any], outputs: int) -> NDArray[Any]:
        """What to feed for these labels or targets."""


@dataclass(frozen=True)
class LayerScores:
    """Scores of one layer's channels. raw: as the equation has them; values: normalised, what is
    ranked; standard_error: of raw (None where the criterion has none). feature: mean of the map over
    samples and pixels; gradient: mean of |E[g]| over pixels (None where they were not gathered)."""

    layer: str
    values: NDArray[np.float64]
    raw: NDArray[np.float64]
    standard_error: NDArray[np.float64] | None = None
    feature: NDArray[np.float64] | None = None
    gradient: NDArray[np.float64] | None = None


def score_points(graph: Graph, layers: Sequence[str]) -> dict[str, str]:
    """The value whose channels are scored for each layer: after batch norm and activation.

    The chain from the layer ends at the first value that several nodes read, at an addition, a pool
    or any other op. `graph` is in inference form.
    """
    return {name: chain(graph, name)[-1].outputs[0] for name in layers}


def score_layers(
    model: Model,
    pruning: PruningMap,
    criterion: str = "robust",
    *,
    normalize: float | None = 1.0,
    images: NDArray[np.float32] | None = None,
    labels: NDArray[Any] | None = None,
    batch: int = 100,
    loss: ScoreLoss | None = None,
    l1_std_a: float = 0.5,
    standard_errors: bool = True,
    means: bool | None = None,
) -> tuple[LayerScores, ...]:
    """Score every layer that has prunable channels.

    E is over the given samples: how they are cut into batches does not matter. g is the gradient of
    each sample's own loss; batch norm uses its moving averages and dropout its expectation.

    Args:
        criterion: name in importance.CRITERIA. normalize: p of the Lp normalisation, None for none.
        images ((N, H, W, C), float32), labels ((N,), int64, or what `loss` takes): samples; not
        needed for `l1_std`, labels for `norm` neither.
        loss: the one the network was trained with; None: softmax cross-entropy.
        standard_errors: False leaves them out; `first` and `oracle` of layers with a batch norm then
        come from its gradients, and to float32's rounding, not to the bit, depend on `batch`.
        means: gather `feature` and `gradient`, for which the maps of all layers are summed; None: where
        the criterion sums them anyway.
    Raises:
        ValueError: unknown criterion. DataError: samples missing, or not as many labels as images.
    Source: methods section 5 [T eq. 4.5 to 4.13, 4.30 to 4.33].
    """
    kind = importance.criterion(criterion)
    layers = list(dict.fromkeys(layer for u in pruning.units for layer, _ in u.members))
    weights = {n: weight_of(model.graph.node(n)) for n in layers}
    if kind.needs == "weights":
        raw = {n: importance.l1_std(model.tensors[weights[n]].numpy(), l1_std_a) for n in layers}
        if not means:
            return tuple(_finish(criterion, normalize, n, raw[n], None) for n in layers)
        robust = score_layers(
            model, pruning, "robust", normalize=None, images=images, labels=labels, batch=batch,
            loss=loss,
        )  # fmt: skip
        return tuple(
            _finish(criterion, normalize, s.layer, raw[s.layer], None, (s.feature, s.gradient))
            for s in robust
        )
    if images is None or len(images) == 0:
        raise DataError(f"score: images must be given for {criterion}, got none")
    if labels is None:
        if kind.needs != "norm" or means:
            raise DataError(
                f"score: labels must be given for {criterion}, whose gradients are those of a loss, "
                "got none (l1_std and norm need no loss)"
            )
        labels = np.zeros(len(images), np.int64)  # not read
    if len(labels) != len(images):
        raise DataError(
            f"score: there must be as many labels as images ({len(images)}), got {len(labels)}"
        )
    if means:
        kind = replace(kind, maps=True, needs="gradient" if kind.needs == "norm" else kind.needs)
    free = kind.sum_only and not standard_errors and not means
    pass_ = _ScorePass(model, layers, kind, min(batch, len(images)), loss, free)
    pass_.run(images, labels)
    n = len(images)
    found = []
    for layer in layers:
        values, error = pass_.score(layer, n)
        error = error if standard_errors else None
        seen = None if means is False else pass_.means(layer, n)
        found.append(_finish(criterion, normalize, layer, values, error, seen))
    return tuple(found)


def _finish(
    name: str,
    p: float | None,
    layer: str,
    raw: NDArray[np.float64],
    error: NDArray[np.float64] | None,
    means: _Means | None = None,
) -> LayerScores:
    values = raw if p is None else importance.normalize(name, raw, p)
    return LayerScores(layer, values, raw, error, *(means or (None, None)))


class _ScorePass:
    """Graphs, accumulators and runners of one scoring."""

    def __init__(
        self,
        model: Model,
        layers: Sequence[str],
        kind: importance.Criterion,
        batch: int,
        loss: ScoreLoss | None,
        free: bool,
    ) -> None:
        self.model, self.layers, self.kind, self.batch = model, list(layers), kind, batch
        self._truth = _LABELS if loss is None else loss.takes
        self._loss = loss
        forward = inference(fold_relu(model.graph))
        self.points = score_points(forward, layers)
        specs = infer_specs(forward, 1)
        self._widths = {k: specs[v].shape[-1] for k, v in self.points.items()}
        self._free = self._free_layers(forward) if free else {}
        self.sums: dict[str, Tensor] = {}
        self._outputs = specs[forward.outputs[0]].shape[-1]
        self._graph = self._first_pass(forward, specs)
        self._second = self._trace_pass(forward, specs) if kind.needs == "two_pass" else None
        self._tensors = {k: t for k, t in model.tensors.items() if k in self._graph.values}

    def _free_layers(self, forward: Graph) -> dict[str, tuple[str, ...]]:
        """Those behind a batch norm: its gradients come with the pass. The gradient of a filter would
        cost more than reading the map."""
        chains = {layer: chain(forward, layer) for layer in self.layers}
        found = {k: free_parameters(forward, c) for k, c in chains.items() if from_norm(c)}
        return {k: params for k, params in found.items() if params}

    def _state(self, g: Graph, name: str, shape: tuple[int, ...]) -> str:
        if name not in self.sums:
            self.sums[name] = Tensor.zeros(shape, "float64", device=self.model.device)
        return g.add_state(name, Spec(shape, "float64"))

    def _add_loss(self, g: Graph) -> str:
        """Append the sum over samples of each one's own loss."""
        if self._loss is None:
            labels = g.add_input(_LABELS, Spec((-1,), "int64"))
            attrs = {"reduction": "sum"}
            return g.add(SOFTMAX_CROSS_ENTROPY, (g.outputs[0], labels), attrs, "score.loss")[0]
        total = str(self._loss.emit(g, g.outputs[0]).loss)
        node = g.nodes[-1]
        if total not in node.outputs or node.op.name not in _LOSS_OPS:
            raise GraphError(
                f"score: loss must append one node that can sum over samples, got {self._loss!r}"
            )
        attrs = {**node.attrs, "reduction": "sum"}
        g.nodes[-1] = Node(node.name, node.op, node.inputs, node.outputs, attrs)
        return total

    def _first_pass(self, forward: Graph, specs: Mapping[str, Spec]) -> Graph:
        g = forward.copy()
        grads: dict[str, str] = {}
        if self.kind.needs != "norm":
            wanted: list[tuple[str, ...]] = [
                (p,) for k, p in self.points.items() if k not in self._free
            ]
            wanted += self._free.values()
            loss = self._add_loss(g)
            g, grads = grad(g, loss, dict.fromkeys(v for values in wanted for v in values))
        # What the loss does not depend on has no gradient; its sums stay 0.
        self._free = {k: p for k, p in self._free.items() if all(v in grads for v in p)}
        if self._free:
            width = sum(self._widths[k] for k in self._free)
            add_free_sums(g, grads, self._free, self._state(g, _FREE, (2, width)))
        for layer, point in self.points.items():
            if layer in self._free:
                continue
            shape = specs[point].shape[1:]
            maps: tuple[str | None, ...] = (None, None)
            if self.kind.maps:
                maps = tuple(
                    self._state(g, f"score.{layer}.{s}", shape) for s in ("sum_x", "sum_g")
                )
            stats = self._state(g, f"score.{layer}.stats", (6, shape[-1]))
            g.add(SCORE_ACCUMULATE, (point, grads.get(point), stats, *maps), name=f"score.{layer}")
            add_after(g, (point, grads.get(point)))
        return g

    def _trace_pass(self, forward: Graph, specs: Mapping[str, Spec]) -> Graph:
        g = forward.copy()
        for layer, point in self.points.items():
            shape = specs[point].shape[1:]
            mean = self._state(g, f"score.{layer}.mean_g", shape)
            stats = self._state(g, f"score.{layer}.trace", (2, shape[-1]))
            g.add(TRACE_ACCUMULATE, (point, mean, stats), name=f"score.{layer}.trace_sums")
        return g

    def run(self, images: NDArray[np.float32], labels: NDArray[Any]) -> None:
        if self._loss is not None and self.kind.needs != "norm":
            labels = self._loss.truth(labels, self._outputs)
        self._all_batches(self._graph, images, labels)
        if self._second is not None:
            for layer in self.layers:
                total = self.sums[f"score.{layer}.sum_g"].numpy()
                self.sums[f"score.{layer}.mean_g"].copy_from(total / len(images))
            self._all_batches(self._second, images, labels)

    def _all_batches(self, graph: Graph, images: NDArray[np.float32], labels: NDArray[Any]) -> None:
        runner_for = self._runners(graph)
        for start in range(0, len(images), self.batch):
            part = slice(start, start + self.batch)
            runner = runner_for(len(images[part]))
            feeds = {self.model.input: np.ascontiguousarray(images[part])}
            if self._truth in runner.inputs:
                feeds[self._truth] = np.ascontiguousarray(labels[part])
            runner.run(**feeds)

    def _runners(self, graph: Graph) -> Callable[[int], Runner]:
        made: dict[int, Runner] = {}

        def runner(n: int) -> Runner:
            if n not in made:
                made[n] = Runner(graph, {**self.model.tensors, **self.sums}, n)
            return made[n]

        return runner

    def score(self, layer: str, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Raw scores of one layer and their standard errors."""
        name = self.kind.name
        if layer in self._free:
            sums = np.zeros((6, self._widths[layer]))
            found = columns(self._free, self._widths, self.sums[_FREE].numpy())
            sums[1] = found[layer][0]
            values: NDArray[np.float64] = getattr(importance, name)(sums, n)
            return values, None
        at = {k: self.sums[f"score.{layer}.{k}"].numpy() for k in self._kept(layer)}
        if name == "robust":
            return importance.robust(at["sum_x"], at["sum_g"], n), None
        stats = at["trace"] if name == "trace" else at["stats"]
        formula = getattr(importance, name)
        return formula(stats, n), importance.standard_error(name, stats, n)

    def means(self, layer: str, n: int) -> _Means | None:
        """Mean of the map and of |E[g]|, (C,) each; None where the maps are not summed."""
        if not self.kind.maps or layer in self._free:
            return None
        x, g = (self.sums[f"score.{layer}.{k}"].numpy() / n for k in ("sum_x", "sum_g"))
        pixels = tuple(range(x.ndim - 1))
        return x.mean(axis=pixels), np.abs(g).mean(axis=pixels)

    def _kept(self, layer: str) -> Iterator[str]:
        prefix = f"score.{layer}."
        return (k.removeprefix(prefix) for k in self.sums if k.startswith(prefix))
