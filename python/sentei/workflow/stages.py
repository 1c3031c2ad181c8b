"""The stages of a run that train; each goes on from its own checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import io
from sentei.losses import Loss
from sentei.model import Model
from sentei.optim import Optimizer, Schedule
from sentei.regularizers import Regularizer
from sentei.train import BestWeights, Callback, EarlyStopping, Trainer
from sentei.workflow.cluster import train_on_cluster
from sentei.workflow.factory import (
    make_loss,
    make_model,
    make_optimizer,
    make_regularizers,
    make_schedule,
    network_name,
)
from sentei.workflow.session import PHASE, Keeper, Session

__all__ = ["fit", "train_stage"]


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
    fitted = fit(
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
    session.keep(fitted, session.run.model)
    session.drop_checkpoint()
    if session.asked():
        raise KeyboardInterrupt
    return fitted


def fit(
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
    loss: Loss | None = None,
    teacher: Model | None = None,
) -> Model:
    """Train a stage, or go on with it from its checkpoint.

    Args:
        loss: that of the settings if None. teacher: of a loss that has one. terms, watch: more regularizers
        and callbacks. best: end with the weights of the best epoch.
    """
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
        trainer = Trainer.resume(
            session.run.checkpoint,
            callbacks=callbacks,
            device=session.device,
            teacher=teacher,
            world=session.world,
        )
        trainer.model.meta.pop(PHASE, None)
    else:
        trainer = Trainer(
            model,
            optimizer,
            loss or make_loss(s),
            batch=s.batch,
            seed=seed,
            schedule=schedule,
            regularizers=[*make_regularizers(s.regularizers), *terms],
            callbacks=callbacks,
            precision=s.precision,
            teacher=teacher,
            world=session.world,
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
