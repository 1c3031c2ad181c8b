#!/usr/bin/env python3
"""The same trained networks pruned by Torch-Pruning and by sentei: accuracy, seconds, memory.

usage: bench_field.py --data FOLDER [--scale small] [--network NAME ...] [--seeds N] [--record FOLDER]
Per network and seed one starting network is trained (by sentei; its weights are then put into PyTorch,
and both must say the same). Every arm (tool, criterion, schedule, target) prunes and retrains it in a
process of its own. Each tool retrains on its own engine, with the same mini-batches, optimizer and step
sizes. What the record has already is not run again, so an interrupted run goes on. Seconds count where
--alone says that the machine does nothing else. latency_field.py times the results, field_page.py writes
the page, scale.py says what is run; `--scale full` is CIFAR-10 as papers do it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common
from scale import SCALES, SCHEDULES, Scale

from harness import RESULTS, high_water, record
from sentei import _core, io, optim
from sentei.model import Model
from sentei.nn import models
from sentei.train import Trainer

KEY = ("scale", "network", "seed", "tool", "criterion", "schedule", "target")
NAME = "field"


def start_file(args: argparse.Namespace, s: Scale, seed: int) -> Path:
    return common.work_file(args.work, args.scale, s.network, seed, "start")


def starting_network(args: argparse.Namespace, s: Scale, seed: int) -> dict[str, Any]:
    """Train the network that all arms prune, unless its file is there; what both engines say of it."""
    data, path = common.images(s, args.data, args.work), start_file(args, s, seed)
    clock = common.Clock()
    if not path.is_file():
        model = models.build(s.network, (32, 32, 3), classes=10, seed=seed)
        loader = data.training(s, seed)
        sgd = optim.SGD(s.lr, momentum=s.momentum, weight_decay=s.weight_decay)
        schedule = optim.Cosine(s.epochs * len(loader), per="step")
        trainer = Trainer(model, sgd, batch=s.batch, seed=seed, schedule=schedule)
        with clock.part("train"):
            trainer.fit(loader, epochs=s.epochs, progress="plain")
        io.save(trainer.model, path)
    from arm_torch_pruning import nchw, own_accuracy
    from weights import to_torch

    from peers import torch_models

    model, (x, _) = io.load(path), next(data.tested())
    net = to_torch(model, getattr(torch_models, s.network)()).eval()
    y = model.predict(x)
    diff = float(np.abs(y - net(nchw(x)).detach().numpy()).max() / np.abs(y).max())
    return {
        "what": "start", "accuracy": common.accuracy(model, data),
        "own_accuracy": own_accuracy(net, data), "relative_difference": diff,
        "macs": model.costs().macs, "params": model.costs().params, "wall": clock.wall,
    }  # fmt: skip


def one_arm(args: argparse.Namespace, s: Scale, case: dict[str, Any]) -> dict[str, Any]:
    """Prune and retrain in this process."""
    if case["tool"] == "sentei":
        from arm_sentei import prune

        versions = {}
    else:
        import torch
        import torch_pruning
        from arm_torch_pruning import prune

        torch.set_num_threads(args.threads)
        versions = {"PyTorch": torch.__version__, "Torch-Pruning": torch_pruning.__version__}
    _core.set_threads(args.threads)
    data = common.images(s, args.data, args.work)
    start = io.load(start_file(args, s, case["start_seed"]))
    whole, before = start.costs(), high_water()
    chosen = (case["criterion"], case["schedule"], case["target"])
    done = prune(start, s, data, case["seed"], *chosen)
    peak = high_water()
    model, cost = done.model, done.model.costs()
    widths = [n.shape[-1] for n in cost.nodes if n.op == "conv2d"]
    name = [str(case[k]) for k in KEY]
    io.save(Model(model.graph, model.tensors), common.work_file(args.work, *name))
    return {
        "what": "arm",
        "accuracy": common.accuracy(model, data), "cut_accuracy": done.cut_accuracy,
        "macs": cost.macs, "params": cost.params,
        "share": cost.macs / whole.macs, "params_share": cost.params / whole.params,
        "narrowest": min(widths), "widths": widths,
        "wall": done.clock.wall, "cpu": done.clock.cpu,
        "peak_bytes": peak, "peak_above_start": peak - before, "notes": done.notes, "versions": versions,
    }  # fmt: skip


def known(args: argparse.Namespace) -> set[tuple[Any, ...]]:
    """What the record has, by KEY, made with the settings of today; what failed is tried again."""
    path = RESULTS / args.record / f"{NAME}.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    today = {k: json.loads(json.dumps(asdict(s))) for k, s in SCALES[args.scale].items()}
    rows = [json.loads(x) for x in lines]
    return {
        tuple(r.get(k) for k in KEY)
        for r in rows
        if r["settings"] == today.get(r["network"])
        and r["what"] != "failed"
        and (r["what"] == "start" or r.get("alone") or not args.alone)
    }


def cases(args: argparse.Namespace, s: Scale, seed: int) -> list[dict[str, Any]]:
    """Arms of one network and seed, tools in turn."""
    begin = seed if args.start_seed is None else args.start_seed
    common_part = {"scale": args.scale, "network": s.network, "seed": seed, "start_seed": begin}
    return [
        {
            **common_part,
            "tool": tool,
            "criterion": criterion,
            "schedule": schedule,
            "target": target,
        }
        for target in args.target or s.targets
        for schedule in s.schedules
        for tool, criterion in s.arms
        if schedule in args.schedule and (not args.arm or f"{tool}:{criterion}" in args.arm)
    ]


def in_a_process(args: argparse.Namespace, case: dict[str, Any]) -> dict[str, Any]:
    """Result of one case; a failure is a result too."""
    command = [sys.executable, __file__, "--data", args.data, "--work", str(args.work)]
    command += ["--threads", str(args.threads), "--one", json.dumps(case)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode < 0:
        sys.exit(f"stopped by signal {-ran.returncode}: {case}")  # no result of the tool's
    if ran.returncode:
        said = [x for x in ran.stderr.strip().splitlines() if x.strip()]
        return {"what": "failed", "failed": said[-1] if said else f"exit {ran.returncode}"}
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def say(case: dict[str, Any], r: dict[str, Any]) -> None:
    name = " ".join(str(case[k]) for k in KEY[1:] if case.get(k) is not None)
    if r["what"] == "failed":
        text = f"FAILED: {r['failed']}"
    elif r["what"] == "start":
        text = f"{r['accuracy']:.2%} ({r['own_accuracy']:.2%} in PyTorch)"
    else:
        times = ", ".join(f"{k} {v:.1f} s" for k, v in r["wall"].items())
        text = f"{r['cut_accuracy']:.2%} -> {r['accuracy']:.2%} at {r['share']:.2%}; {times}"
    print(f"{name}: {text}", file=sys.stderr, flush=True)


def run(args: argparse.Namespace) -> None:
    args.work.mkdir(parents=True, exist_ok=True)
    scales = SCALES[args.scale]
    done, arms = known(args), 0
    for seed in range(args.first_seed, args.seeds):
        for name in args.network or scales:
            s = scales[name]
            todo = [c for c in cases(args, s, seed) if tuple(c[k] for k in KEY) not in done]
            begin = seed if args.start_seed is None else args.start_seed
            start = {"scale": args.scale, "network": name, "seed": begin}
            key = tuple(start.get(k) for k in KEY)
            fresh = key not in done
            if fresh or (todo and not start_file(args, s, begin).is_file()):
                todo.insert(0, start)
                done.add(key)
            for case in todo:
                found = in_a_process(args, case)
                say(case, found)
                if case is start and not fresh:
                    continue  # made again, recorded already
                about = {"alone": args.alone, "settings": asdict(s)}
                record(args.record, NAME, {**case, **about, **found})
                arms += "tool" in case
                if arms == args.at_most:
                    return
                if case is start and found["what"] == "failed":
                    break


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument(
        "--data", required=True, metavar="FOLDER", help="holds CIFAR-10 (binary version)"
    )
    p.add_argument("--scale", choices=SCALES, default="small")
    p.add_argument("--network", nargs="+", choices=SCALES["small"], help="default: all")
    p.add_argument("--schedule", nargs="+", choices=SCHEDULES, default=list(SCHEDULES))
    p.add_argument("--target", type=float, nargs="+", metavar="SHARE", help="default: all")
    p.add_argument("--arm", nargs="+", metavar="TOOL:CRITERION", help="default: all")
    p.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1")
    p.add_argument("--first-seed", type=int, default=0)
    p.add_argument("--start-seed", type=int, metavar="N",
                   help="whose starting network all begin from; default: of the same seed")  # fmt: skip
    p.add_argument("--threads", type=int, default=_core.threads())
    p.add_argument("--work", type=Path, default=Path("runs/field"), help="for the networks")
    p.add_argument("--record", default="new", metavar="FOLDER",
                   help="bench/results/FOLDER/field.jsonl; what it has is not run again")  # fmt: skip
    p.add_argument("--alone", action="store_true",
                   help="the machine does nothing else: seconds count; others are run again")  # fmt: skip
    p.add_argument("--at-most", type=int, metavar="N", help="stop after so many arms")
    p.add_argument("--one", help=argparse.SUPPRESS)
    args = p.parse_args()
    _core.set_threads(args.threads)
    if not args.one:
        run(args)
        return
    case = json.loads(args.one)
    args.scale = case["scale"]
    s = SCALES[args.scale][case["network"]]
    found = one_arm(args, s, case) if "tool" in case else starting_network(args, s, case["seed"])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
