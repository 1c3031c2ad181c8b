"""The stages of a run: fit, prune, fine-tune; each goes on from its own checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sentei import io
from sentei.errors import DataError
from sentei.model import Model
from sentei.optim import Constant, Cosine, Optimizer, Schedule
from sentei.passes import Costs, costs
from sentei.prune.iterative import IterativePruner, PruneResult, PruneStep
from sentei.prune.target import Target
from sentei.prune.trust import ranking_trust
from sentei.prune.units import pruning_map
from sentei.regularizers import OpenGates, Regularizer
from sentei.train import BestWeights, Callback, EarlyStopping, Trainer, recalibrate_bn
from sentei.workflow import config as c
from sentei.workflow.cluster import train_on_cluster
from sentei.workflow.factory import (
    make_loss,
    make_model,
    make_optimizer,
    make_regularizers,
    make_schedule,
    network_name,
)
from sentei.workflow.gates import GateWatch, close, fold, gates_optimizer, make_closing, make_gated
from sentei.workflow.session import PHASE, Keeper, Session

__all__ = ["make_pruner", "make_target", "prune_stage", "train_stage"]


def make_target(settings: c.Prune) -> Target | None:
    """The target of the settings; None: of methods with gates, which need none.

    Raises:
        DataError: several, or none where one is needed.
    """
    given = settings.targets
    if not given and settings.method != "score":
        return None
    if len(given) != 1:
        raise DataError(
            "prune: exactly one of prune.flops, prune.macs, prune.params must be given, "
            f"got {', '.join(given) or 'none'}"
        )
    return Target(**given)


def train_stage(session: Session) -> Model:
    """Train from the initial weights, or go on; the result is in model.safetensors too."""
    s, run = session.config.train, session.run
    if session.resumed and run.model.is_file():
        return io.load(run.model).to(session.device)
    if session.saved_phase() == "train":
        model = io.load(run.checkpoint).to(session.device)
    else:
        model = make_model(session.config.model, session.images, session.config.run.seed)
        model = model.to(session.device)
    session.watch.stage(
        f"training {network_name(model)} on "
        f"{len(session.images.train):,} images, epochs: {s.epochs}"
    )
    if session.config.distributed.cluster is not None:
        return _finish(session, train_on_cluster(session, model))
    steps = len(session.images.training(s.batch, session.config.run.seed))
    fitted = _fit(
        session,
        model,
        "train",
        s.epochs,
        make_optimizer(s),
        make_schedule(s, s.epochs * steps),
        patience=s.patience,
        best=s.best_weights,
    )
    return _finish(session, fitted)


def _finish(session: Session, fitted: Model) -> Model:
    """Write the trained model."""
    fitted.meta = session.about(fitted)
    io.save(fitted, session.run.model)
    session.drop_checkpoint()
    session.heed()
    return fitted


def _fit(
    session: Session,
    model: Model,
    phase: str,
    epochs: int,
    optimizer: Optimizer,
    schedule: Schedule,
    *,
    patience: int | None = None,
    best: bool = False,
    terms: Sequence[Regularizer] = (),
    watch: Sequence[Callback] = (),
) -> Model:
    seed, s = session.config.run.seed, session.config.train
    keeper = Keeper(session, phase, epochs)
    monitor = "val_loss" if session.images.train.is_regression else "val_accuracy"
    keep_best = BestWeights(monitor) if best and patience is None else None
    callbacks: list[Callback] = [*watch, *([keep_best] if keep_best is not None else [])]
    if patience is not None:
        stopping = EarlyStopping(patience, monitor=monitor, restore_best_weights=best)
        callbacks.append(stopping)
    callbacks.append(keeper)
    if session.saved_phase() == phase:
        trainer = Trainer.resume(session.run.checkpoint, callbacks=callbacks, device=session.device)
        trainer.model.meta.pop(PHASE, None)
    else:
        trainer = Trainer(
            model,
            optimizer,
            make_loss(s),
            batch=s.batch,
            seed=seed,
            schedule=schedule,
            regularizers=[*make_regularizers(s.regularizers), *terms],
            callbacks=callbacks,
            precision=s.precision,
        )
    train, val = session.images.training(s.batch, seed), session.images.plain(session.images.val)
    session.watch.fit_start(epochs, epochs * len(train), trainer.step)
    try:
        trainer.fit(train, val, epochs=epochs, progress="none")
    finally:
        session.watch.fit_end()
    if keep_best is not None and keep_best.restore_best(trainer.model):
        trainer.adopt()
    if trainer.stopped is not None:
        session.watch.note(f"stopped after epoch {trainer.epoch}: {trainer.stopped}")
    return trainer.model


def make_pruner(
    session: Session,
    model: Model,
    trainer: Trainer | None,
    original: Costs | None = None,
    history: Sequence[PruneStep] = (),
) -> IterativePruner:
    """The pruner of the settings."""
    p, seed = session.config.prune, session.config.run.seed
    images, target = session.images, make_target(p)
    assert target is not None
    pixels, labels = images.sample(p.score_images, seed)
    return IterativePruner(
        model,
        target,
        criterion=p.criterion,
        normalize=p.normalize or None,
        trainer=trainer,
        train=images.training(session.config.train.batch, seed),
        val=images.plain(images.val),
        score_images=pixels,
        score_labels=labels,
        retrain_steps=p.retrain_steps,
        per_round=p.per_round,
        evaluate_every=p.evaluate_every,
        include=p.include,
        ignore=p.ignore,
        floor=p.floor,
        score_batch=min(100, len(pixels)),
        analysis=p.analysis,
        history=history,
        original=original,
    )


def prune_stage(session: Session, model: Model) -> Model:
    """Prune, fine-tune and recalibrate, or go on; the result is in pruned.safetensors too."""
    p, s, run = session.config.prune, session.config.train, session.run
    if session.resumed and run.pruned.is_file():
        return io.load(run.pruned).to(session.device)
    phase = session.saved_phase()
    if phase == "finetune":
        smaller = io.load(run.checkpoint).to(session.device)
    elif p.method != "score":
        smaller = _close_gates(session, model, resumed=phase == "gates")
        session.heed()
    else:
        smaller = _remove(session, model, resumed=phase == "prune").model
        session.heed()
    if p.finetune_epochs:
        session.watch.stage(f"fine-tuning, epochs: {p.finetune_epochs}")
        steps = len(session.images.training(s.batch, session.config.run.seed))
        lr = p.finetune_lr or p.lr or s.lr
        schedule = Cosine(p.finetune_epochs * steps, per="step")
        smaller = _fit(
            session, smaller, "finetune", p.finetune_epochs, make_optimizer(s, lr), schedule
        )
    if p.recalibrate_bn:
        seed = session.config.run.seed
        loader = session.images.training(s.batch, seed)
        recalibrate_bn(smaller, loader, p.recalibrate_bn, s.batch, seed)
    smaller = fold(session, smaller)
    smaller.meta = session.about(smaller)
    smaller.meta["prune"] = p.model_dump(exclude_none=True)
    if target := make_target(p):
        smaller.meta["prune"]["target"] = target.describe(costs(model.graph))
    io.save(smaller, run.pruned)
    session.drop_checkpoint()
    session.heed()
    return smaller


def _close_gates(session: Session, model: Model, resumed: bool) -> Model:
    """Train with gates and take out what they close; Pruning Blocks are folded after fine-tuning."""
    p, s = session.config.prune, session.config.train
    a, original = p.auxiliary, costs(model.graph)
    target = make_target(p)
    closing = make_closing(p, target)
    words = "" if target is None else f", until {target.describe(original)}"
    session.watch.stage(
        f"pruning by {p.method}, weights and gates in turns, epochs: {a.epochs}{words}"
    )
    gated = model if resumed else make_gated(p, _afresh(model), session.config.run.seed)
    fitted = _fit(
        session,
        gated,
        "gates",
        a.epochs,
        gates_optimizer(p, s),
        Constant(),
        terms=[OpenGates(p.gate_settings[0])],
        watch=[GateWatch(session, closing, original)],
    )
    smaller = close(session, fitted, closing, original)
    session.run.write_metrics()
    return smaller


def _remove(session: Session, model: Model, resumed: bool) -> PruneResult:
    p, s, run = session.config.prune, session.config.train, session.run
    original = costs(model.graph)
    history: list[PruneStep] = []
    if resumed:
        trainer = Trainer.resume(run.checkpoint, device=session.device)
        trainer.model.meta.pop(PHASE, None)
        history = [step_of(d) for d in trainer.model.meta.get("history", [])]
        _log_missing(session, history)
    else:
        model = _afresh(model)
        trainer = Trainer(
            model,
            make_optimizer(s, p.lr),
            make_loss(s),
            batch=s.batch,
            seed=session.config.run.seed,
            regularizers=make_regularizers(s.regularizers),
            precision=s.precision,
        )
    pruner = make_pruner(session, trainer.model, trainer, original, history)
    words = pruner.target.describe(original)
    session.watch.stage(f"pruning by {p.criterion}: {words}")
    if not resumed:
        _log_trust(session, pruner)
        session.heed()
    session.watch.prune_start(pruner.target, original, costs(trainer.model.graph))

    def on_step(step: PruneStep, now: Model, current: Any) -> None:
        run.event("prune_step", **step.to_json())
        session.watch.prune_step(step, costs(now.graph))
        if step.step % p.checkpoint_every == 0 or session.interrupt.asked:
            session.save(current, "prune")
        session.heed()

    pruner.on_step = on_step
    try:
        result = pruner.run()
    finally:
        session.watch.prune_end()
    run.write_metrics()
    return result


def _log_trust(session: Session, p: IterativePruner) -> None:
    """Whether the first ranking can be trusted, as an event."""
    model = p.model
    found = ranking_trust(
        model,
        pruning_map(model.graph, include=p.include, ignore=p.ignore, floor=p.floor),
        p.criterion,
        normalize=p.normalize,
        images=p.score_images,
        labels=p.score_labels,
        batch=p.score_batch,
        loss=getattr(p.trainer, "loss", None),
    )
    session.run.event("trust", **found.to_json())
    session.watch.note(found.sentence)


def _afresh(model: Model) -> Model:
    """A copy whose history of pruning is empty; that of an earlier pruning is kept apart."""
    model = model.copy()
    if "history" in model.meta:
        model.meta.pop("scores", None)
        before = {k: model.meta.pop(k) for k in ("history", "prune") if k in model.meta}
        earlier = model.meta.get("earlier")
        model.meta["earlier"] = [*(earlier if isinstance(earlier, list) else []), before]
    return model


def _log_missing(session: Session, history: Sequence[PruneStep]) -> None:
    """Events of steps that the checkpoint holds and the stopped process had not written yet."""
    logged = {e.get("step") for e in session.run.read() if e.get("event") == "prune_step"}
    for step in history:
        if step.step not in logged:
            session.run.event("prune_step", **step.to_json())


def step_of(data: Mapping[str, Any]) -> PruneStep:
    """A step as a checkpoint keeps it."""
    try:
        members = tuple((str(layer), int(channel)) for layer, channel in data["members"])
        return PruneStep(**{**data, "members": members})
    except (KeyError, TypeError, ValueError) as e:
        raise DataError(f"resume: the history of pruning must be whole, got {e!r}") from None
