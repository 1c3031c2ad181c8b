"""A sentei network as a function of one flat vector, made anew in every worker from plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei import losses as losses_
from sentei import regularizers as regularizers_
from sentei._core import Tensor
from sentei.describe import described, from_description
from sentei.errors import DeviceError, DTypeError, GraphError, ShapeError
from sentei.graph import Graph
from sentei.losses import CrossEntropy, Loss
from sentei.model import Model
from sentei.optim import Optimizer
from sentei.optim.base import Grads, States
from sentei.passes import infer_specs
from sentei.regularizers import Regularizer
from sentei.run import Runner
from sentei.train.feed import Data, Feed
from sentei.train.step import StepGraph, build_step

__all__ = ["Minibatches", "Network"]

_KINDS: tuple[type, ...] = (*losses_.KINDS, *regularizers_.KINDS)


@dataclass(frozen=True)
class _Gradients(Optimizer):
    """Changes nothing; notes what the gradients are called."""

    lr: float = 0.0
    found: dict[str, str] = field(default_factory=dict, init=False)

    def emit(self, graph: Graph, grads: Grads) -> States:
        self.found.update(grads)
        return {}


class Network:
    """Recipe of an objective: the loss of a model over its parameters in one float32 vector.

    The vector holds the parameters in the order of the graph, each in row-major order. A mini-batch is
    (samples float32, labels or targets, number); the number seeds dropout, so that a mini-batch that is
    computed again gives the same gradient. Batch norm takes the statistics of the mini-batch; its moving
    averages stay in the worker: measure them anew at the end (sentei.train.recalibrate_bn).

    Args:
        model: on the cpu; it is not changed. loss: CrossEntropy() if None.
        regularizers: added to the loss. weight_decay, l2: as of an Optimizer, on weights only.
        precision: of the products. seed: of dropout.
    Raises:
        DeviceError: the model is not on the cpu. GraphError: the loss does not fit, or a class of
        loss or regularizer is not sentei's own.
    """

    def __init__(
        self,
        model: Model,
        loss: Loss | None = None,
        *,
        regularizers: Sequence[Regularizer] = (),
        weight_decay: float = 0.0,
        l2: float = 0.0,
        precision: str = "float32",
        seed: int = 0,
    ) -> None:
        if model.device != "cpu":
            raise DeviceError(f"Network: the model must be on cpu, got {model.device}")
        loss = loss or CrossEntropy()
        for thing in (loss, *regularizers):
            if type(thing) not in _KINDS:
                raise GraphError(
                    f"Network: a worker must know {type(thing).__name__}, a class of your own: "
                    "give a recipe of your own"
                )
        self._graph = json.dumps(model.graph.to_json())
        self._said = json.dumps([described(loss), described(list(regularizers))])
        self._settings = (weight_decay, l2, precision, seed)
        self.parameters = tuple(model.graph.by_role("param"))
        self.shapes = tuple(model.tensors[p].shape for p in self.parameters)
        self._states = {s: model.tensors[s].numpy() for s in model.graph.by_role("state")}
        ends = np.cumsum([int(np.prod(s)) for s in self.shapes])
        self.ends = tuple(int(e) for e in ends)
        self.size = self.ends[-1] if self.ends else 0
        owners = [p.rpartition(".")[0] for p in self.parameters]
        last = dict(zip(owners, self.ends, strict=True))
        self.blocks = tuple(sorted(last.values()))  # a layer's parameters end there
        self._start: NDArray[np.float32] | None = np.concatenate(
            [np.asarray(model.tensors[p]).reshape(-1) for p in self.parameters]
        ).astype(np.float32)
        self.build()  # what cannot be built shall fail here, not in a worker

    def __getstate__(self) -> dict[str, Any]:
        """Weights come from the shards: they do not travel with the recipe."""
        return {**self.__dict__, "_start": None}

    def start(self) -> NDArray[np.float32]:
        """The model's parameters as they were given."""
        if self._start is None:
            raise GraphError("Network: start must be asked for where the recipe was made")
        return self._start

    def build(self) -> NetworkObjective:
        """The objective, with a graph and tensors of its own."""
        graph = Graph.from_json(json.loads(self._graph))
        said = json.loads(self._said)
        loss = from_description(said[0], _KINDS)
        terms = from_description(said[1], _KINDS)
        flat = [Tensor.zeros(s) for s in self.shapes]
        tensors = dict(zip(self.parameters, flat, strict=True))
        tensors.update({k: Tensor.from_numpy(a) for k, a in self._states.items()})
        return NetworkObjective(Model(graph, tensors), loss, terms, self.ends, self._settings)

    def into(self, model: Model, weights: NDArray[np.float32]) -> Model:
        """Write flat weights into a model of the same graph, in place; return it."""
        if weights.shape != (self.size,):
            raise ShapeError(
                f"Network: weights must have shape ({self.size},), got {weights.shape}"
            )
        for name, shape, end in zip(self.parameters, self.shapes, self.ends, strict=True):
            first = end - int(np.prod(shape))
            model.tensors[name].copy_from(np.ascontiguousarray(weights[first:end]).reshape(shape))
        return model


