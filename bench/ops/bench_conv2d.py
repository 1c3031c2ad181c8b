#!/usr/bin/env python3
"""Convolution, three passes, against PyTorch on the layers of the networks; correct first, then timed.

float32 stored, batch 100; sentei NHWC, one arm for each precision this build takes; PyTorch channels_last and
NCHW; the same threads, arms interleaved. Shares are multiply-adds of direct convolution per second over the
peak that a loop of multiply-adds in registers reaches in the same run; Winograd's may be above 100 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import interleaved, record
from peak import peak
from sentei import _core
from sentei.graph import Op, Spec, op_named
from sentei.tensor import Tensor

Layer = tuple[str, int, int, int, int, int, int, int]
Call = Callable[[], object]

#          name             N    H   C    K    R  stride padding
LAYERS: list[Layer] = [
    ("3->64@32", 100, 32, 3, 64, 3, 1, 1),
    ("64->64@32", 100, 32, 64, 64, 3, 1, 1),
    ("64->128@16", 100, 16, 64, 128, 3, 1, 1),
    ("128->128@16", 100, 16, 128, 128, 3, 1, 1),
    ("128->256@8", 100, 8, 128, 256, 3, 1, 1),
    ("256->256@8", 100, 8, 256, 256, 3, 1, 1),
    ("5x5 1->32@28", 100, 28, 1, 32, 5, 1, 2),
    ("5x5 32->64@14", 100, 14, 32, 64, 5, 1, 2),
    ("3->16@32", 100, 32, 3, 16, 3, 1, 1),
    ("16->16@32", 100, 32, 16, 16, 3, 1, 1),
    ("16->32@32 s2", 100, 32, 16, 32, 3, 2, 1),
    ("1x1 16->32 s2", 100, 32, 16, 32, 1, 2, 0),
    ("32->32@16", 100, 16, 32, 32, 3, 1, 1),
    ("64->64@8", 100, 8, 64, 64, 3, 1, 1),
    ("37->51@16", 100, 16, 37, 51, 3, 1, 1),
]
ERRORS = {"sentei_fast": 2e-4, "sentei_bfloat16": 3e-2}  # of the largest value; others 2e-5
PASSES = ("forward", "backward_input", "backward_weight")


def bound(op: Op, tensors: list[Tensor | None], out: Tensor, attrs: dict[str, Any]) -> Call:
    """A call of an op on memory allocated once."""
    specs = [None if t is None else Spec(t.shape, t.dtype) for t in tensors]
    scratch = None
    if op.workspace is not None:
        outs = op.infer(specs, attrs)
        if size := op.workspace(specs, outs, attrs, "cpu"):
            scratch = Tensor.empty((size,), "uint8")
    given = [None if op.argument(k) in op.shape_only else t for k, t in enumerate(tensors)]
    return lambda: op.run(given, [out], attrs, scratch)


def arms(layer: Layer, pass_: str, precisions: list[str]) -> tuple[dict[str, Call], float]:
    """Calls of all arms, each found right, and the FLOPs of direct convolution."""
    _, n, h, c, k, r, s, p = layer
    rng = np.random.default_rng(0)
    window = {"stride": (s, s), "padding": (p, p), "dilation": (1, 1)}
    x, w = (
        rng.standard_normal((n, h, h, c), np.float32),
        rng.standard_normal((k, r, r, c), np.float32),
    )
    y_shape = _core.conv2d_geometry(x.shape, w.shape, *window.values())
    dy = rng.standard_normal(y_shape, np.float32)
    tx, tw, tdy = (Tensor.from_numpy(a) for a in (x, w, dy))
    name, tensors, shape = {
        "forward": ("conv2d", [tx, tw], y_shape),
        "backward_input": ("conv2d_backward_input", [tdy, tw, tx], x.shape),
        "backward_weight": ("conv2d_backward_weight", [tx, tdy, tw], w.shape),
    }[pass_]
    op, found, outs = op_named(name), {}, {}
    if len(op.inputs) > len(tensors):
        tensors = [*tensors, None]  # no bias
    for precision in precisions:
        arm = "sentei" if precision == "float32" else f"sentei_{precision}"
        outs[arm] = Tensor.empty(shape)
        found[arm] = bound(op, tensors, outs[arm], {**window, "precision": precision})
    for name, layout in (("nchw", torch.contiguous_format), ("channels_last", torch.channels_last)):
        a, f, g = (
            torch.from_numpy(v).permute(0, 3, 1, 2).contiguous(memory_format=layout)
            for v in (x, w, dy)
        )
        mask = [pass_ == "backward_input", pass_ == "backward_weight", False]

        def peer(a=a, f=f, g=g, mask=mask):
            if pass_ == "forward":
                return F.conv2d(a, f, stride=s, padding=p)
            back = torch.ops.aten.convolution_backward
            return back(g, a, f, None, [s, s], [p, p], [1, 1], False, [0, 0], 1, mask)[
                mask.index(True)
            ]

        found[f"torch_{name}"] = peer
    with torch.no_grad():
        want = found["torch_nchw"]().permute(0, 2, 3, 1).numpy()
    for arm, out in outs.items():
        found[arm]()
        error = np.abs(np.asarray(out) - want).max() / np.abs(want).max()
        if not error < ERRORS.get(arm, 2e-5):
            raise ValueError(f"{arm} must agree with PyTorch on {layer[0]} {pass_}: {error:.1e}")
    return found, 2.0 * n * y_shape[1] * y_shape[2] * k * c * r * r


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--samples", type=int, default=7)
    p.add_argument("--layer", default="", help="only layers whose name holds this")
    p.add_argument("--precision", default="float32,precise,fast", help="those this build takes")
    p.add_argument("--threads", type=int, default=_core.threads())
    p.add_argument("--record", metavar="FOLDER", help="append to bench/results/FOLDER/conv2d.jsonl")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    _core.set_threads(args.threads)
    wanted = ["float32", *args.precision.split(",")]
    precisions = [p for p in dict.fromkeys(wanted) if p in _core.precisions("cpu")]
    ceiling = peak(args.threads)
    print(
        f"peak {ceiling['peak_gflops']:.0f} GFLOP/s on {args.threads} threads by {ceiling['peak_by']}"
    )
    for layer in LAYERS:
        if args.layer not in layer[0]:
            continue
        for pass_ in PASSES:
            if pass_ == "backward_input" and layer[3] <= 3:
                continue  # the first layer's input needs no gradient
            with torch.no_grad():
                found, flops = arms(layer, pass_, precisions)
                got = interleaved(found, args.samples, 2, 10)
            medians = {k: v["median"] for k, v in got.items()}
            ours = medians["sentei"]
            ratios = {k: round(v / ours, 2) for k, v in medians.items() if k.startswith("torch")}
            shares = {
                k: round(flops / v / 1e6 / ceiling["peak_gflops"], 4) for k, v in medians.items()
            }
            text = "  ".join(f"{k} {v:.0%}" for k, v in shares.items())
            print(f"{layer[0]:14s} {pass_:16s} {ours:7.2f} ms  {text}  {ratios}", flush=True)
            if args.record:
                data = {
                    "op": f"conv2d_{pass_}",
                    "case": layer[0],
                    "precision": "float32",
                    "flops": flops,
                    **ceiling,
                }
                more = {"share": shares["sentei"], "shares": shares, "ratios": ratios}
                more |= {"milliseconds": got, "torch": torch.__version__}
                record(args.record, "conv2d", {**data, **more})


if __name__ == "__main__":
    main()
