"""What is compared: criteria, targets, seeds and baselines, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentei.errors import DataError
from sentei.graph import Graph
from sentei.init import names as scheme_names
from sentei.model import Model
from sentei.passes import Costs, costs
from sentei.prune import CRITERIA
from sentei.prune.iterative import TargetUnreachableError
from sentei.prune.preview import preview
from sentei.prune.surgery import keep_first, shrunk_graph
from sentei.prune.target import Target
from sentei.prune.units import Unit, pruning_map
from sentei.suggest import unknown
from sentei.workflow import config as c
from sentei.workflow.config import Config
from sentei.workflow.datasets import Images
from sentei.workflow.factory import network_name
from sentei.workflow.run_dir import RunDir
from sentei.workflow.runs import plan
from sentei.workflow.settings import make_config

__all__ = ["BASELINES", "Comparison", "Trial", "plan_compare", "uniform_graph"]

BASELINES = ("scratch", "uniform", "unpruned")
WHOLE = "100%"
_MOST = 1000  # seeds
_SHARES = 10_000  # steps in which uniform widths are tried


@dataclass(frozen=True)
class Trial:
    """One network to be made and judged.

    kind: pruned, scratch, uniform or unpruned. criterion: of pruned and scratch, else "".
    target: the share or number of `flops` that remains.
    """

    kind: str
    criterion: str
    target: str
    seed: int

    @property
    def arm(self) -> str:
        """Its row in the table."""
        if self.kind == "pruned":
            return self.criterion
        return f"{self.criterion}, from scratch" if self.kind == "scratch" else self.kind

    @property
    def key(self) -> tuple[str, str, int]:
        return self.arm, self.target, self.seed

    @property
    def file(self) -> str:
        """Name of the file of its network."""
        words = (self.kind, self.criterion, self.target.replace("%", ""), f"seed{self.seed}")
        return "-".join(w for w in words if w) + ".safetensors"


@dataclass(frozen=True)
class Comparison:
    """A comparison that has been checked.

    first, rounds, after: training steps before pruning, rounds of pruning at most, and steps after
    the first ones, the same for every network. from_file: the network that is pruned is given.
    """

    config: Config
    criteria: tuple[str, ...]
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    baselines: tuple[str, ...]
    images: Images
    model: Model
    first: int
    rounds: int
    after: int
    run_dir: Path

    @property
    def from_file(self) -> bool:
        return self.config.model.file is not None

    @property
    def metric(self) -> str:
        return "r2" if self.images.train.is_regression else "accuracy"

    @property
    def original(self) -> Costs:
        return costs(self.model.graph)

    @property
    def init(self) -> str:
        """How networks from scratch are initialised: as the one that is pruned was."""
        known = self.model.meta.get("init")
        return known if known in scheme_names() else self.config.model.init

    def target(self, text: str) -> Target:
        return Target(flops=text)

    def trials(self) -> list[Trial]:
        """All of them, in the order in which they are made: whole seeds, so that an early stop
        leaves a table of fewer seeds."""
        found = []
        for seed in self.seeds:
            if "unpruned" in self.baselines:
                found.append(Trial("unpruned", "", WHOLE, seed))
            for target in self.targets:
                for name in self.criteria:
                    found.append(Trial("pruned", name, target, seed))
                    if "scratch" in self.baselines:
                        found.append(Trial("scratch", name, target, seed))
                if "uniform" in self.baselines:
                    found.append(Trial("uniform", "", target, seed))
        return found

    def to_json(self) -> dict[str, Any]:
        """What the run folder keeps."""
        return {
            "network": network_name(self.model),
            "dataset": self.images.train.name,
            "criteria": list(self.criteria),
            "targets": list(self.targets),
            "seeds": list(self.seeds),
            "baselines": list(self.baselines),
            "steps_before": self.first,
            "rounds_at_most": self.rounds,
            "steps_after": self.after,
            "trials": len(self.trials()),
            "metric": self.metric,
        }


def _distinct(what: str, words: Sequence[str]) -> tuple[str, ...]:
    found = tuple(w.strip() for w in words if w.strip())
    if not found:
        raise DataError(f"compare: {what} must name at least one, got none")
    for i, w in enumerate(found):
        if w in found[:i]:
            raise DataError(f"compare: {what} must differ from one another, got {w!r} twice")
    return found


def plan_compare(
    config: Config,
    criteria: Sequence[str],
    targets: Sequence[str],
    seeds: int = 3,
    baselines: Sequence[str] = BASELINES,
    *,
    first: int | None = None,
) -> Comparison:
    """Check everything that can be checked before any work; nothing is written.

    Args:
        config: settings of training and pruning; model.file: the network to prune, else one is
        trained for every seed. criteria: names in prune.CRITERIA. targets: FLOPs that remain.
        seeds: how many, from run.seed on. first: training steps of a given file; None: as its notes.
    Raises:
        SenteiError, ValueError: a name, a number, a file or a combination of them is wrong.
        TargetUnreachableError: floors and ignored layers forbid a target.
    """
    criteria, targets = _distinct("criteria", criteria), _distinct("flops", targets)
    for name in criteria:
        if name not in CRITERIA:
            raise DataError(unknown("compare: criteria", name, CRITERIA))
    for name in baselines:
        if name not in BASELINES:
            raise DataError(unknown("compare: baselines", name, BASELINES))
    if not 1 <= seeds <= _MOST:
        raise DataError(f"compare: seeds must lie in [1, {_MOST}], got {seeds}")
    if config.prune.method != "score":
        raise DataError(
            f"compare: prune.method must be score, whose criteria are compared, got {config.prune.method!r}"
        )
    made = plan(_with_target(config, targets[0]), "prune" if config.model.file else "demo")
    p, graph = config.prune, made.model.graph
    original = costs(graph)
    look = preview(made.model, None, include=p.include, ignore=p.ignore, floor=p.floor)
    for text in targets:
        target = Target(flops=text)
        if target.reached(original, original):
            raise DataError(f"compare: flops must remove something, got {text!r}")
        if not target.reached(look.smallest, original):
            raise TargetUnreachableError(
                f"compare: the target must be reachable, but {target.describe(original)} is below the "
                f"smallest network that prune.floor and prune.ignore allow, {look.smallest.flops:,} "
                f"of {original.flops:,} FLOPs"
            )
        if "uniform" in baselines:
            uniform_graph(graph, target, p)
    per_epoch = len(made.images.training(config.train.batch, config.run.seed))
    if first is None:
        silent = config.model.file is not None and "train" not in made.model.meta
        if silent and "epochs" not in config.train.model_fields_set:
            raise DataError(
                "compare: the file must say how long it was trained, for networks from scratch to be "
                "trained as long, or train.epochs must be given"
            )
        first = config.train.epochs * per_epoch
    units = len(keep_first(pruning_map(graph, include=p.include, ignore=p.ignore, floor=p.floor)))
    rounds = -(-units // p.per_round)
    after = rounds * p.retrain_steps + p.finetune_epochs * per_epoch
    where = RunDir.place(config, "compare", network_name(made.model))
    numbers = tuple(range(config.run.seed, config.run.seed + seeds))
    return Comparison(
        config, criteria, targets, numbers, tuple(b for b in BASELINES if b in baselines),
        made.images, made.model, first, rounds, after, where,
    )  # fmt: skip


def _with_target(config: Config, target: str) -> Config:
    data: dict[str, Any] = config.model_dump(exclude_unset=True)
    block: Mapping[str, Any] = data.get("prune", {})
    kept = {k: v for k, v in block.items() if k not in ("macs", "params")}
    return make_config({**data, "prune": {**kept, "flops": target}})


def uniform_graph(graph: Graph, target: Target, p: c.Prune) -> Graph:
    """The widest graph at or below a target in which every layer keeps the same share.

    Widths are rounded to the nearest number of channels, at least prune.floor; tied layers count as one.

    Raises:
        TargetUnreachableError: not even at the floors.
    """
    pruning = pruning_map(graph, include=p.include, ignore=p.ignore, floor=p.floor)
    original = costs(graph)
    classes: dict[tuple[str, ...], list[Unit]] = {}
    for unit in pruning.units:
        classes.setdefault(tuple(dict.fromkeys(k for k, _ in unit.members)), []).append(unit)

    def at(share: int) -> Graph:
        gone = []
        for units in classes.values():
            keep = max(p.floor, (2 * share * len(units) + _SHARES) // (2 * _SHARES))
            gone += [u.label for u in units[keep:]]
        return shrunk_graph(graph, pruning.groups, gone)[0] if gone else graph

    if not target.reached(costs(at(0)), original):
        raise TargetUnreachableError(
            f"compare: uniform widths must reach the target, but {target.describe(original)} is below "
            f"{costs(at(0)).flops:,} of {original.flops:,} FLOPs, every layer at its floor; leave the "
            "baseline out"
        )
    low, high = 0, _SHARES  # reached at low, not at high
    while high - low > 1:
        middle = (low + high) // 2
        if target.reached(costs(at(middle)), original):
            low = middle
        else:
            high = middle
    return at(low)