class NetworkObjective:
    """Loss and gradient of a model at flat weights; see Network."""

    def __init__(
        self,
        model: Model,
        loss: Loss,
        terms: Sequence[Regularizer],
        ends: Sequence[int],
        settings: tuple[float, float, str, int],
    ) -> None:
        self.size, self.loss, self.model = ends[-1], loss, model
        weight_decay, l2, precision, self.seed = settings
        noted = _Gradients()
        self._step: StepGraph = build_step(model, loss, terms, noted, precision)
        self._outputs = infer_specs(model.graph, 1)[model.output].shape[-1]
        self._spans = []
        values = model.graph.values
        for name, end in zip(model.graph.by_role("param"), ends, strict=True):
            t = model.tensors[name]
            decay = weight_decay + 2 * l2 if values[name].decay else 0.0
            self._spans.append((name, t, slice(end - t.size, end), noted.found.get(name), decay))
        self._runners: dict[int, Runner] = {}

    def samples(self, batch: Any) -> int:
        """Of a mini-batch."""
        return len(batch[1])

    def loss_grad(self, w: NDArray[np.float32], batch: Any) -> tuple[float, NDArray[np.float32]]:
        """Objective (loss with regularizers) of a mini-batch and its gradient (size,) float32.

        Raises:
            DTypeError, ShapeError: w or the samples are not float32 of the right shape.
        """
        if w.dtype != np.float32 or not w.flags.c_contiguous or w.shape != (self.size,):
            raise DTypeError(
                f"Network: w must be contiguous float32 of shape ({self.size},), "
                f"got {w.dtype} of shape {w.shape}"
            )
        x, labels, number = batch
        for _, t, span, _, _ in self._spans:
            t.copy_from(w[span].reshape(t.shape))
        r = self._runner(len(x))
        feeds = {self.model.input: x, self.loss.takes: self.loss.truth(labels, self._outputs)}
        if "rng" in r.inputs:
            feeds["rng"] = np.array([self.seed, number], np.int64)
        r.run(**feeds)
        g = np.zeros(self.size, np.float32)
        for _, _, span, name, decay in self._spans:
            if name is not None:
                g[span] = np.asarray(r.value(name)).reshape(-1)
            if decay:
                g[span] += np.float32(decay) * w[span]
        return float(r.fetch(self._step.total)[0]), g

    def _runner(self, samples: int) -> Runner:
        if samples not in self._runners:
            keep = [name for *_, name, _ in self._spans if name is not None]
            tensors: Mapping[str, Tensor] = {**self.model.tensors, **self._step.states}
            used = {k: t for k, t in tensors.items() if k in self._step.graph.values}
            self._runners[samples] = Runner(self._step.graph, used, samples, keep)
        return self._runners[samples]


class Minibatches:
    """Full mini-batches of a data set as chunks, epoch after epoch, each (samples, labels, number).

    Args:
        data: Dataset, Loader or (samples, labels), as the Trainer takes it. batch: samples.
        per_chunk: mini-batches of a chunk (the last one of an epoch may have fewer).
        epochs: how many; every one is shuffled anew by `seed`.
    """

    def __init__(
        self, data: Data, batch: int, *, per_chunk: int = 10, epochs: int = 1, seed: int = 0
    ) -> None:
        if per_chunk < 1 or epochs < 1:
            raise ValueError(
                f"Minibatches: per_chunk and epochs must be at least 1, got {per_chunk} and {epochs}"
            )
        self._feed = Feed(data, batch, seed)
        self.batch, self.per_chunk, self.epochs = batch, per_chunk, epochs
        self.steps = self._feed.steps(0)  # of an epoch
        self.per_epoch = -(-self.steps // per_chunk)

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def length(self, index: int) -> int:
        """Mini-batches of a chunk, without making them."""
        if not 0 <= index < len(self):
            raise IndexError(f"Minibatches: index must be in [0, {len(self)}), got {index}")
        return min(self.per_chunk, self.steps - index % self.per_epoch * self.per_chunk)

    def __getitem__(self, index: int) -> list[tuple[Any, Any, int]]:
        epoch, first = index // self.per_epoch, index % self.per_epoch * self.per_chunk
        found = []
        for j in range(first, first + self.length(index)):
            x, labels = self._feed.batch(epoch, j)
            found.append((x, labels, epoch * self.steps + j))
        return found
