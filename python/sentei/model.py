"""Model: a forward graph with its parameters and statistics, and what is known about both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.device import require
from sentei.errors import DTypeError, GraphError, ShapeError
from sentei.graph import Graph, Spec
from sentei.passes import Costs, costs, fold_gates, fuse, inference, pack_filters
from sentei.passes import precision as with_precision
from sentei.run import Runner

__all__ = ["Model", "Predictor"]

_KEPT = 64  # batches of outputs that wait on the device


class Model:
    """A network in its training form.

    graph: forward graph with one image input (N, H, W, C) and one output (the logits, or whatever the
    last layer gives). tensors: every parameter and state by name, all on one device; updated in place by
    training.
    meta: plain JSON data kept in the file (class names, standardisation, history of pruning, ...).
    """

    def __init__(
        self, graph: Graph, tensors: Mapping[str, Tensor], meta: Mapping[str, Any] | None = None
    ) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = dict(tensors)
        self.meta: dict[str, Any] = dict(meta or {})
        for name in graph.by_role("param", "state"):
            spec = graph.values[name].spec
            assert spec is not None
            t = self.tensors.get(name)
            if t is None:
                raise GraphError(f"Model: tensors must hold {name!r}")
            if t.shape != spec.shape or t.dtype != spec.dtype:
                raise ShapeError(
                    f"Model: {name} must be {spec.dtype} of shape {spec.shape}, got {t.dtype} of {t.shape}"
                )

    # -- where it is ---------------------------------------------------------------------------
    @property
    def device(self) -> str:
        """Where the tensors are: cpu or cuda."""
        return next((t.device for t in self.tensors.values()), "cpu")

    def to(self, device: str) -> Model:
        """This model, or an independent copy of it on another device.

        Args:
            device: auto, cpu or cuda (sentei.device.require).
        """
        device = require(device)
        if all(t.device == device for t in self.tensors.values()):
            return self
        tensors = {k: t.to(device) for k, t in self.tensors.items()}
        return Model(self.graph.copy(), tensors, self.meta)

    # -- what it is ----------------------------------------------------------------------------
    @property
    def input(self) -> str:
        """Name of the image input."""
        return next(
            v.name for v in self.graph.values.values() if v.role == "input" and v.name == "x"
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, (H, W, C)."""
        spec = self.graph.values[self.input].spec
        assert spec is not None
        return spec.shape[1:]

    @property
    def output(self) -> str:
        return self.graph.outputs[0]

    def costs(self) -> Costs:
        """MACs, FLOPs and parameters for one sample, per node and in all."""
        return costs(self.graph)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of all parameters and states."""
        return {k: t.numpy() for k, t in self.tensors.items()}

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Overwrite parameters and states in place (best weights, a checkpoint)."""
        for k, t in self.tensors.items():
            if k not in arrays:
                raise GraphError(f"Model: arrays must hold {k!r}")
            t.copy_from(arrays[k])

    def copy(self) -> Model:
        """An independent model with the same graph and numbers."""
        tensors = {}
        for k, t in self.tensors.items():
            tensors[k] = Tensor.empty(t.shape, t.dtype, device=t.device)
            tensors[k].copy_from(t)
        return Model(self.graph.copy(), tensors, self.meta)

    # -- what it says --------------------------------------------------------------------------
    def predictor(self, batch: int, *, fused: bool = True, precision: str = "float32") -> Predictor:
        """The network in inference form for batches of up to `batch` samples, numbers frozen now."""
        return Predictor(self, batch, fused=fused, precision=precision)

    def predict(self, images: NDArray[np.float32], batch: int = 100) -> NDArray[np.float32]:
        """Outputs (N, K) for images (N, H, W, C) float32, in inference mode."""
        return self.predictor(min(batch, max(1, len(images))))(images)

    def summary(self) -> list[tuple[str, str, str, str, str, str]]:
        """Rows of the table that print(model) shows, heading first."""
        total = self.costs()
        rows = [("name", "op", "output shape", "parameters", "MACs", "bytes")]
        for n in total.nodes:
            shape = " x ".join(map(str, n.shape)) or "1"
            rows.append((n.name, n.op, shape, f"{n.params:,}", f"{n.macs:,}", f"{n.out_bytes:,}"))
        size = sum(n.out_bytes for n in total.nodes)
        rows.append(("total", "", "", f"{total.params:,}", f"{total.macs:,}", f"{size:,}"))
        return rows

    def __str__(self) -> str:
        rows = self.summary()
        widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
        lines = []
        for k, row in enumerate(rows):
            cells = [
                c.ljust(w) if i < 3 else c.rjust(w)
                for i, (c, w) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
            if k in (0, len(rows) - 2):
                lines.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
        macs = self.costs().macs
        lines.append(f"one sample: {macs:,} MACs = {2 * macs:,} FLOPs")
        return "\n".join(lines)

    def __repr__(self) -> str:
        c = self.costs()
        nodes = len(self.graph.nodes)
        return f"Model(input={self.input_shape}, {nodes=}, params={c.params:,}, macs={c.macs:,})"


class Predictor:
    """Runs a model's inference form where the model is; batch norm folded and ReLU fused when `fused`.

    precision: how products are computed (sentei.passes.precision).
    It holds copies of the parameters, on the CPU also the filters in the order in which its kernels
    read them (`packed_bytes`); training the model further does not change what it says.
    """

    def __init__(
        self, model: Model, batch: int, *, fused: bool = True, precision: str = "float32"
    ) -> None:
        if batch < 1:
            raise ValueError(f"predictor: batch must be at least 1, got {batch}")
        self.batch = batch
        self.input = model.input
        self.input_shape = model.input_shape
        self.device = model.device
        graph = inference(model.graph)
        used = graph.by_role("param", "state")
        arrays = {k: model.tensors[k].numpy() for k in used}
        if fused:
            graph, arrays = fuse(*fold_gates(graph, arrays))
        self.graph = with_precision(graph, precision, self.device)
        self.output = graph.outputs[0]
        self._tensors = {k: Tensor.from_numpy(a).to(self.device) for k, a in arrays.items()}
        self._packed: dict[tuple[Any, ...], Tensor] = {}
        self._runners: dict[int, Runner] = {}
        self.runner(batch)

    def runner(self, batch: int) -> Runner:
        """The runner for exactly `batch` samples (made when first asked for)."""
        if batch not in self._runners:
            # These tensors are nobody else's, so what is packed from them stays true.
            graph, tensors = pack_filters(self.graph, self._tensors, batch, self._packed)
            self._runners[batch] = Runner(graph, tensors, batch, device=self.device)
        return self._runners[batch]

    @property
    def packed_bytes(self) -> int:
        """Bytes of the packed filters, of all batch sizes so far."""
        return sum(t.nbytes for t in self._packed.values())

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs for images (N, H, W, C) float32; any N, cut into batches."""
        self._check(images)
        chunks = (images[i : i + self.batch] for i in range(0, len(images), self.batch))
        return self.outputs(chunks)

    def outputs(self, batches: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Outputs (N, K) for batches of at most `batch` samples each, one after another.

        On cuda they stay there for a while, so that the device need not wait for the host.
        """
        parts: list[NDArray[Any]] = []
        width = self._runners[self.batch].plan.specs[self.output].shape[1:]
        kept: Tensor | None = None
        row = filled = 0
        for images in batches:
            self._check(images)
            n = len(images)
            r = self.runner(n)
            r.run(**{self.input: np.ascontiguousarray(images)})
            if self.device == "cpu":
                parts.append(r.fetch(self.output))
                continue
            if kept is None:
                kept = Tensor.empty((_KEPT * self.batch, *width), device=self.device)
                row = kept.nbytes // kept.shape[0]
            if filled + n > kept.shape[0]:
                parts.append(kept.view((filled, *width)).numpy())
                filled = 0
            kept.view((n, *width), filled * row).copy_from(r.value(self.output))
            filled += n
        if kept is not None and filled:
            parts.append(kept.view((filled, *width)).numpy())
        return np.concatenate(parts) if parts else np.zeros((0, *width), np.float32)

    def _check(self, images: NDArray[np.float32]) -> None:
        if images.dtype != np.float32:
            raise DTypeError(f"predict: images must be float32, got {images.dtype}")
        if images.ndim != len(self.input_shape) + 1 or images.shape[1:] != self.input_shape:
            raise ShapeError(
                f"predict: images must have shape (N, *{self.input_shape}), got {images.shape}"
            )


def input_spec(shape: Sequence[int]) -> Spec:
    """Spec of an image input for samples of this shape (H, W, C)."""
    from sentei.graph import BATCH

    if len(shape) not in (1, 3) or any(d < 1 for d in shape):
        raise ShapeError(
            f"input: shape must be (H, W, C) or (D,) with sizes of at least 1, got {tuple(shape)}"
        )
    return Spec((BATCH, *(int(d) for d in shape)))
