"""Look at networks without changing them: evaluate, profile, bench."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sentei import device
from sentei.model import Model
from sentei.prune.preview import Preview, preview
from sentei.prune.target import Target
from sentei.report import Report, write_report
from sentei.report.schema import Latency
from sentei.run import make_plan
from sentei.run.timing import Ratio, ratio_of
from sentei.workflow.config import Config
from sentei.workflow.datasets import images_for
from sentei.workflow.factory import check_fits, make_loss, network_name, read_model
from sentei.workflow.latency import measure_rounds, summary, verdict
from sentei.workflow.quality import judged, quality
from sentei.workflow.reporting import basics
from sentei.workflow.run_dir import RunDir

__all__ = [
    "Bench",
    "Profile",
    "bench",
    "check_evaluation",
    "evaluate",
    "model_or_network",
    "profile",
]


def evaluate(config: Config, model: Model | None = None) -> Report:
    """Loss and accuracy on the test images of a model file.

    Args:
        config: model.file and the data. model: in place of model.file.
    Returns:
        A report of the command "eval"; its figures are under "before".
    """
    where = device.require(config.run.device)
    if config.run.threads is not None:
        device.set_threads(config.run.threads)
    start = time.perf_counter()
    if config.run.run_dir is not None:
        RunDir.place(config, "eval", "")  # refused now, not after the work
    if model is None:
        model = read_model(config.model.file or "")
    images = images_for(model.meta, config.data, config.run.seed)
    check_fits(model, images)
    loader = images.plain(images.test)
    result = judged(model.to(where), loader, make_loss(config.train), loader.batch_size)
    found = result[0]
    c = model.costs()
    report: dict[str, Any] = {
        **basics(config, "eval"),
        "network": network_name(model),
        "dataset": images.train.name,
        "images": len(images.test),
        "accuracy": {"before": found.get("accuracy"), "after": None},
        "loss": {"before": found["loss"], "after": None},
        **quality(images.test, [result]),
        "macs": {"before": c.macs, "after": None},
        "flops": {"before": c.flops, "after": None},
        "params": {"before": c.params, "after": None},
        "seconds": {"total": time.perf_counter() - start},
        "config": config.model_dump(exclude_none=True),
    }
    if config.run.run_dir is not None:
        run = RunDir.create(RunDir.place(config, "eval", ""), "eval", config)
        write_report(run.path, report)
    return report  # type: ignore[return-value]


def check_evaluation(config: Config) -> dict[str, Any]:
    """Check what `evaluate` needs and say what it would do."""
    model = read_model(config.model.file or "")
    images = images_for(model.meta, config.data, config.run.seed)
    check_fits(model, images)
    return {
        "command": "eval",
        "network": network_name(model),
        "dataset": images.train.name,
        "images": len(images.test),
        "config": config.model_dump(exclude_none=True),
    }


def model_or_network(name: str, classes: int = 10) -> Model:
    """The model in a file, or a network by its name with initial weights.

    Raises:
        FileNotFoundError, DataError: it looks like a file and cannot be read. GraphError: no network.
    """
    from sentei.nn import models

    if os.path.exists(name) or os.sep in name or name.endswith(".safetensors"):
        return read_model(name)
    return models.build(name, classes=classes)


@dataclass(frozen=True)
class Profile:
    """What a network costs. memory: bytes of the arena for inference by batch size, and of parameters."""

    model: Model
    preview: Preview
    memory: Mapping[str, int]
    parameter_bytes: int

    def to_json(self) -> dict[str, Any]:
        """The profile as JSON data."""
        c = self.model.costs()
        look = self.preview
        return {
            "network": network_name(self.model),
            "input": list(self.model.input_shape),
            "macs": c.macs,
            "flops": c.flops,
            "params": c.params,
            "parameter_bytes": self.parameter_bytes,
            "arena_bytes": dict(self.memory),
            "nodes": [
                {
                    "name": n.name,
                    "op": n.op,
                    "shape": list(n.shape),
                    "params": n.params,
                    "macs": n.macs,
                    "bytes": n.out_bytes,
                }
                for n in c.nodes
            ],
            "prune": {
                "target": None if look.target is None else look.target.describe(look.original),
                "reachable": look.reachable,
                "smallest_macs": look.smallest.macs,
                "smallest_flops": look.smallest.flops,
                "smallest_params": look.smallest.params,
                "layers": [
                    {
                        "name": x.name,
                        "op": x.op,
                        "width": x.width,
                        "prunable": x.prunable,
                        "reason": x.reason,
                        "tied_with": list(x.tied_with),
                    }
                    for x in look.layers
                ],
            },
        }


def profile(
    model: Model,
    batches: Sequence[int] = (1, 100),
    target: Target | None = None,
    *,
    include: Sequence[str] = ("conv2d",),
    ignore: Sequence[str] = (),
    floor: int = 1,
) -> Profile:
    """Costs per node, what could be pruned, and the memory of inference. Nothing is run."""
    fused = model.predictor(1).graph
    memory = {str(b): make_plan(fused, b).memory.arena_bytes for b in batches}
    look = preview(model, target, include=include, ignore=ignore, floor=floor)
    return Profile(model, look, memory, sum(t.nbytes for t in model.tensors.values()))


@dataclass(frozen=True)
class Bench:
    """Latency of one or two networks. intervals: by batch size, how many times faster the second is."""

    names: tuple[str, ...]
    latency_ms: tuple[dict[str, Latency], ...]
    macs: tuple[int, ...]
    intervals: Mapping[str, Ratio] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, tuple[float, str]]:
        """By batch size, how many times faster the second is, and the word for it."""
        return {b: (r.ratio, verdict(r)) for b, r in self.intervals.items()}

    @property
    def sentences(self) -> list[str]:
        """The verdict, a sentence for every batch size; slower is said loudly."""
        found = []
        for batch, r in self.intervals.items():
            word, second = verdict(r), self.names[1]
            up = f"({r.low:.2f} to {r.high:.2f})"
            down = f"({1 / r.high:.2f} to {1 / r.low:.2f})"
            said = {
                "faster": f"{second} is {r.ratio:.2f}x faster {up}",
                "slower": f"{second} is {1 / r.ratio:.2f}x SLOWER {down}",
                "same": f"{second} is as fast, {r.ratio:.2f}x {up}",
                "unclear": f"cannot be told: {r.ratio:.2f}x {up}; give more --seconds",
            }[word]
            found.append(f"batch {batch}: {said}")
        return found

    @property
    def slower(self) -> bool:
        """Whether the second is slower at a batch size."""
        return any(verdict(r) == "slower" for r in self.intervals.values())

    def to_json(self) -> dict[str, Any]:
        """The measurements as JSON data."""
        models = [
            {"name": n, "macs": m, "latency_ms": t}
            for n, m, t in zip(self.names, self.macs, self.latency_ms, strict=True)
        ]
        ratios = {
            b: {"ratio": r.ratio, "low": r.low, "high": r.high, "verdict": verdict(r)}
            for b, r in self.intervals.items()
        }
        return {"models": models, "second_versus_first": ratios, "verdict": self.sentences}


def bench(
    models: Sequence[Model | str | os.PathLike[str]],
    batches: Sequence[int] = (1, 100),
    seconds: float = 1.0,
    *,
    names: Sequence[str] | None = None,
    device: str | None = None,
) -> Bench:
    """Measure latency in inference form, two networks in turns.

    Args:
        models: networks or their files. batches: batch sizes. seconds: per batch size. names: to call
        them by. device: auto, cpu or cuda; None: where each network is.
    """
    loaded = [m if isinstance(m, Model) else read_model(m) for m in models]
    if names is None:
        names = [network_name(m) if isinstance(m, Model) else os.fspath(m) for m in models]
    placed = loaded if device is None else [m.to(device) for m in loaded]
    rounds = measure_rounds(placed, batches, seconds)
    times = [{b: summary(taken[i]) for b, taken in rounds.items()} for i in range(len(placed))]
    intervals = {b: ratio_of(*t) for b, t in rounds.items()} if len(placed) == 2 else {}
    return Bench(tuple(names), tuple(times), tuple(m.costs().macs for m in loaded), intervals)
