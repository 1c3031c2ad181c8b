#!/usr/bin/env python3
"""Seconds of what bench_field.py has made: pruning, a step of retraining, the result in ONNX Runtime.

usage: time_field.py prune|step|latency --network NAME [--seed N] [--record FOLDER] ...
For a machine that does nothing else; arms are interleaved in one run, medians count.
prune: the starting network cut to the target, scoring, surgery and our proof included, nothing retrained.
step: one step of retraining of each arm's result, on the engine of its tool, with the making of its
mini-batch. latency: the starting network and every arm's result in ONNX Runtime; all are exported by
PyTorch, from the twin of peers/torch_models.py, so that the networks differ and not the files.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import arm_sentei
import arm_torch_pruning as peer
import common
import torch
from bench_field import KEY, start_file
from scale import SCALES, Scale
from weights import to_torch

from harness import interleaved, record
from peers import torch_models
from sentei import _core, io, optim
from sentei.model import Model
from sentei.train import Trainer

NAME = "field_time"
Times = dict[str, Any]


def results(args: argparse.Namespace, s: Scale) -> dict[str, Model]:
    """Networks of this seed and target by arm."""
    found = {}
    for tool, criterion in s.arms:
        case = [args.scale, s.network, args.seed, tool, criterion, args.schedule, args.target]
        path = common.work_file(args.work, *case)
        assert len(case) == len(KEY)
        if path.is_file():
            found[f"{tool}:{criterion}"] = io.load(path)
    return found


def prune(args: argparse.Namespace, s: Scale) -> Times:
    """Seconds of each arm without retraining, one of each in turn."""
    s = replace(s, steps=0, test_images=100)
    start, data = io.load(start_file(args, s, args.seed)), common.images(s, args.data, args.work)
    seconds: dict[str, list[float]] = {}
    parts: dict[str, Any] = {}
    for _ in range(args.samples):
        for tool, criterion in s.arms:
            module = arm_sentei if tool == "sentei" else peer
            done = module.prune(start, s, data, args.seed, criterion, "once", args.target)
            seconds.setdefault(f"{tool}:{criterion}", []).append(done.clock.wall["prune"])
            parts[f"{tool}:{criterion}"] = done.notes.get("parts", {})
    return {"seconds": {k: statistics.median(v) for k, v in seconds.items()}, "parts": parts,
            "samples": args.samples}  # fmt: skip


def step(args: argparse.Namespace, s: Scale) -> Times:
    """Milliseconds of a step, by arm."""
    data = common.images(s, args.data, args.work)
    loader, lr = data.training(s, args.seed), optim.Constant()
    arms: dict[str, Callable[[], object]] = {}
    for name, model in results(args, s).items():
        if name.startswith("sentei"):
            sgd = optim.SGD(s.retrain_lr, momentum=s.momentum, weight_decay=s.weight_decay)
            trainer = Trainer(model, sgd, batch=s.batch, seed=args.seed)
            arms[name] = lambda t=trainer: t.steps(loader, 1)  # type: ignore[misc]
        else:
            retrain = peer.Retraining(to_torch(model, twin(s)), s, loader, lr)
            arms[name] = lambda r=retrain: r.steps(1)  # type: ignore[misc]
    return {"milliseconds": interleaved(arms, args.samples, seconds=args.seconds)}


def latency(args: argparse.Namespace, s: Scale) -> Times:
    """Milliseconds of one call, by batch and arm."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    models = {"start": io.load(start_file(args, s, args.seed)), **results(args, s)}
    sessions = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            path = Path(folder) / f"{name.replace(':', '-')}.onnx"
            export(to_torch(model, twin(s)).eval(), path)
            sessions[name] = ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    found: Times = {"milliseconds": {}, "onnxruntime": ort.__version__}
    for batch in args.batch:
        x = torch.randn(batch, 3, 32, 32).numpy()
        arms = {
            k: (lambda r=r, x=x: r.run(None, {r.get_inputs()[0].name: x}))
            for k, r in sessions.items()
        }
        times = interleaved(arms, args.samples, at_least_ms=5, seconds=args.seconds)
        found["milliseconds"][str(batch)] = times
    return found


def twin(s: Scale) -> torch.nn.Module:
    made = getattr(torch_models, s.network)()
    assert isinstance(made, torch.nn.Module)
    return made


def export(net: torch.nn.Module, path: Path) -> None:
    """An ONNX file for any batch."""
    x = torch.zeros(2, 3, 32, 32)
    batch = torch.export.Dim("batch")
    torch.onnx.export(net, (x,), path, dynamo=True, dynamic_shapes=({0: batch},), verbose=False)


WORKS: dict[str, Callable[[argparse.Namespace, Scale], Times]] = {
    "prune": prune,
    "step": step,
    "latency": latency,
}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("what", choices=WORKS)
    p.add_argument("--data", default="", metavar="FOLDER", help="holds CIFAR-10")
    p.add_argument("--scale", choices=SCALES, default="small")
    p.add_argument("--network", required=True, choices=SCALES["small"])
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--target", type=float, default=0.5)
    p.add_argument("--schedule", default="once", help="of the results that are timed")
    p.add_argument("--batch", type=int, nargs="+", default=[1, 32], help="of latency")
    p.add_argument("--samples", type=int, default=15, help="of each arm, at most")
    p.add_argument("--seconds", type=float, default=20, help="no further round after these")
    p.add_argument("--threads", type=int, default=_core.threads())
    p.add_argument("--work", type=Path, default=Path("runs/field"), help="as of bench_field.py")
    p.add_argument(
        "--record", metavar="FOLDER", help=f"append to bench/results/FOLDER/{NAME}.jsonl"
    )
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    _core.set_threads(args.threads)
    s = SCALES[args.scale][args.network]
    begun = time.perf_counter()
    found = WORKS[args.what](args, s)
    case = {k: getattr(args, k) for k in ("scale", "network", "seed", "schedule", "target")}
    about = {**case, "what": args.what, **found, "torch": torch.__version__}
    print(about, f"{time.perf_counter() - begun:.1f} s")
    if args.record:
        record(args.record, NAME, about)


if __name__ == "__main__":
    main()
