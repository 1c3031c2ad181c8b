"""From checked records to a model: nodes in order, each by its handler."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sentei._core import Tensor
from sentei.data import Standardize
from sentei.errors import DataError
from sentei.graph import Graph
from sentei.io.onnx_in import handlers
from sentei.io.onnx_in.builder import MOST_ELEMENTS, Builder
from sentei.io.onnx_in.node import NodeView
from sentei.io.onnx_in.proto import (
    Input,
    Parsed,
    RawNode,
    fail,
    parse,
    shown,
    source_bytes,
    tensor_array,
)
from sentei.io.onnx_in.registry import FOLDS, OPERATORS
from sentei.io.onnx_in.values import Const, Value
from sentei.model import Model
from sentei.passes import infer_specs

__all__ = ["Reading", "import_onnx", "read_onnx"]

assert handlers  # importing them fills the registry

# Stands for a number of samples that the file leaves open: a prime that no size of a network has.
OPEN_BATCH = 1_000_003
MOST_FOLDED = 256 << 20  # bytes that arithmetic on constants may make, beside the initializers
Environment = dict[str, "Value | Const"]


@dataclass(frozen=True)
class Reading:
    """What a file came to. inputs, outputs: how each lies in our graph, by its name in the file.

    operators: how many nodes of each kind were read. origin: for parameters and states, the
    initializer that each one was. batch: the number of samples that the file had fixed, or None.
    """

    graph: Graph
    tensors: Mapping[str, Tensor]
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]
    operators: Mapping[str, int]
    origin: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...]
    opset: int
    producer: str
    batch: int | None


def import_onnx(
    source: str | os.PathLike[str] | bytes,
    *,
    size: int | tuple[int, int] | None = None,
    output: str | None = None,
    scaling: Standardize | None = None,
) -> Model:
    """Read a network from an ONNX file as a model that can be trained and pruned.

    Images (N, C, H, W) become (N, H, W, C), filters (K, C, R, S) become (K, R, S, C); the columns of
    a linear layer behind a flattened image are put in our order. A fixed number of samples is made free.

    Args:
        source: path of the file, or its bytes.
        size: height and width of the images, one number for both; only where the file leaves them open.
        output: name of the value that is the output; None: the file's own, which must be one.
        scaling: what the network expects of its images, kept in the model for training and pruning.
    Returns:
        Model in its training form; meta["onnx"] says where everything came from.
    Raises:
        DataError: the file is damaged, or a part of it is not supported; the sentence names the node.
        FileNotFoundError: there is no such file.
    """
    reading = read_onnx(source, size=size, output=output, rename=True)
    y = next(iter(reading.outputs.values()))
    if not reading.graph.nodes:
        raise fail("the network must have at least one node that does something")
    if len(y.shape) == 1 and not y.layout.is_plain:
        raise fail(
            "the output is a flattened image, whose numbers would come in another order; "
            f'take what is flattened instead, with output="..." before {shown(next(iter(reading.outputs)))}'
        )
    about = {
        "opset": reading.opset,
        "producer": reading.producer,
        "input": next(iter(reading.inputs)),
        "output": next(iter(reading.outputs)),
        "operators": dict(reading.operators),
        "tensors": {k: dict(v) for k, v in reading.origin.items()},
        "notes": list(reading.notes),
    }
    meta: dict[str, Any] = {"onnx": about}
    if scaling is not None:
        x = next(iter(reading.inputs.values()))
        if len(x.own) != 3 or len(scaling.mean) != x.own[2]:
            raise fail(
                f"scaling must be for the {x.own[-1]} channels of the input, got {len(scaling.mean)}"
            )
        meta["data"] = {"standardize": scaling.to_json()}
    return Model(reading.graph, reading.tensors, meta)


def read_onnx(
    source: str | os.PathLike[str] | bytes,
    *,
    size: int | tuple[int, int] | None = None,
    output: str | None = None,
    rename: bool = False,
) -> Reading:
    """Read a file as a graph with any number of inputs and outputs; import_onnx makes a model of it.

    rename: the one input is called "x", as a model wants it; more than one are refused.
    """
    data = source_bytes(source)
    try:
        with np.errstate(all="ignore"):
            return _read(parse(data), size, output, rename)
    except DataError:
        raise
    except MemoryError:
        raise fail("the network is too large for the memory of this machine") from None
    except Exception as e:  # whatever a hostile file provokes, the caller gets one kind
        raise fail(f"the file must hold a network that fits together, got: {shown(e)}") from e


def _read(
    file: Parsed, size: int | tuple[int, int] | None, output: str | None, one: bool
) -> Reading:
    live, wanted = _live(file, output, one)
    used = {name for n in live for name in n.inputs} | set(wanted)
    given = [i for i in file.inputs if i.name in used]
    if not given:
        raise fail("the output must depend on an input")
    if one and len(given) != 1:
        raise fail(
            f"the network must have one input, got {[i.name[:60] for i in given][:6]}; "
            "make the others constants before exporting"
        )
    batch = _batch(given)
    b = Builder(file.opset, batch or OPEN_BATCH)
    b.readers = Counter(name for n in live for name in n.inputs) + Counter(wanted)
    env: Environment = {}
    inputs = {}
    for k, i in enumerate(given):
        name = "x" if one or len(given) == 1 else f"x{k}"
        inputs[i.name] = b.input(name, _sizes(i, size))
        if inputs[i.name].size > MOST_ELEMENTS:
            raise fail(f"input {shown(i.name)} must have at most {MOST_ELEMENTS} elements a sample")
    env.update(inputs)
    for raw in live:
        _step(b, file, env, raw, used)
    outputs = {name: _end(b, env, name) for name in wanted}
    b.graph.outputs = tuple(v.name for v in outputs.values())
    infer_specs(b.graph, 1)
    return Reading(
        b.graph,
        b.tensors,
        inputs,
        outputs,
        Counter(n.op for n in live),
        b.origin,
        tuple(_notes(b, file, live, batch)),
        file.opset,
        file.producer,
        batch,
    )


def _live(file: Parsed, output: str | None, one: bool) -> tuple[list[RawNode], list[str]]:
    """The nodes that the outputs need, in the order of the file."""
    made: dict[str, RawNode] = {}
    known = {i.name for i in file.inputs} | set(file.initializers)
    for n in file.nodes:
        for name in n.outputs:
            if not name:
                continue
            if name in made or name in known:
                raise fail(f"node {shown(n.name)}: the value {shown(name)} is made twice")
            made[name] = n
    wanted = list(file.outputs) if output is None else [output]
    for name in wanted:
        if name not in made:
            raise fail(
                f"output must name a value that a node makes, got {shown(name)}; the file's outputs "
                f"are {[o[:60] for o in file.outputs][:6]}"
            )
    if one and len(wanted) != 1:
        raise fail(
            f"the network must have one output, got {[o[:60] for o in wanted][:6]}: choose one by output="
        )
    needed, live = set(wanted), []
    for n in reversed(file.nodes):
        if needed.intersection(o for o in n.outputs if o):
            needed.update(i for i in n.inputs if i)
            live.append(n)
    live.reverse()
    there = set(known)
    for n in live:
        for name in n.inputs:
            if name and name not in there:
                raise fail(
                    f"node {shown(n.name)} ({n.op[:60]}): its input {shown(name)} must be an input, an "
                    "initializer or made by a node before it"
                )
        there.update(n.outputs)
    return live, wanted


def _batch(given: Sequence[Input]) -> int | None:
    """The number of samples, if the file fixes one."""
    found = {i.shape[0] for i in given if i.shape}
    if any(not i.shape for i in given):
        raise fail("inputs must have an axis of samples, got a single number")
    fixed = found - {None}
    if len(fixed) > 1:
        raise fail(f"all inputs must have one number of samples, got {sorted(map(str, fixed))}")
    return fixed.pop() if fixed else None


def _sizes(i: Input, size: int | tuple[int, int] | None) -> tuple[int, ...]:
    """Sizes of one sample, with `size` where the file leaves height and width open."""
    inner = list(i.shape[1:])
    if None not in inner:
        return tuple(d for d in inner if d is not None)
    if size is None or len(inner) != 3 or inner[0] is None:
        raise fail(
            f"input {shown(i.name)} leaves sizes open, {['?' if d is None else d for d in inner]}: "
            "give height and width by size= (on the command line --size), or export with fixed sizes"
        )
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or any(not isinstance(s, int) or not 1 <= s <= 1 << 16 for s in pair):
        raise fail(f"size must be one whole number or (height, width), got {size!r}")
    return (inner[0], *(s if d is None else d for d, s in zip(inner[1:], pair, strict=True)))


def _step(b: Builder, file: Parsed, env: Environment, raw: RawNode, used: set[str]) -> None:
    found: list[Value | Const | None] = []
    for name in raw.inputs:
        if not name:
            found.append(None)
            continue
        if name not in env and name in file.initializers:
            label = f"initializer {shown(name)}"
            env[name] = Const(tensor_array(file.initializers[name], label), name)
        if name not in env:
            raise fail(
                f"node {shown(raw.name)} ({raw.op[:60]}): its input {shown(name)} must be the first "
                "output of the node that makes it"
            )
        found.append(env[name])
    n = NodeView(raw, found, b.opset, used)
    if not raw.outputs or not raw.outputs[0]:
        raise n.refuse("its first output must have a name")
    constant = not any(isinstance(x, Value) for x in found)
    result: Value | Const
    if constant and raw.op in FOLDS:
        array = np.asarray(
            FOLDS[raw.op](n, [x.array if isinstance(x, Const) else None for x in found])
        )
        given = [x.array for x in found if isinstance(x, Const)]
        if not any(np.may_share_memory(array, x) for x in given):  # a view takes no memory
            b.folded += array.nbytes
        if b.folded > MOST_FOLDED:
            raise n.refuse(
                f"arithmetic on constants must make at most {MOST_FOLDED >> 20} MiB in all"
            )
        label = n.label(0) if raw.op == "Identity" else ""
        result = Const(array, label)
    elif raw.op in OPERATORS:
        result = OPERATORS[raw.op](b, n)
    else:
        raise n.refuse(_unknown(raw.op))
    n.finish()
    if isinstance(result, Value):
        b.names[result.name] += 1
    env[raw.outputs[0]] = result


def _unknown(op: str) -> str:
    if op in ("If", "Loop", "Scan"):
        return "control flow is not supported; export the network with fixed sizes"
    if op.startswith(("QLinear", "Quantize", "Dequantize")) or op.endswith("Integer"):
        return "quantised networks are not supported; import the network in float32"
    return (
        "this operator is not supported (docs/how-to/import-onnx.md lists those that are): replace it in "
        "the network and export again"
    )


def _end(b: Builder, env: Environment, name: str) -> Value:
    """An output as the graph gives it: images as they are, anything else as rows."""
    y = env[name]
    if isinstance(y, Const):
        raise fail(f"output {shown(name)} must depend on the input, got a constant")
    if len(y.shape) == 1 and len(y.own) == 3:
        raw = RawNode(name, "output", (), (), {}, "")
        y = b.row(NodeView(raw, (), b.opset, ()), y)
    return y


def _notes(b: Builder, file: Parsed, live: Sequence[RawNode], batch: int | None) -> list[str]:
    """What a person should know."""
    notes = list(b.notes)
    if batch is not None:
        notes.append(f"the file fixes the number of samples at {batch}; here it is free")
    uses = Counter(o["name"] for k, o in b.origin.items() if k.endswith(".weight"))
    for name, count in uses.items():
        if count > 1:
            notes.append(f"{name} was shared by {count} layers, which are now trained apart")
    return notes
