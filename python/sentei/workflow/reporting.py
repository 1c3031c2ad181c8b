"""Gather what a run came to into a Report, and say whether it is what was asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sentei import _core, io
from sentei.device import words as device_words
from sentei.model import Model
from sentei.passes import Costs, costs
from sentei.prune.gauge import gauge_of, inference_bytes
from sentei.prune.preview import preview
from sentei.prune.target import Target
from sentei.report import Report, summarise_events
from sentei.report.schema import Latency
from sentei.workflow.config import Config
from sentei.workflow.doctor import cpu_model, versions
from sentei.workflow.factory import make_loss, network_name
from sentei.workflow.latency import measure
from sentei.workflow.pruning import STOPPED, point_files
from sentei.workflow.quality import judged, quality
from sentei.workflow.session import Session
from sentei.workflow.targets import make_target, round_to

__all__ = ["basics", "build_report", "failures"]

_LAYERS = ("conv2d", "linear")


def basics(config: Config, command: str) -> dict[str, Any]:
    """The parts that say where and with what."""
    threads = _core.threads()
    return {
        "command": command,
        "seed": config.run.seed,
        "versions": versions(),
        "machine": {
            "cpu": cpu_model(),
            "isa": str(_core.isa_info()["active"]),
            "threads": threads,
            "device": device_words(config.run.device),
        },
    }


def latencies(config: Config, models: Sequence[Model]) -> list[dict[str, Latency]] | None:
    """Measured latency of the models; None when the settings leave it out."""
    if not config.run.latency_seconds or not config.run.batches:
        return None
    return measure(models, config.run.batches, config.run.latency_seconds)


def build_report(session: Session, model: Model, pruned: Model | None) -> Report:
    """Evaluate, time and gather.

    Args:
        model: before pruning (or the trained one). pruned: after; None: nothing was pruned.
    """
    config, run, images = session.config, session.run, session.images
    session.watch.stage("measuring accuracy and latency")
    events = run.read()
    plan = run.read_plan()
    loader = images.plain(images.test)
    loss = make_loss(config.train)
    results = [judged(m, loader, loss, loader.batch_size) for m in (model, pruned) if m is not None]
    session.heed()
    start = time.perf_counter()
    points = _points(session) if pruned is not None else []
    nets = [m for m in (model, pruned) if m is not None]
    timed = latencies(config, [*nets, *(m for _, _, m in points)])
    bench = time.perf_counter() - start
    gathered = summarise_events(events)
    report: dict[str, Any] = {
        **basics(config, session.command),
        "command_line": plan.get("command_line", ""),
        "created": plan.get("created", ""),
        "network": network_name(model),
        "dataset": images.train.name,
        "config": config.model_dump(exclude_none=True),
        **gathered,
        "verified": None,
    }
    before, after = costs(model.graph), None if pruned is None else costs(pruned.graph)
    report["accuracy"] = _pair([r[0].get("accuracy") for r in results])
    report["loss"] = _pair([r[0].get("loss") for r in results])
    report.update(quality(images.test, results))
    for kind in ("macs", "flops", "params"):
        values = [getattr(c, kind) for c in (before, after) if c is not None]
        report[kind] = _pair(values)
    files = [run.model] if pruned is None else [run.model, run.pruned]
    report["file_bytes"] = _pair([os.path.getsize(f) for f in files])
    if timed is not None:
        report["latency_ms"] = _pair(timed[:2])
    report["memory"] = _pair([inference_bytes(m.graph) for m in nets])
    report["layers"] = _layers(before, after, model, pruned)
    if pruned is not None:
        report.update(_pruning(session, model, pruned, before))
        kept = len(pruned.meta.get("history", []))
        report["steps"] = [e for e in report["steps"] if e.get("step", 0) <= kept]
        if points:
            report["points"] = _family(session, [*points, _last(session, pruned)], timed)
    spent = dict(gathered.get("seconds", {}))
    tuned = [e for e in events if e.get("event") == "epoch" and e.get("phase") == "finetune"]
    spent["prune"] += sum(e["seconds"] for e in {e["epoch"]: e for e in tuned}.values())
    total = time.perf_counter() - session.start + _earlier(events)
    report["seconds"] = {**spent, "bench": bench if timed is not None else None, "total": total}
    return report  # type: ignore[return-value]


Point = tuple[str, Path, Model]  # what was asked, the file, the network


def _points(session: Session) -> list[Point]:
    """The networks of the targets before the last."""
    return [
        (getattr(target, target.kind), file, io.load(file).to(session.device))
        for target, file in point_files(session)
        if file.is_file()
    ]


def _last(session: Session, pruned: Model) -> Point:
    target = make_target(session.config.prune)
    assert target is not None
    return getattr(target, target.kind), session.run.pruned, pruned


def _family(
    session: Session, points: Sequence[Point], timed: Sequence[dict[str, Latency]] | None
) -> list[dict[str, Any]]:
    """Every operating point judged on the test images. timed: before, last, and those before it."""
    images, loss = session.images, make_loss(session.config.train)
    loader = images.plain(images.test)
    order = [] if timed is None else [*timed[2:], timed[1]]
    found = []
    for k, (amount, file, model) in enumerate(points):
        c = costs(model.graph)
        judged_ = judged(model, loader, loss, loader.batch_size)[0]
        session.heed()
        found.append(
            {
                "target": str(amount), "file": str(file.relative_to(session.run.path)),
                "accuracy": judged_.get("accuracy"), "loss": judged_.get("loss"),
                "flops": c.flops, "macs": c.macs, "params": c.params,
                "memory": inference_bytes(model.graph), "latency_ms": order[k] if order else None,
            }
        )  # fmt: skip
    return found


def _guard(session: Session, model: Model, pruned: Model) -> dict[str, Any] | None:
    """What is lost on held-out training images when all is done."""
    allowed = session.config.prune.max_drop
    if allowed is None:
        return None
    loader, loss = session.images.plain(session.images.val), make_loss(session.config.train)
    before, after = (
        judged(m, loader, loss, loader.batch_size)[0]["accuracy"] for m in (model, pruned)
    )
    return {
        "max_drop": allowed, "images": len(session.images.val), "before": before, "after": after,
        "kept": 100 * (before - after) <= allowed + 1e-9,
    }  # fmt: skip


def _rollbacks(session: Session) -> list[dict[str, Any]]:
    """Rounds undone; one that ran twice (after a resume) counts once."""
    found = {str(e["members"]): e for e in session.run.read() if e.get("event") == "rollback"}
    return [{k: v for k, v in e.items() if k not in ("event", "time")} for e in found.values()]


def _earlier(events: Sequence[Mapping[str, Any]]) -> float:
    """Seconds of the sessions before this one, each up to its last event, however it ended."""
    total, begun, last = 0.0, None, 0.0
    for e in events:
        if e.get("event") == "session":
            total += 0.0 if begun is None else max(last - begun, 0.0)
            begun = e["time"]
        last = e["time"]
    return total


def _pair(values: Sequence[Any]) -> dict[str, Any]:
    return {"before": values[0], "after": values[1] if len(values) > 1 else None}


def _width(model: Model, node: str) -> int:
    w = model.graph.node(node).input("w")
    spec = model.graph.values[w or ""].spec
    return 0 if spec is None else spec.shape[0]


def _layers(
    before: Costs, after: Costs | None, model: Model, pruned: Model | None
) -> list[dict[str, Any]]:
    left = {n.name: n for n in after.nodes} if after is not None else {}
    rows = []
    for n in before.nodes:
        if n.op not in _LAYERS:
            continue
        row: dict[str, Any] = {
            "name": n.name,
            "op": n.op,
            "before": _width(model, n.name),
            "after": None,
            "macs_before": n.macs,
            "macs_after": None,
        }
        if pruned is not None and n.name in left:
            row |= {"after": _width(pruned, n.name), "macs_after": left[n.name].macs}
        rows.append(row)
    return rows


def _pruning(session: Session, model: Model, pruned: Model, original: Costs) -> dict[str, Any]:
    p = session.config.prune
    target = make_target(p)
    steps = pruned.meta.get("history", [])
    # the removal that came nearest to its bound; each has its own
    pairs = [(float(s["max_abs_diff"]), float(s["tolerance"])) for s in steps]
    worst, allowed = max(pairs, key=lambda p: p[0] / max(p[1], 1e-300), default=(None, None))
    by_score = p.method == "score"
    include = p.include if by_score else ["conv2d", "linear"]
    widths = round_to(session.config, session.device)
    look = preview(model, None, include=include, ignore=p.ignore, floor=p.floor, round_to=widths)
    parts = {} if by_score else _gates(session, pruned)
    return {
        **parts,
        # every removal was compared with its masked network; a difference raises
        "verified": _same_from_file(session, pruned) if steps else None,
        "verify": {"max_abs_diff": worst, "tolerance": allowed},
        "target": None if target is None else _target(target, session, model, pruned),
        "guard": _guard(session, model, pruned),
        "rollbacks": _rollbacks(session),
        "criterion": {
            "name": p.criterion if by_score else p.method,
            "normalize": f"L{p.normalize:g}" if p.normalize and by_score else None,
        },
        "scores": pruned.meta.get("scores", []),
        "skipped": [{"layer": x.name, "reason": x.reason} for x in look.layers if x.reason],
    }


def _same_from_file(session: Session, pruned: Model) -> bool:
    """Whether the file that is left gives the same bits as the network in memory."""
    images = session.images
    some = images.standardize.apply(images.test.images[:100])
    again = io.load(session.run.pruned).to(pruned.device)
    return bool(np.array_equal(again.predict(some), pruned.predict(some)))


def _gates(session: Session, pruned: Model) -> dict[str, Any]:
    """What came of the gates, and the maps of a Pruning Block."""
    maps = [e for e in session.run.read() if e.get("event") == "block_maps"]
    return {"gates": pruned.meta.get("gates"), "block_maps": maps[-1]["maps"] if maps else []}


def _target(target: Target, session: Session, model: Model, pruned: Model) -> dict[str, Any]:
    """What was asked and what came, looked at again now that all is done."""
    gauge = gauge_of(target, costs(model.graph), model)
    stands = gauge.stands(pruned, costs(pruned.graph))
    guard = _guard(session, model, pruned) if not target.sized else None
    stopped = pruned.meta.get("prune", {}).get("stopped")
    return {
        "text": target.describe(costs(model.graph), gauge.whole),
        "kind": target.kind,
        "remaining": gauge.goal,
        "reached": (stands and stopped is None) if guard is None else guard["kept"],
        "before": gauge.whole,
        "after": gauge.value,
        "stopped": stopped,
    }


def failures(report: Mapping[str, Any]) -> list[str]:
    """Why a run is no success: a missed target, a failed or missing proof. Empty: all is well."""
    found = []
    if report.get("gates") and report["verified"] is None:
        found.append(
            "nothing was removed: no gate closed; more epochs, a larger prune.auxiliary.lam or a "
            "target take filters out"
        )
    if report.get("target"):
        if report["verified"] is None and not report.get("gates"):
            found.append(
                f"nothing was removed: the target is met already: {report['target']['text']}"
            )
        if not report["target"]["reached"] and report["target"]["kind"] != "max_drop":
            why = STOPPED.get(report["target"].get("stopped") or "")
            found.append(
                f"the target was missed: {report['target']['text']}{f' ({why})' if why else ''}"
            )
        if report.get("guard") and not report["guard"]["kept"]:
            g = report["guard"]
            found.append(
                f"accuracy fell by {100 * (g['before'] - g['after']):.2f} points on held-out training "
                f"images, more than prune.max_drop = {g['max_drop']:g}"
            )
        if report.get("verified") is False:
            found.append("the file of the pruned network does not compute what the network does")
    return found
