"""From a model to a checked and executed ONNX file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sentei.data import Standardize
from sentei.io.atomic import replacing
from sentei.io.onnx_out.failures import ExportError
from sentei.io.onnx_out.form import INPUT, OUTPUT, Emitter
from sentei.io.onnx_out.proto import make_bytes
from sentei.io.onnx_out.verify import Agreement, compare
from sentei.model import Model
from sentei.passes import fold_gates, fuse, infer_specs, inference

__all__ = ["LAYOUTS", "OPSET", "OPSETS", "PIXELS", "ExportReport", "describe_onnx", "export_onnx"]

# ONNX Runtime since 1.12, TensorRT since 8.6 and OpenVINO take 17; nothing newer is needed.
OPSET = 17
OPSETS = range(13, 23)  # Softmax along an axis begins with 13; TensorRT 10 reads up to 22

Layout = Literal["nchw", "nhwc"]
Pixels = Literal["standardized", "unit", "byte"]
LAYOUTS: tuple[Layout, ...] = ("nchw", "nhwc")
PIXELS: tuple[Pixels, ...] = ("standardized", "unit", "byte")

_BATCHES = (1, 2, 7)  # sizes that are run when the file leaves them open


@dataclass(frozen=True)
class ExportReport:
    """What was written. operators: nodes of each kind. input, output: name and shape, words for open sizes.

    agreement: with our own network, None without a check.
    """

    path: Path
    opset: int
    bytes: int
    operators: Mapping[str, int]
    input: tuple[str, tuple[int | str, ...]]
    output: tuple[str, tuple[int | str, ...]]
    metadata: Mapping[str, str]
    agreement: Agreement | None

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data."""
        found = asdict(self)
        found["path"] = str(self.path)
        for end in ("input", "output"):
            name, shape = found[end]
            found[end] = {"name": name, "shape": list(shape)}
        return found


@dataclass(frozen=True)
class _Form:
    """How the file takes images and gives outputs."""

    batch: int | None
    layout: Layout
    scaling: Standardize | None  # made by the file itself
    byte: bool
    softmax: bool


def describe_onnx(
    model: Model,
    *,
    batch: int | None = None,
    opset: int = OPSET,
    fold: bool = True,
    softmax: bool = False,
    layout: Layout = "nchw",
    pixels: Pixels = "standardized",
) -> Emitter:
    """The nodes that export_onnx would write; needs no package but sentei.

    Args and Raises as export_onnx.
    """
    return _emit(model, _form(model, batch, opset, softmax, layout, pixels), opset, fold)


def export_onnx(
    model: Model,
    path: str | os.PathLike[str],
    *,
    batch: int | None = None,
    opset: int = OPSET,
    fold: bool = True,
    softmax: bool = False,
    layout: Layout = "nchw",
    pixels: Pixels = "standardized",
    check: bool = True,
) -> ExportReport:
    """Write the inference form of a model as an ONNX file, after running it in ONNX Runtime.

    Input "input" float32 (N, C, H, W), output "output" float32. Dropout is gone, gates of Pruning
    Blocks are multiplied into the weights. Written beside and renamed: an error leaves no file, or the
    previous one whole.

    Args:
        path: file to make or replace.
        batch: a fixed number of samples; None: any, the axis is called N.
        opset: 13 to 22. fold: batch norm into the layer before it, in float64.
        softmax: end in probabilities. layout: "nhwc" takes images as (N, H, W, C).
        pixels: what images hold: what the network sees ("standardized"), or "unit" 0 to 1, or "byte" 0
            to 255 (as float32), standardised by the file with the figures that the model keeps.
        check: execute on random images of several batch sizes; without it only the checker runs.
    Returns:
        What was written, with the largest difference to our own outputs.
    Raises:
        ExportError: an argument; a node without a form in ONNX; too large for the format; the checker
            or ONNX Runtime refuses; a package is missing.
        ExportMismatchError: outputs differ by more than 1e-4 of the largest. OSError: the disk.
    """
    from sentei import __version__

    form = _form(model, batch, opset, softmax, layout, pixels)
    emitter = _emit(model, form, opset, fold)
    given = (INPUT, _ends(model.input_shape, form))
    result = (OUTPUT, _ends(infer_specs(model.graph, 1)[model.output].shape[1:], form))
    about = _about(model, form)
    data = make_bytes(emitter, given, result, about, _name(model), __version__)
    agreement = _check(model, form, data) if check else None
    with replacing(path) as file:
        file.write(data)
    operators = dict(sorted(Counter(n.kind for n in emitter.nodes).items()))
    return ExportReport(Path(path), opset, len(data), operators, given, result, about, agreement)


