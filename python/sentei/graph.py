"""Op, Node, Value and Graph: the static form of a network.

A graph is an ordered list of nodes over named values. Parameters, running statistics, momenta and
masks are ordinary values with a role. Shapes of parameters are stored; shapes of everything else
follow from the input's by each op's `infer`, for any batch size (sentei.passes.shapes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sentei._core import Tensor
from sentei.errors import GraphError

__all__ = [
    "BATCH",
    "Attrs",
    "GradContext",
    "Graph",
    "Node",
    "OnnxContext",
    "Op",
    "Spec",
    "Tie",
    "Value",
    "op_named",
    "register",
]

BATCH = -1  # stands for the batch size in the shape of a graph input

Role = Literal["input", "param", "state", "temp"]
Attrs = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spec:
    """Shape and dtype of a value."""

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def size(self) -> int:
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def nbytes(self) -> int:
        return self.size * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Tie:
    """Two axes whose elements live and die together: element `ia[k]` of axis `a` with `ib[k]` of `b`.

    `a` and `b` are (argument name, axis) of the node's inputs and outputs. `ia`/`ib` of None mean all
    elements in order. A parameter tied to an output *produces* that channel; one tied to an input
    consumes it.
    """

    a: tuple[str, int]
    b: tuple[str, int]
    ia: NDArray[np.int64] | None = None
    ib: NDArray[np.int64] | None = None


class GradContext(Protocol):
    """What an op's `backward` may use (sentei.passes.grad implements it)."""

    def emit(self, op: Op, inputs: Sequence[str | None], **attrs: Any) -> Any:
        """Append a node; return its output name, or a tuple of names if it has several."""

    def needs(self, value: str | None) -> bool:
        """Whether the gradient of this value is wanted."""


class OnnxContext(Protocol):
    """What an op's `to_onnx` may use (sentei.io.onnx_out implements it). Images there are NCHW."""

    opset: int

    def emit(self, kind: str, ins: Sequence[str | None], out: str = "", **attrs: Any) -> str:
        """Append a node of ONNX; return the name of its output, a new one unless given."""

    def shape(self, value: str) -> tuple[int, ...]:
        """Shape of a value as it is here, for one sample."""

    def array(self, value: str) -> NDArray[Any]:
        """Numbers of a parameter or statistic; refuses the node when it is computed."""

    def constant(self, array: NDArray[Any], stem: str) -> str:
        """Keep numbers in the file; return their name."""

    def order(self, value: str) -> NDArray[np.int64] | None:
        """Where the elements of a row flattened as (C, H, W) stand here; None: in the same places."""


@dataclass(frozen=True, slots=True)
class Op:
    """Everything known about one operation: six facts and a few optional ones.

    name: word used in files and tables. inputs, outputs: argument names; a trailing "?" marks an
    optional input (given as None).
    infer(inputs, attrs) -> output Specs; raises ShapeError.
    run(inputs, outputs, attrs, workspace): one call into sentei._core; missing inputs are None.
    backward(ctx, node, douts) -> gradient value name (or None) per input; None: not differentiable.
    ties(inputs, outputs, attrs) -> Ties between argument axes (specs come by argument name).
    flops(inputs, outputs, attrs) -> floating-point operations, a multiply-add counts 2; as in the
    literature only convolution and linear layers count.
    to_onnx(ctx, node): emits nodes of ONNX that give outputs[0]; or a clause that says why none do.
    mutates: inputs written in place. shape_only: inputs of which `run` gets None, as only the shape is
    used. alias: output is the same bytes as this input, nothing runs.
    workspace(inputs, outputs, attrs, device) -> bytes of scratch memory. zero_preserving: f(0) = 0, so a
    channel of zeros stays one.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    infer: Callable[[Sequence[Spec | None], Attrs], tuple[Spec, ...]]
    run: Callable[[Sequence[Tensor | None], Sequence[Tensor], Attrs, Tensor | None], None]
    backward: Callable[[GradContext, Node, Sequence[str | None]], Sequence[str | None]] | None = (
        None
    )
    ties: Callable[[Mapping[str, Spec], Mapping[str, Spec], Attrs], list[Tie]] | None = None
    flops: Callable[[Sequence[Spec | None], Sequence[Spec], Attrs], int] | None = None
    to_onnx: Callable[[OnnxContext, Node], None] | str | None = None
    mutates: tuple[str, ...] = ()
    shape_only: tuple[str, ...] = ()
    alias: str | None = None
    workspace: Callable[[Sequence[Spec | None], Sequence[Spec], Attrs, str], int] | None = None
    zero_preserving: bool = True

    @property
    def arity(self) -> int:
        return len(self.inputs)

    def argument(self, index: int) -> str:
        return self.inputs[index].rstrip("?")


_OPS: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Make an op known by its name, for graphs read from files."""
    if op.name in _OPS:
        raise GraphError(f"register: the op {op.name!r} must be defined once")
    _OPS[op.name] = op
    return op


