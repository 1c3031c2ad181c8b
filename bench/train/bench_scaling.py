#!/usr/bin/env python3
"""What a training step of networks like vgg13_like costs as batch, width and image size grow.

sweeps: batch 1 to 256; width 0.25 to 2 (factor of every inner width, batch 50); size 16 to 64 (height and
width of the images, batch 50). Beside it PyTorch's eager modes with fused SGD, arms interleaved (a compiled
mode would have to be compiled anew for every point). One record a sweep.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from our_arms import our_arms

from harness import interleaved, record
from peers.torch_arms import torch_arms
from peers.torch_models import vgg13_like
from sentei import _core, nn
from sentei.model import Model

SWEEPS: dict[str, tuple[float, ...]] = {
    "batch": (1, 4, 16, 64, 256),
    "width": (0.25, 0.5, 1, 1.5, 2),
    "size": (16, 24, 32, 48, 64),
}
BATCH = 50  # of the sweeps over width and size


def network(width: float, size: int) -> Model:
    """vgg13_like with every inner width times `width`, for images of this size."""
    layers: list[nn.Layer] = []
    for channels in (64, 128, 256):
        for _ in range(2):
            conv = nn.Conv2d(round(channels * width), 3, padding=1, bias=False)
            layers += [conv, nn.BatchNorm(), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(round(1024 * width)), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(10)).build((size, size, 3), seed=0)


def point(sweep: str, value: float, args: argparse.Namespace) -> dict[str, Any]:
    """One point of a sweep: all arms."""
    batch = int(value) if sweep == "batch" else BATCH
    width = float(value) if sweep == "width" else 1.0
    size = int(value) if sweep == "size" else 32
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, size, size, 3), dtype=np.float32)
    labels = rng.integers(0, 10, batch)
    model = network(width, size)
    arms, missing = our_arms(model, args.precision.split(","), "train", x, labels)
    make = functools.partial(vgg13_like, width=width, size=size)
    modes = [m for m in args.modes.split(",") if m]
    peers, failed, _ = torch_arms(make, modes, "train", x, labels)
    got = interleaved({**arms, **peers}, args.samples, 2, 20, args.seconds)
    return {
        "value": value,
        "batch": batch,
        "width": width,
        "size": size,
        "flops": 3 * model.costs().flops * batch,
        "milliseconds": got,
        "missing": {**missing, **failed},
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--sweep", nargs="+", choices=list(SWEEPS), default=list(SWEEPS))
    p.add_argument("--precision", default="float32,fast", help="of sentei's arms")
    p.add_argument("--modes", default="nchw,channels_last", help="of PyTorch")
    p.add_argument("--samples", type=int, default=9, help="of each arm, at most")
    p.add_argument("--seconds", type=float, default=8, help="timing of one point")
    p.add_argument("--threads", type=int, default=_core.threads())
    p.add_argument(
        "--record", metavar="FOLDER", help="append to bench/results/FOLDER/scaling.jsonl"
    )
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    _core.set_threads(args.threads)
    for sweep in args.sweep:
        points = []
        for value in SWEEPS[sweep]:
            points.append(found := point(sweep, value, args))
            text = "  ".join(f"{k} {v['median']:.2f}" for k, v in found["milliseconds"].items())
            print(f"{sweep} {value}: {text} ms", flush=True)
        if args.record:
            data = {"sweep": sweep, "network": "vgg13_like", "work": "train", "batch": BATCH}
            more = {"precision": "float32", "torch": torch.__version__, "points": points}
            record(args.record, "scaling", {**data, **more})


if __name__ == "__main__":
    main()
