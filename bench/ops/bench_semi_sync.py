#!/usr/bin/env python3
"""One step of a linear layer with momentum under three updates, interleaved, same threads.

usage: bench_semi_sync.py [--size O I] [--batch N] [--samples S] [--record FOLDER]
full: forward, dx, dw of all rows, SGD. stepwise: dw of the active rows, all rows move. lazy: dw of the
active rows, only they move, idle momentum is added where the weight is read.
First checks that stepwise and lazy weights agree after more than a cycle (100 x 60). --record appends a line
unless the machine is busy.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import interleaved, record
from sentei import _core, ops
from sentei.graph import Spec
from sentei.optim.semi_sync import group_of, groups
from sentei.tensor import Tensor

MOMENTUM = 0.9
BUSY = 0.5  # load per core from which nothing is recorded


def bound(op, tensors, **attrs):
    """A call of an op on memory allocated once, and its outputs."""
    specs = [None if t is None else Spec(t.shape, t.dtype) for t in tensors]
    outs = op.infer(specs, attrs)
    results = [Tensor.empty(s.shape, s.dtype) for s in outs]
    scratch = None
    if op.workspace is not None and (n := op.workspace(specs, outs, attrs, "cpu")):
        scratch = Tensor.empty((n,), "uint8")
    return (lambda: op.run(tensors, results, attrs, scratch)), results


class Layer:
    """Weight, momentum and the groups of one arm."""

    def __init__(self, start, x, dy):
        o, i = start.shape
        of = Tensor.from_numpy
        self.w, self.v = of(start.copy()), Tensor.zeros((o, i))
        self.x, self.dy, self.lr = of(x), of(dy), of(np.array([1e-3], np.float32))
        self.parts: dict[str, object] = {}
        rows, offsets = np.arange(o, dtype=np.int32), groups(o)
        self.groups = len(offsets) - 1
        self.where = (of(rows), of(offsets), of(np.zeros(1, np.int32)))
        self.coef = of(np.tile(np.array([1, 0], np.float32), (self.groups, 1)))
        self.group_of = of(group_of(rows, offsets))

    def products(self, forward, backward_input, weight, *more):
        self.parts["forward"], _ = bound(forward, (self.x, *weight, *more))
        self.parts["dx"], _ = bound(backward_input, (self.dy, *weight))

    def active(self):
        """dw of the active rows; the active group goes on."""
        self.parts["dw"], (dw,) = bound(
            ops.LINEAR_BACKWARD_WEIGHT_ROWS, (self.x, self.dy, *self.where)
        )
        advance, _ = bound(ops.COUNTER_ADVANCE, self.where[2:], modulo=self.groups)
        return dw, advance

    def step(self):
        for part in self.parts.values():
            part()


def full(*data):
    a = Layer(*data)
    a.products(ops.LINEAR, ops.LINEAR_BACKWARD_INPUT, (a.w,), None)
    a.parts["dw"], (dw,) = bound(ops.LINEAR_BACKWARD_WEIGHT, (a.x, a.dy))
    a.parts["update"], _ = bound(ops.SGD_UPDATE, (a.w, dw, a.v, a.lr), momentum=MOMENTUM)
    return a


def stepwise(*data):
    a = Layer(*data)
    a.products(ops.LINEAR, ops.LINEAR_BACKWARD_INPUT, (a.w,), None)
    dw, advance = a.active()
    inputs = (a.w, dw, a.v, *a.where, a.lr)
    a.parts["update"], _ = bound(ops.SEMI_SYNC_UPDATE, inputs, momentum=MOMENTUM, compact=True)
    a.parts["advance"] = advance
    return a


def lazy(*data):
    a = Layer(*data)
    weight = (a.w, a.v, a.coef, a.group_of)
    a.products(ops.LINEAR_LAZY, ops.LINEAR_LAZY_BACKWARD_INPUT, weight, None)
    dw, advance = a.active()
    inputs = (a.w, dw, a.v, a.coef, *a.where, a.lr)
    a.parts["update"], _ = bound(ops.SEMI_SYNC_UPDATE_LAZY, inputs, momentum=MOMENTUM)
    a.parts["advance"] = advance
    return a


def check(rng):
    """The two semi-synchronous arms make the same steps, over more than a cycle."""
    data = [rng.standard_normal(s).astype(np.float32) for s in ((100, 60), (20, 60), (20, 100))]
    a, b = stepwise(*data), lazy(*data)
    for _ in range(b.groups + 3):
        a.step(), b.step()
    got = ops.semi_sync_lazy_weight(b.w, b.v, b.coef, b.group_of)
    np.testing.assert_allclose(got.numpy(), a.w.numpy(), rtol=1e-5, atol=1e-5)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--size", type=int, nargs=2, default=(4096, 4096), metavar=("O", "I"))
    p.add_argument("--batch", type=int, default=100)
    p.add_argument("--samples", type=int, default=15)
    p.add_argument("--record", metavar="FOLDER")
    args = p.parse_args()
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    rng = np.random.default_rng(0)
    (o, i), n = args.size, args.batch
    data = (
        rng.standard_normal((o, i), np.float32) / math.sqrt(i),
        rng.standard_normal((n, i), np.float32),
        rng.standard_normal((n, o), np.float32),
    )
    check(rng)
    arms = {f.__name__: f(*data) for f in (full, stepwise, lazy)}
    got = interleaved({k: a.step for k, a in arms.items()}, args.samples)
    parts = interleaved(
        {f"{k}.{part}": f for k, a in arms.items() for part, f in a.parts.items()}, args.samples
    )
    b = arms["lazy"]
    print(f"linear {o} x {i}, batch {n}, {b.groups} groups, {_core.threads()} threads")
    for k, t in got.items():
        inside = "  ".join(f"{name} {parts[f'{k}.{name}']['median']:.2f}" for name in arms[k].parts)
        ratio = got["full"]["median"] / t["median"]
        print(f"{k:9s} {t['median']:8.2f} ms  {ratio:5.2f} x full   {inside}", flush=True)
    print(f"lazy against stepwise: {got['stepwise']['median'] / got['lazy']['median']:.2f} x")
    if args.record and load > BUSY:
        print(f"not recorded: the load was {load:.1f} per core before the first sample")
    elif args.record:
        data = {"size": [o, i], "batch": n, "groups": b.groups, "momentum": MOMENTUM, "load": load}
        record(
            args.record,
            "semi_sync",
            {"op": "linear step", **data, "milliseconds": got, "parts": parts},
        )


if __name__ == "__main__":
    main()
