#!/usr/bin/env python3
"""Convolution, three passes, against PyTorch on the layers of the networks; correct first, then timed.

usage: bench_conv2d.py [--samples N] [--layer TEXT] [--record FOLDER]
float32, batch 100; sentei NHWC, PyTorch channels_last and NCHW; the same threads, arms interleaved. The
peak is the best of torch.mm (1024 x 1024) in the same run: what a good matrix product reaches here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import interleaved, record
from sentei import _core
from sentei.tensor import Tensor

#          name             N    H   C    K    R  stride padding
LAYERS = [
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
PASSES = ("forward", "backward_input", "backward_weight")


def peak_gflops() -> float:
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    t = interleaved({"mm": lambda: torch.mm(a, b)}, 15)["mm"]["min"]
    return 2 * 1024**3 / t / 1e6


def arms(layer: tuple, pass_: str) -> tuple[dict, float]:
    _, n, h, c, k, r, s, p = layer
    rng = np.random.default_rng(0)
    window = ((s, s), (p, p), (1, 1))
    x, w = (
        rng.standard_normal((n, h, h, c), np.float32),
        rng.standard_normal((k, r, r, c), np.float32),
    )
    y_shape = _core.conv2d_geometry(x.shape, w.shape, *window)
    dy = rng.standard_normal(y_shape, np.float32)
    tx, tw, tdy = (Tensor.from_numpy(a) for a in (x, w, dy))
    out = Tensor.empty(
        {"forward": y_shape, "backward_input": x.shape, "backward_weight": w.shape}[pass_]
    )
    scratch = Tensor.empty(
        (max(1, _core.conv2d_workspace(pass_, x.shape, w.shape, *window)),), "uint8"
    )
    ours = {
        "forward": lambda: _core.conv2d_forward(tx, tw, None, out, scratch, *window, False),
        "backward_input": lambda: _core.conv2d_backward_input(tdy, tw, out, scratch, *window),
        "backward_weight": lambda: _core.conv2d_backward_weight(tx, tdy, out, scratch, *window),
    }[pass_]
    found = {"sentei": ours}
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
    ours()
    with torch.no_grad():
        want = found["torch_nchw"]().permute(0, 2, 3, 1).numpy()
    error = np.abs(np.asarray(out) - want).max() / np.abs(want).max()
    assert error < 2e-5, (layer, pass_, error)
    return found, 2.0 * n * y_shape[1] * y_shape[2] * k * c * r * r


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--samples", type=int, default=9)
    p.add_argument("--layer", default="")
    p.add_argument("--threads", type=int, default=_core.threads())
    p.add_argument("--record", metavar="FOLDER")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    _core.set_threads(args.threads)
    peak = peak_gflops()
    print(f"measured peak {peak:.0f} GFLOP/s on {args.threads} threads")
    for layer in LAYERS:
        if args.layer not in layer[0]:
            continue
        for pass_ in PASSES:
            if pass_ == "backward_input" and layer[3] <= 3:
                continue  # the first layer's input needs no gradient
            with torch.no_grad():
                found, flops = arms(layer, pass_)
                got = interleaved(found, args.samples)
            ours = got["sentei"]["median"]
            ratios = {k: round(v["median"] / ours, 2) for k, v in got.items() if k != "sentei"}
            share = flops / ours / 1e6 / peak
            print(
                f"{layer[0]:14s} {pass_:16s} {ours:7.2f} ms  {share:4.0%} of peak  {ratios}",
                flush=True,
            )
            if args.record:
                data = {
                    "op": f"conv2d_{pass_}",
                    "case": layer[0],
                    "precision": "float32",
                    "flops": flops,
                }
                more = {"peak_gflops": peak, "share": share, "milliseconds": got, "ratios": ratios}
                record(args.record, "conv2d", {**data, **more, "torch": torch.__version__})


if __name__ == "__main__":
    main()
