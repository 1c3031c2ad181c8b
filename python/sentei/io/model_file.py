"""Models in one safetensors file: numbers as tensors, the graph as JSON in the metadata.

metadata["sentei"] = {"format": 1, "graph": Graph.to_json(), "meta": Model.meta, "train": state}.
Tensors carry the names of the model's parameters and states; what else a checkpoint holds
(momenta, counters, best weights) is named "optim/<name>". No code is kept in the file, none is run
from it.
"""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from sentei._core import Tensor
from sentei.errors import DataError
from sentei.graph import BATCH, Graph
from sentei.io.atomic import replacing
from sentei.model import Model
from sentei.passes import infer_specs

__all__ = ["FORMAT", "Checkpoint", "load", "load_checkpoint", "save"]

FORMAT = 1
EXTRA = "optim/"
Checkpoint = tuple[Model, dict[str, Any] | None, dict[str, Tensor]]

_CODES = {"float64": "F64", "int64": "I64", "float32": "F32", "int32": "I32", "uint8": "U8"}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}
_LONGEST_HEADER = 100_000_000  # the limit of the format


def save(
    model: Model,
    path: str | os.PathLike[str],
    train_state: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a model, or a checkpoint, to one .safetensors file.

    The file is written beside and renamed: an error leaves the previous file whole.

    Args:
        model: graph, parameters, statistics and meta.
        path: file to make or replace.
        train_state: JSON data of a trainer. tensors: its tensors, kept as "optim/<name>".
    Raises:
        DataError: meta or train_state is not plain JSON data, or the graph is too large for the format.
        OSError: the disk refuses.
    """
    every = dict(model.tensors)
    every.update({EXTRA + k: t for k, t in (tensors or {}).items()})
    about = {
        "format": FORMAT,
        "graph": model.graph.to_json(),
        "meta": model.meta,
        "train": None if train_state is None else dict(train_state),
    }
    try:
        text = json.dumps(about, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as e:
        raise DataError(f"save: meta and train_state must be plain JSON data, got {e}") from e
    header: dict[str, Any] = {"__metadata__": {"sentei": text}}
    order = sorted(every, key=lambda k: (-np.dtype(every[k].dtype).itemsize, k))  # all aligned
    at = 0
    for name in order:
        t = every[name]
        end = at + t.nbytes
        header[name] = {
            "dtype": _CODES[t.dtype],
            "shape": list(t.shape),
            "data_offsets": [at, end],
        }
        at = end
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    if len(head) > _LONGEST_HEADER:
        raise DataError(
            f"save: the header must be at most {_LONGEST_HEADER} bytes, got {len(head)}"
        )
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for name in order:
            t = every[name]
            array = np.asarray(t if t.device == "cpu" else t.numpy())
            file.write(array.reshape(-1).view(np.uint8).data)


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model from a file that `save` made; a checkpoint's training state is left out.

    Values that are not finite are read as they are.

    Raises:
        DataError: not such a file, damaged, or made by a newer version; the message names the file.
        FileNotFoundError: there is no such file.
    """
    return _read(Path(path), extras=False)[0]


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read (model, train_state or None, tensors of the trainer) from a file that `save` made.

    Raises:
        DataError, FileNotFoundError: as `load`.
    """
    return _read(Path(path), extras=True)


def _read(path: Path, extras: bool) -> Checkpoint:
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise DataError(f"load: {path} must be a file")
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            return _build(path, file, extras)
    except DataError:
        raise
    except FileNotFoundError:
        raise
    except SafetensorError as e:
        raise DataError(f"load: {path} must be a whole safetensors file, got: {e}") from e
    except Exception as e:  # whatever a hostile description provokes, the caller gets one kind
        raise DataError(f"load: {path} must hold a network that fits together, got: {e}") from e


def _build(path: Path, file: Any, extras: bool) -> Checkpoint:
    about = _about(path, file.metadata() or {})
    graph = Graph.from_json(about["graph"])
    wanted = {n: graph.values[n].spec for n in graph.by_role("param", "state")}
    names = set(file.keys())
    own = {n for n in names if not n.startswith(EXTRA)}
    if missing := sorted(set(wanted) - own):
        raise DataError(f"load: {path} must hold the tensor {missing[0]!r} that its graph names")
    if left := sorted(own - set(wanted)):
        raise DataError(f"load: {path} must hold only tensors of its graph, got {left[0]!r}")
    for name in sorted(names):
        part = file.get_slice(name)
        shape, code = tuple(part.get_shape()), str(part.get_dtype())
        if code not in _DTYPES or len(shape) > 4:
            raise DataError(
                f"load: {path}: {name} must be one of {sorted(_DTYPES)} with at most 4 axes, "
                f"got {code} of shape {shape}"
            )
        spec = wanted.get(name)
        if spec is not None and (shape != spec.shape or _DTYPES[code] != spec.dtype):
            raise DataError(
                f"load: {path}: {name} must be {spec.dtype} of shape {spec.shape} as its graph says, "
                f"got {_DTYPES[code]} of shape {shape}"
            )
    _check_graph(path, graph)
    tensors = {n: Tensor.from_numpy(file.get_tensor(n)) for n in wanted}
    rest = {}
    if extras:
        rest = {
            n.removeprefix(EXTRA): Tensor.from_numpy(file.get_tensor(n))
            for n in names - set(wanted)
        }
    return Model(graph, tensors, about["meta"]), about["train"], rest


def _about(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if "sentei" not in metadata:
        raise DataError(f"load: {path} must be a file that sentei saved, it has no 'sentei' entry")
    try:
        about = json.loads(metadata["sentei"])
    except (ValueError, RecursionError) as e:
        raise DataError(f"load: {path}: the 'sentei' entry must be JSON, got: {e}") from e
    if not isinstance(about, dict):
        raise DataError(f"load: {path}: the 'sentei' entry must be a JSON object")
    number = about.get("format")
    if type(number) is not int or number < 1:
        raise DataError(f"load: {path}: format must be a number from 1, got {number!r:.60}")
    if number > FORMAT:
        raise DataError(
            f"load: {path}: format must be at most {FORMAT} for this version of sentei, got {number}"
        )
    for key, kinds in (("graph", (dict,)), ("meta", (dict,)), ("train", (dict, type(None)))):
        if not isinstance(about.get(key), kinds):
            raise DataError(f"load: {path}: {key!r} must be a JSON object")
    return about


def _check_graph(path: Path, graph: Graph) -> None:
    """What a Model takes for granted."""
    x = graph.values.get("x")
    if x is None or x.role != "input" or x.spec is None:
        raise DataError(f"load: {path}: the graph must have the input 'x'")
    shape = x.spec.shape
    if shape[:1] != (BATCH,) or any(d < 1 for d in shape[1:]) or x.spec.dtype != "float32":
        raise DataError(
            f"load: {path}: the input must be float32 of shape (N, H, W, C) or (N, D), "
            f"got {x.spec.dtype} of shape {shape}"
        )
    if len(graph.outputs) != 1:
        raise DataError(f"load: {path}: the graph must have one output, got {len(graph.outputs)}")
    infer_specs(graph, 1)
