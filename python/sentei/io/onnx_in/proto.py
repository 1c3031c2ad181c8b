"""An ONNX file as plain checked records: nothing in it is believed, nothing is executed."""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError

__all__ = [
    "DTYPES",
    "OPSETS",
    "Input",
    "Parsed",
    "RawNode",
    "parse",
    "source_bytes",
    "tensor_array",
]

OPSETS = (6, 28)  # the first with today's attributes; the last that was looked at
MOST_BYTES = 2**31 - 1  # what a protobuf message can have
MOST_NODES = 10_000
MOST_TEXT = 512

DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}
_FIELDS = {
    "float32": "float_data",
    "float64": "double_data",
    "int64": "int64_data",
    "uint32": "uint64_data",
    "uint64": "uint64_data",
}


@dataclass(frozen=True)
class RawNode:
    """A node as the file has it; attributes are ints, floats, texts, arrays or lists of them."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]
    scope: str  # of the module that made it, when the exporter says so


@dataclass(frozen=True)
class Input:
    """An input: None in `shape` stands for a size that the file leaves open."""

    name: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Parsed:
    """What the file holds. `initializers` are still messages, their sizes checked."""

    opset: int
    producer: str
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    nodes: tuple[RawNode, ...]
    initializers: Mapping[str, Any] = field(repr=False)


def fail(text: str) -> DataError:
    return DataError(f"import_onnx: {text}")


def shown(x: object) -> str:
    """Text from the file, short enough for a message."""
    text = str(x)
    return repr(text if len(text) <= 80 else text[:77] + "...")


def source_bytes(source: str | os.PathLike[str] | bytes) -> bytes:
    """The bytes of a file, or those given; never more than a message can have."""
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    else:
        path = Path(source)
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise fail(f"{path} must be a file")
        if about.st_size > MOST_BYTES:
            raise fail(f"{path} must have at most {MOST_BYTES} bytes, got {about.st_size}")
        data = path.read_bytes()
    if len(data) > MOST_BYTES:
        raise fail(f"the file must have at most {MOST_BYTES} bytes, got {len(data)}")
    return data


def parse(data: bytes) -> Parsed:
    """Check a file's structure and turn it into records.

    Raises:
        DataError: damaged, or it needs what sentei does not read; the sentence says which.
    """
    try:
        import onnx
    except ImportError:
        raise fail(
            'reading ONNX needs the package onnx, which is not installed: pip install "sentei[onnx]"'
        ) from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as e:
        raise fail(f"the file must be a whole ONNX model, got: {shown(e)}") from None
    if not model.HasField("graph") or not model.graph.node:
        raise fail("the file must hold a network with at least one node")
    graph = model.graph
    if model.functions:
        raise fail(
            f"functions must be inlined, got {shown(model.functions[0].name)}: "
            "onnx.inliner.inline_local_functions does it"
        )
    if graph.sparse_initializer:
        raise fail("sparse initializers are not read; store them as ordinary tensors")
    if len(graph.node) > MOST_NODES:
        raise fail(f"the network must have at most {MOST_NODES} nodes, got {len(graph.node)}")
    nodes = tuple(_node(n, k) for k, n in enumerate(graph.node))
    initializers: dict[str, Any] = {}
    for t in graph.initializer:
        if not t.name or t.name in initializers:
            raise fail(f"initializers must have names of their own, got {shown(t.name)}")
        check_tensor(t, f"initializer {shown(t.name)}")
        initializers[t.name] = t
    inputs = tuple(_input(v) for v in graph.input if v.name not in initializers)
    outputs = tuple(v.name for v in graph.output)
    if not outputs:
        raise fail("the network must have an output, got none")
    return Parsed(
        _opset(model),
        f"{model.producer_name} {model.producer_version}".strip()[:MOST_TEXT],
        inputs,
        outputs,
        nodes,
        initializers,
    )


def _opset(model: Any) -> int:
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if len(versions) != 1:
        raise fail(f"the file must name one opset of ai.onnx, got {versions[:4]}")
    opset = int(versions[0])
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise fail(
            f"opset must be {OPSETS[0]} to {OPSETS[1]}, got {opset}: export again, "
            "or convert with onnx.version_converter"
        )
    return opset


def _node(n: Any, index: int) -> RawNode:
    name = n.name or f"#{index}"
    where = f"node {shown(name)} ({n.op_type[:60]})"
    if n.domain not in ("", "ai.onnx"):
        raise fail(
            f"{where}: only operators of ai.onnx are read, got the domain {shown(n.domain)}; "
            "export without custom operators"
        )
    attrs: dict[str, Any] = {}
    for a in n.attribute:
        if not a.name or a.name in attrs:
            raise fail(f"{where}: attributes must have names of their own, got {shown(a.name)}")
        attrs[a.name] = _attribute(a, where)
    return RawNode(name, n.op_type, tuple(n.input), tuple(n.output), attrs, _scope(n))


def _attribute(a: Any, where: str) -> Any:
    label = f"{where}: attribute {shown(a.name)}"
    if a.ref_attr_name:
        raise fail(f"{label} must have a value, got a reference; inline the functions")
    kind = a.type
    if kind in (5, 10, 11, 12):  # graphs and sparse tensors
        raise fail(f"{label}: subgraphs and sparse tensors are not read; export without them")
    if kind == 4:
        check_tensor(a.t, label)
        return a.t
    found = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints", 8: "strings"}.get(kind)
    if found is None:
        raise fail(f"{label} must be a number, a text, a tensor or a list, got type {kind}")
    value = getattr(a, found)
    if kind == 3:
        return value.decode("utf-8", "replace")[:MOST_TEXT]
    if kind == 8:
        return [v.decode("utf-8", "replace")[:MOST_TEXT] for v in value[:1000]]
    return list(value) if kind in (6, 7) else value


def _scope(n: Any) -> str:
    """Path of the module that made a node: what both exporters of PyTorch leave behind."""
    for p in n.metadata_props:
        if p.key == "pkg.torch.onnx.name_scopes":
            parts = [w.strip().strip("'\"") for w in p.value.strip("[]").split(",")]
            return parts[-2][:MOST_TEXT] if len(parts) > 1 else ""
    parts = n.name.split("/")  # "/layer1/layer1.0/conv1/Conv": a part may repeat the one before
    if len(parts) < 3 or parts[0]:
        return ""
    path = ""
    for part in parts[1:-1]:
        path = part if not path or part.startswith(path + ".") else f"{path}.{part}"
    return path[:MOST_TEXT]


def _input(v: Any) -> Input:
    where = f"input {shown(v.name)}"
    if not v.name or v.type.WhichOneof("value") != "tensor_type":
        raise fail(f"{where} must be a tensor")
    t = v.type.tensor_type
    if t.elem_type != 1:
        got = DTYPES.get(t.elem_type, f"type {t.elem_type}")
        raise fail(f"{where} must be float32, got {got}; export the network in float32")
    if not t.HasField("shape"):
        raise fail(f"{where} must have a shape; run onnx.shape_inference or export again")
    shape: list[int | None] = []
    for d in t.shape.dim:
        kind = d.WhichOneof("value")
        if kind == "dim_value" and not 1 <= d.dim_value < 2**31:
            raise fail(f"{where} must have sizes of at least 1, got {d.dim_value}")
        shape.append(int(d.dim_value) if kind == "dim_value" else None)
    if len(shape) > 8:
        raise fail(f"{where} must have at most 8 axes, got {len(shape)}")
    return Input(v.name, tuple(shape))


def check_tensor(t: Any, where: str) -> None:
    """Refuse external data, unknown types and sizes that the bytes do not bear out."""
    if t.data_location == 1 or t.external_data:
        raise fail(
            f"{where}: external data is not read; save one file, "
            "with save_as_external_data=False or external_data=False"
        )
    if t.HasField("segment"):
        raise fail(f"{where}: tensors in segments are not read")
    if len(t.dims) > 8 or any(d < 0 for d in t.dims):
        raise fail(f"{where} must have at most 8 sizes, none negative, got {list(t.dims)[:9]}")
    dtype = DTYPES.get(t.data_type)
    if dtype is None:  # texts and rare types: an error only where they are used
        return
    count = math.prod(t.dims)
    if count * np.dtype(dtype).itemsize > MOST_BYTES:
        raise fail(f"{where} must have at most {MOST_BYTES} bytes, got sizes {list(t.dims)}")
    if t.HasField("raw_data"):
        have, want = len(t.raw_data), count * np.dtype(dtype).itemsize
        unit = "bytes"
    else:
        have, want = len(getattr(t, _FIELDS.get(dtype, "int32_data"))), count
        unit = "elements"
    if have != want:
        raise fail(
            f"{where} must have {want} {unit} for sizes {list(t.dims)} of {dtype}, got {have}"
        )


def tensor_array(t: Any, where: str) -> NDArray[Any]:
    """The numbers of a checked tensor, to be read only."""
    dtype = DTYPES.get(t.data_type)
    if dtype is None:
        raise fail(f"{where} must be of a plain number type, got ONNX type {t.data_type}")
    shape = tuple(t.dims)
    if t.HasField("raw_data"):
        array = np.frombuffer(t.raw_data, dtype)
        return (array if sys.byteorder == "little" else array.byteswap()).reshape(shape)
    values = getattr(t, _FIELDS.get(dtype, "int32_data"))
    if dtype == "float16":  # kept as the bits of 16-bit numbers
        return np.array(values, np.uint16).view(np.float16).reshape(shape)
    return np.array(values, dtype).reshape(shape)
