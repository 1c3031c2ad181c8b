#!/usr/bin/env python3
"""Memory-bound ops against a copy of the same bytes, one thread count, interleaved.

usage: bench_memory.py [--samples N] [--record FOLDER]
Prints milliseconds, GB/s of the bytes an op must move, and its bandwidth as a share of the copy's.
float32, NHWC.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import interleaved, record
from sentei import _core, ops
from sentei.graph import Spec
from sentei.tensor import Tensor

SHAPES = [(100, 32, 32, 64), (100, 28, 28, 32), (100, 32, 32, 16), (100, 16, 16, 37)]


def bound(op, arrays, **attrs):
    """A call of an op on memory allocated once, and the bytes it must move."""
    tensors = [None if a is None else Tensor.from_numpy(a) for a in arrays]
    specs = [None if t is None else Spec(t.shape, t.dtype) for t in tensors]
    outs = op.infer(specs, attrs)
    results = [Tensor.empty(s.shape, s.dtype) for s in outs]
    scratch = None
    if op.workspace is not None and (n := op.workspace(specs, outs, attrs)):
        scratch = Tensor.empty((n,), "uint8")
    given = [None if op.argument(i) in op.shape_only else t for i, t in enumerate(tensors)]
    moved = sum(t.nbytes for t in given if t is not None) + sum(s.nbytes for s in outs)
    return (lambda: op.run(given, results, attrs, scratch)), moved


def cases(shape):
    rng = np.random.default_rng(0)
    c = shape[-1]
    x, dy = rng.standard_normal(shape, np.float32), rng.standard_normal(shape, np.float32)
    ones, zero = np.ones(c, np.float32), np.zeros(c, np.float32)
    norm = (x, ones, zero, zero, ones)
    pool = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "ceil_mode": False}
    yield "add", *bound(ops.ADD, (x, dy))
    yield "relu", *bound(ops.RELU, (x,))
    yield "relu_backward", *bound(ops.RELU_BACKWARD, (x, dy))
    yield "batch_norm", *bound(ops.BATCH_NORM, norm, eps=1e-5, momentum=0.1, relu=True)
    grads = (dy, x, ones, zero, ones, zero)
    yield "batch_norm_backward", *bound(ops.BATCH_NORM_BACKWARD, grads, relu=True)
    yield "batch_norm_inference", *bound(ops.BATCH_NORM_INFERENCE, norm, eps=1e-5)
    yield "max_pool2d", *bound(ops.MAX_POOL2D, (x,), **pool)
    yield "bias_backward", *bound(ops.BIAS_BACKWARD, (x,))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--samples", type=int, default=15)
    p.add_argument("--record", metavar="FOLDER")
    args = p.parse_args()
    for shape in SHAPES:
        source, target = np.ones(shape, np.float32), np.empty(shape, np.float32)
        for name, call, moved in cases(shape):
            got = interleaved(
                {"copy": lambda a=target, b=source: np.copyto(a, b), name: call}, args.samples
            )
            copy = 2 * source.nbytes / got["copy"]["median"] / 1e6
            rate = moved / got[name]["median"] / 1e6
            text = f"{got[name]['median']:7.3f} ms  {rate:6.1f} GB/s  {rate / copy:5.2f} of a copy"
            print(f"{shape!s:20s} {name:22s} {text}", flush=True)
            if args.record:
                data = {"op": name, "shape": shape, "bytes": moved, "milliseconds": got}
                more = {"threads": _core.threads(), "copy_threads": 1, "share_of_copy": rate / copy}
                record(args.record, "memory", {**data, **more})


if __name__ == "__main__":
    main()
