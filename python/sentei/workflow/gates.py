"""Pruning by auxiliary variables as a stage of a run: attach, train in turns, close."""

from __future__ import annotations

from typing import Any

import numpy as np

from sentei.errors import DataError
from sentei.model import Model
from sentei.optim import SGD, InTurns, Optimizer
from sentei.passes import Costs, costs
from sentei.prune import (
    Closed,
    Closing,
    attach_blocks,
    attach_gates,
    block_maps,
    blocks_of,
    close_gates,
    fold_blocks,
    outlook,
    smallest_costs,
)
from sentei.prune.iterative import TargetUnreachableError
from sentei.prune.target import Target
from sentei.train import Callback, Trainer
from sentei.workflow import config as c
from sentei.workflow.factory import make_optimizer
from sentei.workflow.session import Session

__all__ = [
    "GateWatch",
    "check_gates",
    "close",
    "fold",
    "gates_optimizer",
    "make_closing",
    "make_gated",
]

_MAP_IMAGES = 500  # images of each part whose maps are drawn


def make_closing(p: c.Prune, target: Target | None) -> Closing:
    """When a filter is closed, by the settings.

    Raises:
        DataError: the threshold is out of its range.
    """
    a = p.auxiliary
    try:
        return Closing(a.threshold, a.threshold_on, p.floor, target)
    except ValueError as e:
        raise DataError(f"prune.auxiliary: {e}") from None


def make_gated(p: c.Prune, model: Model, seed: int) -> Model:
    """The network with gates, by the settings.

    Raises:
        GraphError: no layer matches. DataError: a setting does not go with the method.
    """
    a = p.auxiliary
    if p.ignore:
        raise DataError(
            "prune: ignore must be left out with gates, got "
            f"{p.ignore}: prune.auxiliary.layers names the layers that have them"
        )
    given = {"layers": a.layers, "alpha": a.alpha, "start": a.start, "freeze": a.freeze_statistics}
    if p.method == "block":
        if a.place != "output":
            raise DataError(f"prune.auxiliary: place must be output with block, got {a.place}")
        return attach_blocks(model, width=a.width, seed=seed, **given)  # type: ignore[arg-type]
    if a.width != 1.0:
        raise DataError(f"prune.auxiliary: width must be left out with {p.method}, got {a.width:g}")
    kind = "step" if p.method == "autoprune" else "sigmoid"
    return attach_gates(model, kind, place=a.place, **given)  # type: ignore[arg-type]


def gates_optimizer(p: c.Prune, train: c.Train) -> Optimizer:
    """Weights and gates in turns.

    Raises:
        DataError: an optimizer that cannot take turns.
    """
    try:
        return InTurns(
            make_optimizer(train, p.lr),
            SGD(p.gate_settings[1], momentum=p.auxiliary.gates_momentum),
        )
    except TypeError as e:
        raise DataError(f"prune: {e}") from None


def check_gates(p: c.Prune, train: c.Train, model: Model, target: Target | None) -> Costs:
    """Everything that can be wrong before any work; returns the smallest costs that can be reached.

    Raises:
        SenteiError, ValueError: as said above; TargetUnreachableError.
    """
    gates_optimizer(p, train)
    closing = make_closing(p, target)
    smallest = smallest_costs(make_gated(p, model, 0), closing)
    original = costs(model.graph)
    if target is not None and not target.reached(smallest, original):
        raise TargetUnreachableError(
            f"prune: the target must be reachable, but {target.describe(original)} is below the "
            f"smallest network that prune.floor and prune.auxiliary.layers allow, "
            f"{target.measure(smallest):,} of {target.measure(original):,} {target.kind}"
        )
    return smallest


class GateWatch(Callback):
    """Shows and records after every epoch what is closed; ends training when the target is met."""

    def __init__(self, session: Session, closing: Closing, original: Costs) -> None:
        self.session, self.closing, self.original = session, closing, original

    def on_epoch_end(self, trainer: Trainer, row: Any) -> None:
        seen = outlook(trainer.model, self.closing, self.original)
        share = seen.costs.macs / max(self.original.macs, 1)
        self.session.watch.note(
            f"{seen.closed} of {seen.total} filters closed, {share:.1%} of the FLOPs without them"
        )
        self.session.run.event(
            "gates",
            epoch=trainer.epoch,
            closed=seen.closed,
            filters=seen.total,
            macs=seen.costs.macs,
            params=seen.costs.params,
            layers=[{"layer": k, "closed": n, "filters": of} for k, n, of in seen.layers],
        )
        if seen.reached:
            trainer.stop("the target is met without the closed filters")


def close(session: Session, gated: Model, closing: Closing, original: Costs) -> Model:
    """The smaller network, its blocks not folded yet; what came of the gates goes into its notes."""
    p = session.config.prune
    epochs = sum(e.get("event") == "gates" for e in session.run.read())
    closed: Closed = close_gates(gated, closing, original)
    for step in closed.steps:
        session.run.event("prune_step", **step.to_json())
    words = f"training closed {closed.shut} filters"
    if closed.forced:
        words += f", {closed.forced} more went for the target"
    if closed.opened:
        words += f", {closed.opened} closed ones stay as a layer's floor"
    session.watch.note(words)
    model = closed.model
    model.meta["gates"] = {
        "method": p.method,
        "epochs": epochs,
        "filters": sum(len(s.values) for s in closed.gates),
        "shut": closed.shut,
        "forced": closed.forced,
        "opened": closed.opened,
        "max_abs_diff": closed.max_abs_diff,
        "tolerance": closed.tolerance,
    }
    return model


def fold(session: Session, model: Model) -> Model:
    """The network without blocks; their maps, seen just before, are recorded."""
    if not blocks_of(model.graph):
        return model
    images = session.images
    parts = [
        part.subset(np.arange(min(_MAP_IMAGES, len(part)))) for part in (images.train, images.test)
    ]
    train, test = (images.standardize.apply(part.images) for part in parts)
    maps = [
        {
            "layer": m.layer,
            "name": m.name,
            "channels": m.channels,
            "share_1": m.share[0],
            "share_2": m.share[1],
            "x": m.points[:, 0].astype(np.float32).tolist(),
            "y": m.points[:, 1].astype(np.float32).tolist(),
            "labels": parts[1].labels[: len(m.points)].tolist(),
        }
        for m in block_maps(model, train, test)
    ]
    session.run.event("block_maps", maps=maps)
    return fold_blocks(model)
