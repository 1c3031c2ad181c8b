"""Every op on every device: the CPU's results, no mixing of devices, and replays of what was captured."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import devices
from device_calls import CALLS, CASES, EXACT
from helpers import assert_close
from sentei import _core
from sentei.device import cuda_state
from sentei.errors import DeviceError
from sentei.graph import Op, Spec, all_ops, argument_name
from sentei.ops.eager import eager
from sentei.tensor import Tensor

OPS = all_ops()
RUN = sorted(n for n, op in OPS.items() if op.alias is None)
ALIASES = sorted(n for n, op in OPS.items() if op.alias is not None)
on_devices = pytest.mark.parametrize("device", devices.ALL[1:], indirect=True)
TERMS = 256  # at most summed into one result of the calls below


def op_of(case: str) -> Op:
    return OPS[case.partition(",")[0]]


class Bound:
    """One call of an op on tensors of its own, on one device."""

    def __init__(self, case: str, arrays: list[Any], device: str) -> None:
        self.op, self.attrs = op_of(case), CASES[case].attrs
        specs = [Spec(x.shape, str(x.dtype)) if isinstance(x, np.ndarray) else x for x in arrays]
        outs = self.op.infer(specs, self.attrs)
        self.inputs = [
            Tensor.from_numpy(x).to(device) if isinstance(x, np.ndarray) else None for x in arrays
        ]
        self.outputs = [Tensor.empty(s.shape, s.dtype, device=device) for s in outs]
        size = self.op.workspace(specs, outs, self.attrs, device) if self.op.workspace else 0
        self.workspace = Tensor.empty((size,), "uint8", device=device) if size else None

    def run(self) -> None:
        self.op.run(self.inputs, self.outputs, self.attrs, self.workspace)

    def load(self, arrays: list[Any]) -> None:
        """Other numbers in the same memory; what outputs held is spoilt."""
        for t, x in zip(self.inputs, arrays, strict=True):
            if t is not None:
                t.copy_from(x)
        for t in self.outputs:
            t.copy_from(np.full(t.shape, np.nan if "float" in t.dtype else 99, t.dtype))

    def results(self) -> dict[str, np.ndarray]:
        """Outputs and what was changed in place."""
        found = {n: t.numpy() for n, t in zip(self.op.outputs, self.outputs, strict=True)}
        for i, t in enumerate(self.inputs):
            name = argument_name(self.op, i)
            if t is not None and name.rstrip("0123456789") in self.op.mutates:
                found[name] = t.numpy()
        return found

    def tensors(self) -> list[tuple[str, list[Any] | None, int, Tensor]]:
        """(argument, list that holds it, place there, tensor) of all; the workspace is in no list."""
        inputs = [(argument_name(self.op, i), self.inputs, i, t) for i, t in enumerate(self.inputs)]
        outputs = [(n, self.outputs, i, self.outputs[i]) for i, n in enumerate(self.op.outputs)]
        found = [x for x in (*inputs, *outputs) if x[3] is not None]
        return [
            *found,
            *([("workspace", None, 0, self.workspace)] if self.workspace is not None else []),
        ]

    def put(self, place: list[Any] | None, i: int, t: Tensor) -> None:
        if place is None:
            self.workspace = t
        else:
            place[i] = t


def bits(found: dict[str, np.ndarray]) -> dict[str, bytes]:
    return {k: v.tobytes() for k, v in found.items()}


def test_there_is_a_gpu():
    if not devices.ready():
        pytest.skip(f"no test runs on a GPU: {cuda_state().reason}")
    with devices.on("cuda") as name:
        assert Tensor.zeros((3,), device=name).numpy().tolist() == [0, 0, 0]


def test_every_op_has_a_call():
    assert set(CALLS) == set(OPS)
    for name, one_call in CALLS.items():
        op, n = OPS[name], len(one_call.inputs)
        assert n >= op.arity if op.inputs and op.inputs[-1].endswith("*") else n == op.arity, name
        assert None not in one_call.inputs, f"{name}: optional inputs are given too"


@on_devices
@pytest.mark.parametrize("case", sorted(EXACT))
def test_devices_agree(case, device):
    arrays = CASES[case].draw(1)
    got, want = Bound(case, arrays, device), Bound(case, arrays, "cpu")
    got.run()
    want.run()
    found = got.results()
    for argument, value in want.results().items():
        if value.dtype.kind == "f":
            assert_close(found[argument], value, TERMS)
        else:
            np.testing.assert_array_equal(found[argument], value)


@on_devices
@pytest.mark.parametrize("case", sorted(EXACT))
def test_devices_are_not_mixed(case, device):
    for home, away in (("cpu", device), (device, "cpu")):
        bound = Bound(case, CASES[case].draw(2), home)
        before = bits(bound.results())
        every = bound.tensors()
        for argument, place, i, t in every if len(every) > 1 else []:
            bound.put(place, i, t.to(away))
            with pytest.raises(
                DeviceError, match=rf"\b{re.escape(argument)}\b.* must be on|as {argument} is"
            ):
                bound.run()
            bound.put(place, i, t)
        assert bits(bound.results()) == before


@on_devices
@pytest.mark.parametrize("case", sorted(CASES))
def test_replays_follow_their_inputs(case, device):
    first, then = CASES[case].draw(3), CASES[case].draw(4)
    captured, direct = Bound(case, first, device), Bound(case, then, device)
    captured.run()
    captured.load(first)
    capture = _core.Capture()
    captured.run()
    capture.end()
    direct.run()
    for _ in range(2):
        captured.load(then)
        capture.replay()
        assert bits(captured.results()) == bits(direct.results())


@on_devices
@pytest.mark.parametrize("name", ALIASES)
def test_aliases_stay_where_they_are(name, device):
    x, *others = CALLS[name].draw(5)
    source = Tensor.from_numpy(x).to(device)
    (y,) = eager(OPS[name], (source, *others), **CALLS[name].attrs)
    assert y.device == source.device == device
    source.copy_from(x + 1)
    np.testing.assert_array_equal(y.numpy().ravel(), (x + 1).ravel())
