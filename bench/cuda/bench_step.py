#!/usr/bin/env python3
"""Training step of whole networks on a CUDA device against PyTorch, arms in turn in one run.

usage: bench_step.py [--network NAME ...] [--samples N] [--seconds S] [--compile-seconds S]
                     [--record FOLDER] [--dry]
A step is forward, loss, backward and SGD with momentum on a batch that is on the device. sentei replays
its captured step at float32, tf32 and bfloat16 products (all else float32), and at tf32 a step that also
scores the channels of every convolution. PyTorch: out of the box; and
channels_last, cudnn.benchmark, fused SGD at each precision, eager, captured, and compiled where that
takes less than --compile-seconds. Rows compare equal precision, then best against best.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from timing import Arm, Machine, interleaved, torch

import networks
from harness import record
from networks import MODES, deadline, our_step, peer_step, peer_switches

PRECISIONS = ("float32", "tf32", "bfloat16")
SCORED = "tf32"  # precision of the step that also scores channels
NETWORKS = ["vgg13_like", "resnet18_like", "lenet5_prune", "vgg16"]


def our_arms(name: str) -> tuple[dict[str, Arm], dict[str, dict[str, Any]]]:
    """sentei's arms, and what is known of each: FLOPs, bytes of the arena, losses."""
    arms, about = {}, {}
    for precision in PRECISIONS:
        step, runner = our_step(name, precision)
        runner.run()
        first = float(runner.fetch(step.loss)[0])
        for _ in range(3 if name == networks.TINY else 20):
            runner.run()
        last = float(runner.fetch(step.loss)[0])
        specs, flops = runner.plan.specs, 0
        for s in runner.plan.steps:
            node = s.node
            if node.op.flops is not None:
                ins = [None if v is None else specs[v] for v in node.inputs]
                flops += node.op.flops(ins, [specs[o] for o in node.outputs], node.attrs)
        about[f"sentei_{precision}"] = {
            "flops": flops,
            "arena_bytes": runner.plan.memory.arena_bytes,
            "calls": len(runner.plan.steps),
            "loss": [first, last],
        }
        notes = {"precision": precision, "layout": "NHWC", "graph": True}
        arms[f"sentei_{precision}"] = Arm([runner.run], capture=False, notes=notes)
    scored = networks.our_step(name, SCORED, scored=True)[1]
    scored.run()
    notes = {"precision": SCORED, "layout": "NHWC", "graph": True, "scores": True}
    arms[f"scored_{SCORED}"] = Arm([scored.run], capture=False, notes=notes)
    return arms, about


def falls(first: float, last: float) -> bool:
    """Steps on one batch must lower its loss, or at least not raise it."""
    return math.isfinite(last) and last <= first + 1e-2


def peer_arms(
    machine: Machine, name: str, compile_seconds: float
) -> tuple[dict[str, Arm], dict[str, str]]:
    """PyTorch's arms; and why some are missing."""
    arms, missing = {}, {}
    for mode, told in MODES.items() if machine.peer else ():
        limit = compile_seconds if told.get("compile") else 60
        if limit <= 0:
            missing[mode] = "left out"
            continue
        try:
            with peer_switches(mode), deadline(limit):
                step = peer_step(machine, name, mode)
                first = float(step())
                for _ in range(3 if machine.dry else 20):
                    last = step()
                if not falls(first, float(last)):
                    raise ValueError(f"the loss must fall, got {first} and then {float(last)}")
        except Exception as e:  # one mode must not hide the others
            missing[mode] = f"{type(e).__name__}: {str(e).splitlines()[0][:120] if str(e) else ''}"
            continue
        around = lambda mode=mode: peer_switches(mode)  # noqa: E731
        arms[mode] = Arm([step], torch=True, capture=False, notes=told, around=around)
    return arms, missing


def ratios(us: dict[str, float]) -> dict[str, float]:
    """How many times as long PyTorch takes: at equal precision (its best), out of the box, best to best."""
    found = {}
    for precision in PRECISIONS:
        ours = us[f"sentei_{precision}"]
        peers = [us[m] for m, t in MODES.items() if m in us and t["precision"] == precision]
        if peers:
            found[f"{precision}_vs_best_{precision}"] = min(peers) / ours
        if "torch_default" in us:
            found[f"{precision}_vs_default"] = us["torch_default"] / ours
    peers = [us[m] for m in MODES if m in us]
    if peers:
        best = min(us[f"sentei_{p}"] for p in PRECISIONS)
        found["best_vs_best"] = min(peers) / best
    found["scored_vs_not"] = us[f"scored_{SCORED}"] / us[f"sentei_{SCORED}"]
    return {k: round(v, 3) for k, v in found.items()}


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--network", nargs="+", default=None)
    p.add_argument("--samples", type=int, default=15)
    p.add_argument("--seconds", type=float, default=1e9, help="start no network after that many")
    p.add_argument("--compile-seconds", type=float, default=60)
    p.add_argument(
        "--record", metavar="FOLDER", help="append to bench/results/FOLDER/cuda_step.jsonl"
    )
    p.add_argument("--dry", action="store_true")
    args = p.parse_args()
    began = time.monotonic()
    machine = Machine(args.dry)
    ceilings, about = machine.ceilings(), machine.describe()
    print("device:", about)
    failed = 0
    for name in args.network or ([networks.TINY] if args.dry else NETWORKS):
        if time.monotonic() - began > args.seconds:
            print(f"{name}: left out for time")
            continue
        (_, batch), missing = networks.input_of(name), {}
        try:
            arms, known = our_arms(name)
            others, missing = peer_arms(machine, name, args.compile_seconds)
            got, _ = interleaved(machine, {**arms, **others}, 1 if args.dry else args.samples, 3.0)
        except Exception as e:  # one network must not hide the others
            failed += 1
            print(f"{name}: FAILED: {type(e).__name__}: {e}", flush=True)
            continue
        us = {k: v["median"] for k, v in got.items()}
        found = ratios(us)
        for k, v in got.items():
            rate = known["sentei_float32"]["flops"] / v["median"] * 1e6 / 1e12
            spread = f"({v['p10']:.1f}-{v['p90']:.1f})"
            print(
                f"{name:14s} b{batch:<4d} {k:26s} {v['median']:10.1f} us {spread} {rate:6.1f} TFLOP/s"
            )
        for k, what in known.items():
            if not falls(*what["loss"]):
                failed += 1
                first, last = what["loss"]
                print(f"{name:14s} {k} FAILED: the loss must fall, got {first} and then {last}")
        for k, why in missing.items():
            print(f"{name:14s} b{batch:<4d} {k:26s} not there: {why}")
        print(f"{name:14s} b{batch:<4d} times as fast: {found}", flush=True)
        if args.record and not args.dry:
            more = {"microseconds": got, "ratios": found, "missing": missing, "sentei": known}
            notes = {k: a.notes for k, a in {**arms, **others}.items()}
            data = {"network": name, "work": "train", "batch": batch, "arms": notes}
            record(
                args.record, "cuda_step", {"device": about, "ceilings": ceilings, **data, **more}
            )
        del arms, others
        if machine.peer and not machine.dry:
            torch.cuda.empty_cache()
    print(f"{failed} failed, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
