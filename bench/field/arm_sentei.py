"""One arm by sentei: IterativePruner, retraining by its Trainer."""

from __future__ import annotations

from common import Clock, Images, Outcome, accuracy, plan, retraining
from scale import Scale

from sentei import optim
from sentei.model import Model
from sentei.prune import IterativePruner, Target
from sentei.train import Trainer


def prune(
    start: Model, s: Scale, data: Images, seed: int, criterion: str, schedule: str, target: float
) -> Outcome:
    """Cut and retrain by the schedule; every cut is proved, as always."""
    clock = Clock()
    loader = data.training(s, seed)
    x, labels = data.scored(s, seed)
    whole = start.costs().macs
    sgd = optim.SGD(s.retrain_lr, momentum=s.momentum, weight_decay=s.weight_decay)
    trainer = Trainer(start.copy(), sgd, batch=s.batch, seed=seed, schedule=retraining(s))
    parts = dict.fromkeys(("scoring", "surgery", "verification"), 0.0)
    removed, worst, cut = 0, 0.0, 0.0
    for share, steps in plan(s, schedule, target):
        with clock.part("prune"):
            done = IterativePruner(
                trainer.model, Target(macs=share * whole), criterion, trainer=trainer,
                train=loader, score_images=x, score_labels=labels, retrain_steps=0,
                per_round=s.channels,
            ).run()  # fmt: skip
            trainer = done.trainer
        removed += len(done.steps)
        worst = max(worst, done.max_abs_diff)
        for k in parts:
            parts[k] += done.parts[k]
        cut = accuracy(trainer.model, data)
        with clock.part("retrain"):
            trainer.steps(loader, steps)
    notes = {"units": removed, "masked_against_pruned": worst, "parts": parts}
    return Outcome(trainer.model, cut, clock, notes)