def op_named(name: str) -> Op:
    """Look an op up by name; GraphError when there is none."""
    import sentei.ops  # noqa: F401  (registers all of them)

    try:
        return _OPS[name]
    except KeyError:
        raise GraphError(
            f"graph: op must be one that this version of sentei knows, got {name!r}"
        ) from None


def all_ops() -> dict[str, Op]:
    """Every registered op by name."""
    import sentei.ops  # noqa: F401

    return dict(_OPS)


@dataclass(frozen=True, slots=True)
class Node:
    """One application of an op. `inputs` are value names (None: optional one left out)."""

    name: str
    op: Op
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    attrs: Attrs = field(default_factory=dict)

    def input(self, argument: str) -> str | None:
        """Value name given for an argument."""
        for i, a in enumerate(self.op.inputs):
            if a.rstrip("?") == argument:
                return self.inputs[i] if i < len(self.inputs) else None
        raise GraphError(f"{self.name}: the op {self.op.name!r} has no input {argument!r}")

    def arguments(self) -> Iterator[tuple[str, str]]:
        """(argument, value name) of inputs given, then outputs. Variadic inputs repeat their argument."""
        for i, v in enumerate(self.inputs):
            if v is not None:
                yield (argument_name(self.op, i), v)
        yield from zip(self.op.outputs, self.outputs, strict=True)

    def changed(self) -> list[str]:
        """Values that the op writes in place; all of a variadic argument that it changes."""
        last = len(self.op.inputs) - 1
        return [
            v
            for i, v in enumerate(self.inputs)
            if v is not None and self.op.inputs[min(i, last)].rstrip("?*") in self.op.mutates
        ]


def argument_name(op: Op, index: int) -> str:
    """Argument of input `index`; a last argument "xs*" takes all further inputs as xs0, xs1, ..."""
    last = op.inputs[-1] if op.inputs else ""
    if last.endswith("*") and index >= len(op.inputs) - 1:
        return f"{last[:-1]}{index - len(op.inputs) + 1}"
    return op.inputs[index].rstrip("?")


@dataclass(frozen=True, slots=True)
class Value:
    """A named value. `spec` is stored for inputs (batch axis = BATCH), parameters and states."""

    name: str
    role: Role
    spec: Spec | None = None
    decay: bool = True  # weight decay and L2 act on it (weights yes; biases, gamma, beta no)


