"""What the units answer and how the classes lie apart: figures for the two regularisers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError, GraphError
from sentei.model import Model
from sentei.passes import inference
from sentei.prune.maps import principal_axes
from sentei.report.files import atomic_path
from sentei.report.page import page
from sentei.report.responses import responses_sections
from sentei.run import Runner
from sentei.suggest import unknown

__all__ = ["Responses", "check_responses", "criterion", "write_responses"]

_ACTIVATIONS = ("relu", "leaky_relu", "elu", "prelu", "logistic", "tanh", "softplus", "clip")
_BINS = 40
Batches = Iterable[tuple[NDArray[np.float32], NDArray[Any]]]


@dataclass(frozen=True)
class Responses:
    """layers: per activation the mean |response|, the share of zeros, and the mean of every channel;
    criterion: 1 - W_k / T_k per class on either part; histograms: of each class's logit, for its own
    samples and all others; scatters: vectors of samples in two dimensions."""

    layers: list[dict[str, Any]]
    criterion: dict[str, list[float]]
    histograms: list[dict[str, Any]]
    scatters: list[dict[str, Any]]
    classes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return dict(vars(self))


def criterion(y: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """1 - W_k / T_k of every column: 1 where class k stands apart, 0 where nothing does [T 3.14-3.16].

    Args:
        y (N, K): logits of all samples at once. labels (N,).
    Returns:
        (K,); 0 for a class without samples or without others, and for a constant column.
    """
    y = y.astype(np.float64)
    out = np.zeros(y.shape[1])
    for k in range(y.shape[1]):
        own, rest = y[labels == k, k], y[labels != k, k]
        mu = y[:, k].mean()
        total = ((y[:, k] - mu) ** 2).sum()
        if len(own) == 0 or len(rest) == 0 or total <= 1e-12 * max(1.0, mu * mu) * len(y):
            continue
        within = ((own - own.mean()) ** 2).sum() + ((rest - rest.mean()) ** 2).sum()
        out[k] = 1 - within / total
    return out


class _Collector:
    """Runs batches through the inference form and gathers what is asked for."""

    def __init__(self, model: Model, hidden: str | None) -> None:
        self.model, self.graph = model, inference(model.graph)
        names = [n.name for n in self.graph.nodes]
        if hidden is not None and hidden not in names:
            raise GraphError(unknown("check: layer", hidden, names))
        self.active = {
            n.name: n.outputs[0]
            for n in self.graph.nodes
            if n.op.name in _ACTIVATIONS or n.attrs.get("relu")
        }
        self.hidden = None if hidden is None else self.graph.node(hidden).outputs[0]
        self._runners: dict[int, Runner] = {}

    def run(
        self, batches: Batches, sums: dict[str, list[Any]] | None, tick: Callable[[int], None]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
        """Logits, labels and hidden vectors (means over pixels) of all samples."""
        logits, labels, vectors = [], [], []
        wanted = [self.model.output, *self.active.values()]
        wanted += [] if self.hidden is None else [self.hidden]
        for x, truth in batches:
            n = len(x)
            if n not in self._runners:
                keep = tuple(dict.fromkeys(wanted))
                device = self.model.device
                self._runners[n] = Runner(self.graph, self.model.tensors, n, keep, device)
            runner = self._runners[n]
            runner.run(**{self.model.input: np.ascontiguousarray(x)})
            logits.append(runner.fetch(self.model.output).reshape(n, -1))
            labels.append(np.asarray(truth))
            if self.hidden is not None:
                u = runner.fetch(self.hidden)
                vectors.append(u.reshape(n, -1, u.shape[-1]).mean(1, dtype=np.float64))
            if sums is not None:
                for name, value in self.active.items():
                    u = runner.fetch(value)
                    flat = u.reshape(-1, u.shape[-1])
                    size, zeros, by_channel = sums.get(name, [0, 0, 0.0])
                    zeros += int((flat == 0).sum())
                    by_channel = by_channel + np.abs(flat).sum(0, dtype=np.float64)
                    sums[name] = [size + flat.size, zeros, by_channel]
            tick(n)
        if not logits:
            raise DataError("check: images must hold at least one sample, got 0")
        found = np.concatenate(vectors) if vectors else None
        return np.concatenate(logits), np.concatenate(labels), found


def check_responses(
    model: Model,
    train: Batches,
    test: Batches,
    classes: Sequence[str],
    *,
    layer: str | None = None,
    total: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Responses:
    """Run two sets through a network; gather responses, criterion, histograms and projections.

    Inference form. Responses and histograms are those of the test set; the axes of a projection come
    from the training set, the points are of the test set.

    Args:
        train, test: mini-batches of images (N, H, W, C), standardised, and labels (N,). classes: names.
        layer: whose vectors are projected too; of maps the mean over the pixels. total: images in both.
    Raises:
        GraphError: no such layer. DataError: no images, or targets in place of classes.
    Source:
        T chapter 2 (responses), sections 3.4 to 3.5 (criterion, histograms, projections).
    """
    done = 0

    def tick(n: int) -> None:
        nonlocal done
        done += n
        if progress is not None:
            progress(done, max(total, done), "images")

    collect = _Collector(model, layer)
    y0, t0, v0 = collect.run(train, None, tick)
    sums: dict[str, list[Any]] = {}
    y1, t1, v1 = collect.run(test, sums, tick)
    if t0.ndim != 1 or t1.ndim != 1:
        raise DataError("check: responses must have images with classes, got targets")
    layers = [
        {
            "layer": name,
            "mean": float(by_channel.sum() / size),
            "zeros": zeros / size,
            "channels": (by_channel * len(by_channel) / size).tolist(),
        }
        for name, (size, zeros, by_channel) in sums.items()
    ]
    scatters = [_scatter(f"logits ({model.output})", y0, y1, t1)]
    if v0 is not None and v1 is not None:
        scatters.append(_scatter(str(layer), v0, v1, t1))
    parts = {"train": criterion(y0, t0).tolist(), "test": criterion(y1, t1).tolist()}
    return Responses(layers, parts, _histograms(y1, t1), scatters, list(classes))


def _scatter(
    what: str, axes_of: NDArray[Any], shown: NDArray[Any], labels: NDArray[Any]
) -> dict[str, Any]:
    mean, axes, share = principal_axes(axes_of)
    points = (shown.astype(np.float64) - mean) @ axes.T
    return {
        "what": what,
        "share": share.tolist(),
        "points": points.tolist(),
        "labels": labels.astype(int).tolist(),
    }


def _histograms(y: NDArray[Any], labels: NDArray[Any]) -> list[dict[str, Any]]:
    """Shares of samples per bin, of the class's own and of all others, on one range per class."""
    found = []
    for k in range(y.shape[1]):
        column = y[:, k].astype(np.float64)
        edges = np.histogram_bin_edges(column, _BINS)
        sides = {}
        for name, chosen in (("target", labels == k), ("rest", labels != k)):
            counts = np.histogram(column[chosen], edges)[0]
            sides[name] = (counts / max(1, int(chosen.sum()))).tolist()
        found.append({"edges": edges.tolist(), **sides})
    return found


def write_responses(found: Responses, out: Path, title: str) -> Path:
    """Write the page."""
    intro = "What the units of each layer answer, and how far each output tells its own class from the rest."
    text = page(title, intro, *responses_sections(found.to_json()))
    with atomic_path(out) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
    return out
