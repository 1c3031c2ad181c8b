"""What the settings of pruning ask for, checked: targets, operating points, widths, a teacher."""

from __future__ import annotations

import re

from sentei import losses
from sentei.errors import DataError
from sentei.model import Model
from sentei.passes import costs
from sentei.prune.gauge import inference_bytes
from sentei.prune.iterative import check_points
from sentei.prune.target import COUNTS, Target
from sentei.workflow import config as c
from sentei.workflow.factory import make_loss

__all__ = [
    "check_pruning",
    "make_target",
    "make_targets",
    "prune_loss",
    "round_to",
    "split_amounts",
]

_OF_SCORE = ("memory", "latency", "max_drop", "rollback", "round_to")


def split_amounts(text: str | None) -> str | list[str] | None:
    """ "70%,50%" as a list; a number such as 4,000,000 stays one."""
    if text is None or "," not in text or re.fullmatch(r"\s*\d{1,3}(,\d{3})+\s*", text):
        return text
    return [part.strip() for part in text.split(",")]


def make_targets(settings: c.Prune) -> list[Target]:
    """The targets of the settings, the largest network first; [] for methods with gates without one.

    Raises:
        DataError: several kinds, or none where one is needed. ValueError: one that cannot be.
    """
    given, lost = settings.targets, settings.max_drop
    if not given and (lost is not None or settings.method != "score"):
        return [Target(max_drop=lost)] if lost is not None else []
    if len(given) != 1:
        names = ", ".join(f"prune.{k}" for k in ("flops", "macs", "params", "memory", "latency"))
        got = ", ".join(given) or "none"
        raise DataError(
            f"prune: exactly one of {names} must be given (or prune.max_drop), got {got}"
        )
    ((kind, amounts),) = given.items()
    if not amounts:
        raise DataError(f"prune: {kind} must name at least one target, got an empty list")
    name = "latency_ms" if kind == "latency" else kind
    return [Target(**{name: a}, max_drop=lost, batch=settings.target_batch) for a in amounts]


def make_target(settings: c.Prune) -> Target | None:
    """The last target of the settings, that of the smallest network."""
    found = make_targets(settings)
    return found[-1] if found else None


def check_pruning(settings: c.Config, model: Model) -> None:
    """Refuse what contradicts itself, before any work.

    Raises:
        DataError, ValueError: as the sentence says.
    """
    p, t = settings.prune, settings.train
    targets = make_targets(p)
    if p.method != "score":
        given = [k for k in _OF_SCORE if getattr(p, k) is not None]
        if given:
            raise DataError(
                f"prune: {', '.join(given)} must be left out with method {p.method}, being of method score"
            )
        if len(targets) > 1:
            raise DataError(f"prune: one target must be given with method {p.method}, got several")
    if len(targets) > 1:
        original, kind = costs(model.graph), targets[0].kind
        if kind in COUNTS:
            whole = float(targets[0].measure(original))
        else:  # shares need no whole; milliseconds and shares together cannot be told apart yet
            whole = float(inference_bytes(model.graph, p.target_batch)) if kind == "memory" else 1e9
        check_points(targets, original, whole)
    if p.distill_alpha is not None:
        prune_loss(p, t)
        if t.optimizer == "lbfgs":
            raise DataError("prune: distill_alpha must be left out with the optimizer lbfgs")
        if not p.retrain_steps and not p.finetune_epochs:
            raise DataError(
                "prune: distill_alpha must be left out where nothing is trained "
                "(retrain_steps and finetune_epochs are 0)"
            )
    watched = [k for k in ("max_drop", "rollback") if getattr(p, k) is not None]
    if watched and t.loss not in ("softmax", "sigmoid"):
        raise DataError(
            f"prune: {' and '.join(watched)} must be left out of a regression, which has no accuracy"
        )


def prune_loss(p: c.Prune, train: c.Train) -> losses.Loss:
    """The loss of retraining: that of training, or with a teacher."""
    loss = make_loss(train)
    if p.distill_alpha is None:
        return loss
    if not isinstance(loss, losses.CrossEntropy):
        raise DataError(
            f"prune: distill_alpha must be left out with the loss {train.loss}, it goes with softmax"
        )
    return losses.Distillation(p.distill_alpha, p.distill_temperature)


def round_to(settings: c.Config, device: str) -> int:
    """Widths end at multiples of this: as given, or as rows of 16 bytes ask for on a GPU."""
    if settings.prune.round_to is not None:
        return settings.prune.round_to
    if device == "cpu":
        return 1
    return {"bfloat16": 8, "tf32": 4}.get(settings.train.precision, 1)