class Graph:
    """An ordered list of nodes with named values; built by appending, never by editing in place."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self.outputs: tuple[str, ...] = ()
        self._names: set[str] = set()

    # -- building ------------------------------------------------------------------------------
    def unique(self, stem: str) -> str:
        """A node or value name not used yet: stem, stem_2, stem_3, ..."""
        name, k = stem, 1
        while name in self._names or name in self.values:
            k += 1
            name = f"{stem}_{k}"
        return name

    def add_value(
        self, name: str, role: Role, spec: Spec | None = None, *, decay: bool = True
    ) -> str:
        if name in self.values:
            raise GraphError(f"graph: value names must be unique, got {name!r} twice")
        self.values[name] = Value(name, role, spec, decay)
        return name

    def add_input(self, name: str, spec: Spec) -> str:
        return self.add_value(name, "input", spec)

    def add_param(self, name: str, spec: Spec, *, decay: bool = True) -> str:
        return self.add_value(name, "param", spec, decay=decay)

    def add_state(self, name: str, spec: Spec) -> str:
        return self.add_value(name, "state", spec)

    def add(
        self,
        op: Op,
        inputs: Sequence[str | None],
        attrs: Attrs | None = None,
        name: str | None = None,
    ) -> tuple[str, ...]:
        """Append a node; return the names of its outputs ("<node>" or "<node>.<output>")."""
        variadic = bool(op.inputs) and op.inputs[-1].endswith("*")
        if (len(inputs) < len(op.inputs) - 1) if variadic else (len(inputs) != len(op.inputs)):
            raise GraphError(f"{op.name}: takes inputs {op.inputs}, got {len(inputs)} of them")
        for i, v in enumerate(inputs):
            if v is None:
                if not op.inputs[min(i, len(op.inputs) - 1)].endswith("?"):
                    raise GraphError(f"{op.name}: input {argument_name(op, i)!r} must be given")
            elif v not in self.values:
                raise GraphError(
                    f"{op.name}: input {argument_name(op, i)!r} must name a value, got {v!r}"
                )
        name = self.unique(name or op.name)
        self._names.add(name)
        outputs = (name,) if len(op.outputs) == 1 else tuple(f"{name}.{o}" for o in op.outputs)
        for out in outputs:
            self.add_value(out, "temp")
        self.nodes.append(Node(name, op, tuple(inputs), outputs, dict(attrs or {})))
        return outputs

    # -- reading -------------------------------------------------------------------------------
    def by_role(self, *roles: Role) -> list[str]:
        return [v.name for v in self.values.values() if v.role in roles]

    def producers(self) -> dict[str, Node]:
        return {out: n for n in self.nodes for out in n.outputs}

    def consumers(self) -> dict[str, list[Node]]:
        """Nodes that read each value, in order."""
        found: dict[str, list[Node]] = {v: [] for v in self.values}
        for n in self.nodes:
            for v in dict.fromkeys(x for x in n.inputs if x is not None):
                found[v].append(n)
        return found

    def node(self, name: str) -> Node:
        for n in self.nodes:
            if n.name == name:
                return n
        raise GraphError(
            f"graph: there must be a node {name!r}; nodes are {[n.name for n in self.nodes]}"
        )

    # -- whole-graph edits return new graphs ---------------------------------------------------
    def copy(self) -> Graph:
        g = Graph()
        g.nodes, g.values = list(self.nodes), dict(self.values)
        g.outputs, g._names = self.outputs, set(self._names)
        return g

    def with_specs(self, specs: Mapping[str, Spec]) -> Graph:
        """The same graph with other specs for some parameters or states."""
        g = self.copy()
        for name, spec in specs.items():
            v = g.values[name]
            g.values[name] = Value(v.name, v.role, spec, v.decay)
        return g

    def rebuild(self, nodes: Iterable[Node], outputs: Sequence[str] | None = None) -> Graph:
        """A graph of these nodes; values that nothing touches any more are left out."""
        g = Graph()
        g.nodes = list(nodes)
        g.outputs = tuple(self.outputs if outputs is None else outputs)
        used = {v for n in g.nodes for _, v in n.arguments()} | set(g.outputs)
        used |= {v.name for v in self.values.values() if v.role == "input"}
        g.values = {v.name: v for v in self.values.values() if v.name in used}
        for n in g.nodes:
            for out in n.outputs:
                g.values.setdefault(out, Value(out, "temp"))
        g._names = {n.name for n in g.nodes}
        return g

    # -- files ---------------------------------------------------------------------------------
    def to_json(self) -> dict[str, Any]:
        """Plain data that from_json reads back; attributes must be JSON values or tuples of them."""
        return {
            "values": [
                {
                    "name": v.name,
                    "role": v.role,
                    "shape": list(v.spec.shape),
                    "dtype": v.spec.dtype,
                    "decay": v.decay,
                }
                for v in self.values.values()
                if v.spec is not None
            ],
            "nodes": [
                {"name": n.name, "op": n.op.name, "inputs": list(n.inputs), "attrs": dict(n.attrs)}
                for n in self.nodes
            ],
            "outputs": list(self.outputs),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Graph:
        """Build a graph from to_json's data; GraphError names what is wrong."""
        try:
            g = Graph()
            for v in data["values"]:
                if v["role"] not in ("input", "param", "state"):
                    raise GraphError(
                        f"graph: role must be input, param or state, got {v['role']!r}"
                    )
                spec = Spec(tuple(int(d) for d in v["shape"]), str(v["dtype"]))
                g.add_value(str(v["name"]), v["role"], spec, decay=bool(v.get("decay", True)))
            for n in data["nodes"]:
                attrs = {k: _from_list(x) for k, x in n["attrs"].items()}
                g.add(op_named(n["op"]), n["inputs"], attrs, n["name"])
                if g.nodes[-1].name != n["name"]:
                    raise GraphError(f"graph: node names must be unique, got {n['name']!r} twice")
            g.outputs = tuple(data["outputs"])
            missing = [o for o in g.outputs if o not in g.values]
            if missing:
                raise GraphError(f"graph: outputs must name values, got {missing}")
            return g
        except (KeyError, TypeError, AttributeError, ValueError) as e:
            if isinstance(e, GraphError):
                raise
            raise GraphError(
                f"graph: the description must hold values, nodes and outputs ({e!r})"
            ) from e


def _from_list(x: Any) -> Any:
    return tuple(_from_list(i) for i in x) if isinstance(x, list) else x