def _form(
    model: Model, batch: int | None, opset: int, softmax: bool, layout: Layout, pixels: Pixels
) -> _Form:
    for what, value, allowed in (("layout", layout, LAYOUTS), ("pixels", pixels, PIXELS)):
        if value not in allowed:
            raise ExportError(f"export: {what} must be one of {', '.join(allowed)}, got {value!r}")
    if type(opset) is not int or opset not in OPSETS:
        raise ExportError(
            f"export: opset must be between {OPSETS[0]} and {OPSETS[-1]}, got {opset!r}"
        )
    if batch is not None and (type(batch) is not int or batch < 1):
        raise ExportError(f"export: batch must be at least 1, or None for any, got {batch!r}")
    scaling = None if pixels == "standardized" else _scaling(model, pixels)
    last = model.graph.producers().get(model.output)
    ends = last is not None and last.op.name == "softmax"
    return _Form(batch, layout, scaling, pixels == "byte", softmax and not ends)


def _scaling(model: Model, pixels: str) -> Standardize:
    data = model.meta.get("data")
    kept = data.get("standardize") if isinstance(data, dict) else None
    if kept is None or len(model.input_shape) != 3:
        raise ExportError(
            f"export: pixels must be 'standardized' for a model that keeps no mean and deviation of "
            f"its images, got {pixels!r}"
        )
    scaling = Standardize.from_json(kept)
    if len(scaling.mean) != model.input_shape[2]:
        raise ExportError(
            f"export: the model must keep mean and deviation of {model.input_shape[2]} channels, "
            f"got {len(scaling.mean)}"
        )
    return scaling


def _emit(model: Model, form: _Form, opset: int, fold: bool) -> Emitter:
    graph = inference(model.graph)
    arrays = {k: model.tensors[k].numpy() for k in graph.by_role("param", "state")}
    graph, arrays = fold_gates(graph, arrays)
    if fold:
        graph, arrays = fuse(graph, arrays)
    e = Emitter(graph, arrays, opset)
    e.names[model.input] = _emit_input(e, model, form)
    for node in graph.nodes:
        e.add(node)
    y = e.names[graph.outputs[0]]
    if form.softmax:
        y = e.emit("Softmax", (y,), axis=1)
    if form.layout == "nhwc" and len(e.shape(graph.outputs[0])) == 4:
        y = e.emit("Transpose", (y,), perm=(0, 2, 3, 1))
    e.end(y)
    return e


def _emit_input(e: Emitter, model: Model, form: _Form) -> str:
    x = INPUT
    if len(model.input_shape) != 3:
        return x
    if form.layout == "nhwc":
        x = e.emit("Transpose", (x,), perm=(0, 3, 1, 2))
    if form.scaling is not None:
        scale, shift = form.scaling.factors(np.uint8 if form.byte else np.float32)
        x = e.emit("Mul", (x, e.constant(scale.reshape(1, -1, 1, 1), "standardize.scale")))
        x = e.emit("Add", (x, e.constant(shift.reshape(1, -1, 1, 1), "standardize.shift")))
    return x


def _ends(sample: tuple[int, ...], form: _Form) -> tuple[int | str, ...]:
    first = "N" if form.batch is None else form.batch
    if len(sample) == 3 and form.layout == "nchw":
        sample = (sample[2], sample[0], sample[1])
    return (first, *sample)


def _name(model: Model) -> str:
    about = model.meta.get("network")
    name = about.get("name") if isinstance(about, dict) else None
    return name if isinstance(name, str) and name else "network"


def _about(model: Model, form: _Form) -> dict[str, str]:
    cost = model.costs()
    found = {"macs": str(cost.macs), "parameters": str(cost.params), "layout": form.layout}
    data = model.meta.get("data")
    data = data if isinstance(data, dict) else {}
    if data.get("classes"):
        found["classes"] = json.dumps(data["classes"], ensure_ascii=False)
    scaling = data.get("standardize")
    if form.scaling is not None:
        found["pixels"] = "byte" if form.byte else "unit"
    elif scaling is not None:
        found["pixels"] = "standardized"
        found["standardize"] = json.dumps(scaling)
    return found


def _check(model: Model, form: _Form, data: bytes) -> Agreement:
    batches = _BATCHES if form.batch is None else (form.batch,)
    rng = np.random.default_rng(0)
    shape = model.input_shape
    predictor = model.predictor(max(batches))
    to_file = len(shape) == 3 and form.layout == "nchw"

    def draw(n: int) -> NDArray[np.float32]:
        if form.scaling is None:
            images = rng.standard_normal((n, *shape), dtype=np.float32)
        else:
            images = rng.random((n, *shape), dtype=np.float32) * (255.0 if form.byte else 1.0)
            images = images.astype(np.float32)
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if to_file else images

    def ours(images: NDArray[np.float32]) -> NDArray[np.float32]:
        if to_file:
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        if form.scaling is not None:
            images = form.scaling.apply(np.divide(images, 255.0 if form.byte else 1.0, dtype="f4"))
        y = predictor(images)
        if form.softmax:
            y = _softmax(y)
        return y.transpose(0, 3, 1, 2) if y.ndim == 4 and form.layout == "nchw" else y

    return compare(data, draw, ours, batches)


def _softmax(y: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = np.exp(y.astype(np.float64) - y.max(axis=-1, keepdims=True))
    return np.asarray(wide / wide.sum(axis=-1, keepdims=True), np.float32)
