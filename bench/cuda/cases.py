"""What a case is: an op on device memory allocated once per set, and the peers that do the same work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from timing import Arm, Call, Machine, flags, sets_for, torch

from sentei import _core
from sentei.graph import Op, Spec
from sentei.tensor import Tensor

Array = NDArray[Any]
Peer = Callable[[list[Any]], Call]  # tensors -> a call that returns the result
# Largest |ours - reference| / |reference| over all elements; the reference is exact float32.
LIMITS = {"float32": 1e-4, "tf32": 3e-3, "bfloat16": 2e-2}


class Pool:
    """Random numbers to cut arrays from, so that large cases do not wait for the generator."""

    def __init__(self, seed: int, count: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.numbers = self.rng.standard_normal(count, np.float32)

    def normal(self, *shape: int) -> Array:
        """A piece at a random place; large arrays repeat all numbers."""
        n, have = int(np.prod(shape)), self.numbers.size
        if n > have:
            return np.resize(self.numbers, n).reshape(shape)
        at = int(self.rng.integers(0, have - n + 1))
        return self.numbers[at : at + n].reshape(shape)


@dataclass
class Step:
    """One op of a case. Results of earlier steps are given as ("step", number, output)."""

    op: Op
    inputs: Sequence[Array | tuple[str, int, int] | None]
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Case:
    """steps: what sentei runs; peer: the same on the arrays of the steps, in their order, each once.

    The result that is compared is output number `result` of the last step, or that input where it
    has no outputs. rivals: how the peer is run, by name (layout, precision, storage, benchmark); a rival with
    "peer" runs that instead. kinds "matrix" are compared with the matrix peak, others with a copy.
    """

    op: str
    name: str
    steps: list[Step]
    peer: Peer
    rivals: dict[str, dict[str, Any]]
    precision: str = "float32"
    network: str = ""
    matrix: bool = False
    moved: int | None = None  # bytes that must move, where the sum over all tensors is not it
    result: int = 0
    check: bool = True
    given: list[Any] = field(default_factory=list)  # the arrays on the peer's device


@dataclass
class Bound:
    calls: list[Call]
    moved: int
    flops: int
    result: Tensor

    def __call__(self) -> None:
        for f in self.calls:
            f()


def bind(steps: Sequence[Step], which: int, uploads: dict[int, Tensor]) -> Bound:
    """One set of buffers on the device; outputs start as NaN. uploads: arrays that are there already."""
    made: list[list[Tensor]] = []
    sent: dict[int, Tensor] = {}
    calls: list[Call] = []
    moved = flops = 0
    result: Tensor | None = None
    _core.set_poison(True)
    for step in steps:
        op, attrs = step.op, dict(step.attrs)
        ins: list[Tensor | None] = []
        for a in step.inputs:
            if a is None or isinstance(a, tuple):
                ins.append(None if a is None else made[a[1]][a[2]])
            else:
                if id(a) not in uploads:
                    uploads[id(a)] = Tensor.from_numpy(np.ascontiguousarray(a)).to("cuda")
                if id(a) not in sent:
                    sent[id(a)] = Tensor.empty(a.shape, str(a.dtype), device="cuda")
                    sent[id(a)].copy_from(uploads[id(a)])
                ins.append(sent[id(a)])
        specs = [None if t is None else Spec(t.shape, t.dtype) for t in ins]
        outs = op.infer(specs, attrs)
        results = [Tensor.empty(s.shape, s.dtype, device="cuda") for s in outs]
        scratch = None
        if op.workspace is not None and (n := op.workspace(specs, outs, attrs, "cuda")):
            scratch = Tensor.empty((n,), "uint8", device="cuda")
        given = [
            None if i < len(op.inputs) and op.argument(i) in op.shape_only else t
            for i, t in enumerate(ins)
        ]
        moved += sum(t.nbytes for t in given if t is not None) + sum(t.nbytes for t in results)
        for i, t in enumerate(given):
            if t is not None and i < len(op.inputs) and op.argument(i) in op.mutates:
                moved += t.nbytes
        if op.flops is not None:
            flops += op.flops(specs, outs, attrs)
        calls.append(
            lambda run=op.run, i=given, o=results, a=attrs, s=scratch: run(i, o, a, s)  # type: ignore[misc]
        )
        made.append(results)
        result = results[which] if results else ins[which]
    _core.set_poison(False)
    assert result is not None
    return Bound(calls, moved, flops, result)


def to_torch(t: Any, nchw: bool = False, dtype: Any = None) -> Any:
    """A copy of a tensor; four axes become (N, C, H, W), channels_last unless nchw."""
    if dtype is not None and t.is_floating_point():
        t = t.to(dtype)
    if t.ndim != 4:
        return t.clone()
    t = t.permute(0, 3, 1, 2)
    return t.contiguous() if nchw and min(t.shape) > 1 else t.clone()


def arrays_of(case: Case) -> list[Array]:
    every = [a for s in case.steps for a in s.inputs if isinstance(a, np.ndarray)]
    return list({id(a): a for a in every}.values())


def arms(machine: Machine, case: Case) -> tuple[dict[str, Arm], Bound]:
    """sentei's arm and the peer's, each on as many sets of buffers as the cache asks for."""
    uploads: dict[int, Tensor] = {}
    first = bind(case.steps, case.result, uploads)
    count = sets_for(first.moved, machine.l2, 2 if machine.dry else 96)
    ours = [first, *(bind(case.steps, case.result, uploads) for _ in range(count - 1))]
    notes = {"layout": "NHWC", "precision": case.precision, "storage": "float32"}
    found = {"sentei": Arm(ours, notes=notes)}
    if not machine.peer:
        return found, first
    case.given = [torch.from_numpy(a.copy()).to(machine.torch_device) for a in arrays_of(case)]
    for name, told in case.rivals.items():
        notes = {k: v for k, v in told.items() if k != "peer"}
        calls = [rival(case, told) for _ in range(count)]
        found[name] = Arm(calls, torch=True, notes=notes, around=lambda t=told: switches(t))
    return found, first


@contextmanager
def switches(told: Mapping[str, Any]) -> Iterator[None]:
    """PyTorch's switches for a rival."""
    with flags(told.get("precision") == "tf32", bool(told.get("benchmark"))), torch.no_grad():
        yield


def rival(case: Case, told: Mapping[str, Any]) -> Call:
    """The peer on a set of buffers of its own."""
    dtype = torch.bfloat16 if told.get("storage") == "bfloat16" else None
    given = [to_torch(t, told.get("layout") == "NCHW", dtype) for t in case.given]
    with switches(told):
        return told.get("peer", case.peer)(given)


def error(machine: Machine, case: Case, ours: Bound) -> float:
    """|ours - reference| / |reference| over all elements, after one call of each from the same start."""
    ours()
    machine.wait()
    got = torch.from_numpy(ours.result.numpy()) if machine.dry else torch.from_dlpack(ours.result)
    reference = rival(case, {})
    with switches({}):
        want = reference()
    want = want.permute(0, 2, 3, 1) if want.ndim == 4 else want
    want = want.reshape(got.shape).to(got.dtype)
    return float((got - want).norm() / want.norm())


def only(cases: Iterator[Case], text: str) -> Iterator[Case]:
    """Cases whose op, name, network or precision has one of the words."""
    words = text.split(",")
    for c in cases:
        if any(w in f"{c.op} {c.name} {c.network} {c.precision}" for w in words):
            yield c
