#!/usr/bin/env python3
"""Training step and inference of whole networks against every mode of PyTorch, interleaved in one run.

Both sides: float32 stored, the same threads, the same batch, SGD with momentum 0.9. A step is forward,
loss, backward, update, and reading the loss. PyTorch: eager and torch.compile, each in NCHW (its default)
and channels_last; fused SGD; inference_mode, or frozen weights where compiled. Compiling is done before
the timing; an arm that does not compile is recorded with the reason. sentei: NHWC, one arm for each
precision (float32: default numerics; those that this build refuses are recorded with the reason).
The best mode of PyTorch is the one of the least median in this run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from our_arms import our_arms

from harness import interleaved, record
from peak import peak
from peers.torch_arms import LAYOUTS, MODES, torch_arms
from peers.torch_models import CASES
from sentei import _core
from sentei.nn import models

WORKS = ("train", "infer", "infer1")  # the last at batch 1


def best_peer(medians: Mapping[str, float]) -> str | None:
    """The fastest PyTorch arm."""
    return min(
        (k for k in medians if k.startswith("torch")), key=lambda k: medians[k], default=None
    )


def compared(got: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Ratios of medians: PyTorch arms against `sentei`, and the best of them against each of our arms."""
    medians = {k: v["median"] for k, v in got.items()}
    ours = {k: v for k, v in medians.items() if not k.startswith("torch")}
    best = best_peer(medians)
    found: dict[str, Any] = {
        "ratios": {k: round(v / medians["sentei"], 3) for k, v in medians.items() if k not in ours}
    }
    if best is not None:
        found["best"] = best
        found["best_ratios"] = {k: round(medians[best] / v, 3) for k, v in ours.items()}
    return found


def measure(name: str, work: str, args: argparse.Namespace) -> dict[str, Any]:
    """One record: arms of one network and work."""
    make, (c, h, w), batch = CASES[name]
    batch = 1 if work == "infer1" else args.batch or batch
    kind = "train" if work == "train" else "infer"
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, h, w, c), dtype=np.float32)
    labels = rng.integers(0, 10, batch)
    start = time.perf_counter()
    model = models.build(name, x.shape[1:], classes=10, seed=0)
    arms, refused = our_arms(model, args.precision.split(","), kind, x, labels)
    ours = time.perf_counter() - start
    modes = [m for m in args.modes.split(",") if m]
    peers, failed, first = torch_arms(make, modes, kind, x, labels)
    each = ", ".join(f"{k} {v:.0f}" for k, v in {"sentei": ours, **first}.items())
    say(f"{name} {work}: ready in {time.perf_counter() - start:.0f} s ({each})")
    if args.prepare:
        return {}
    ceiling = peak(args.threads)
    got = interleaved({**arms, **peers}, args.samples, args.warmup, args.at_least, args.seconds)
    return {
        "network": name,
        "work": kind,
        "batch": batch,
        "precision": "float32",
        "layouts": {**dict.fromkeys(arms, "NHWC"), **{k: LAYOUTS[k] for k in peers}},
        "torch": torch.__version__,
        "milliseconds": got,
        **compared(got),
        "missing": {**refused, **failed},
        "first_call_seconds": first,
        "flops": model.costs().flops * batch * (3 if kind == "train" else 1),
        **ceiling,
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument(
        "--network", nargs="+", choices=list(CASES), help="default: all but vgg16",
        default=["lenet5_prune", "vgg13_like", "resnet18_like"], metavar="NAME",
    )  # fmt: skip
    p.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS), metavar="WORK",
                   help="train, infer (both at the network's batch), infer1 (batch 1)")  # fmt: skip
    p.add_argument("--precision", default="float32,fast,bfloat16", help="of sentei's arms")
    p.add_argument(
        "--modes", default=",".join(MODES), help=f"of PyTorch; default {','.join(MODES)}"
    )
    p.add_argument("--batch", type=int, help="default: 100, vgg16: 8")
    p.add_argument("--samples", type=int, default=15, help="of each arm, at most")
    p.add_argument("--seconds", type=float, default=25,
                   help="timing of one network and work; two samples are made in any case")  # fmt: skip
    p.add_argument("--warmup", type=int, default=2,
                   help="calls of each arm besides the first; 0 where a step takes seconds")  # fmt: skip
    p.add_argument("--at-least", type=float, default=20, metavar="MS",
                   help="repeat shorter calls within a sample")  # fmt: skip
    p.add_argument("--threads", type=int, default=_core.threads())
    p.add_argument("--prepare", action="store_true",
                   help="only compile (PyTorch keeps what it compiled on disk), time nothing")  # fmt: skip
    p.add_argument("--record", metavar="FOLDER", help="append to bench/results/FOLDER/step.jsonl")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    _core.set_threads(args.threads)
    for name in args.network:
        for work in args.work:
            found = measure(name, work, args)
            if not found:
                continue
            text = "  ".join(f"{k} {v['median']:.2f}" for k, v in found["milliseconds"].items())
            print(f"{name:14s} {found['work']:5s} b{found['batch']:<3d} ms: {text}")
            print(f"    best PyTorch {found.get('best')}: {found.get('best_ratios')}", flush=True)
            for arm, why in found["missing"].items():
                say(f"    no {arm}: {why}")
            if args.record:
                record(args.record, "step", found)


if __name__ == "__main__":
    main()
