"""sentei train --cluster: the training stage of a run on many workers."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import sentei.distributed as sd
from sentei.distributed.result import Result, Status
from sentei.distributed.strategies import STRATEGIES, Job, Paced
from sentei.errors import DataError
from sentei.model import Model
from sentei.optim import Optimizer
from sentei.suggest import unknown
from sentei.train import evaluate, recalibrate_bn
from sentei.workflow import config as c
from sentei.workflow.factory import make_loss, make_optimizer, make_regularizers, make_schedule
from sentei.workflow.session import Session

__all__ = ["check_cluster", "train_on_cluster"]

_STATISTICS = 50  # mini-batches that statistics of batch norm are measured on at the end


def check_cluster(config: c.Config, model: Model) -> None:
    """DataError when the settings ask for what cannot be done on a cluster."""
    s, t = config.distributed, config.train
    if s.cluster is None:
        return
    if s.strategy not in STRATEGIES:
        raise DataError(unknown("train: distributed.strategy", s.strategy, STRATEGIES))
    for key, given in (("patience", t.patience), ("best_weights", t.best_weights or None)):
        if given is not None:
            raise DataError(f"train: {key} must be left out with --cluster, got {given}")
    if s.strategy == "sync" and s.backups >= s.replicas:
        raise DataError(
            f"train: distributed.backups must be below replicas, {s.replicas}, got {s.backups}"
        )
    if s.cluster != "local" and s.store is None:
        raise DataError(
            "train: distributed.store must be a folder that all machines of the cluster share, got none"
        )
    if importlib.util.find_spec("ray") is None:
        raise DataError('train: --cluster needs Ray: pip install "sentei[distributed]"')
    _rule(t, s.strategy)
    if model.device != "cpu":
        raise DataError(f"train: --cluster must go with --device cpu, got {model.device}")


def _rule(settings: c.Train, strategy: str) -> Optimizer:
    """The shards' rule: decay belongs to the gradient, and so to the model."""
    allowed = ("lbfgs",) if strategy == "sandblaster" else ("sgd", "adagrad")
    if settings.optimizer not in allowed or settings.semi_sync:
        raise DataError(
            f"train: optimizer must be {' or '.join(allowed)} with --cluster and --strategy {strategy}, "
            "got " + ("semi_sync" if settings.semi_sync else repr(settings.optimizer))
        )
    return make_optimizer(settings.model_copy(update={"weight_decay": 0.0, "l2": 0.0}))


def train_on_cluster(session: Session, model: Model) -> Model:
    """Train the model in place on the cluster of the settings; return it."""
    config, t = session.config, session.config.train
    s = config.distributed
    assert s.cluster is not None
    loader = session.images.training(t.batch, config.run.seed)
    full = s.strategy == "sandblaster"  # every epoch is an iteration, over the same mini-batches
    chunks = sd.Minibatches(
        loader, t.batch, per_chunk=s.chunk, epochs=1 if full else t.epochs, seed=config.run.seed
    )
    recipe = sd.Network(
        model,
        make_loss(t),
        regularizers=make_regularizers(t.regularizers),
        weight_decay=t.weight_decay,
        l2=t.l2,
        precision=t.precision,
        seed=config.run.seed,
    )
    if s.strategy == "sync":
        updates = -(-chunks.steps // (s.replicas - s.backups))
    else:
        updates = sum(-(-chunks.length(i) // s.n_push) for i in range(chunks.per_epoch))
    store = Path(s.store) if s.store is not None else session.run.path / "shards"
    threads = config.run.threads or max(1, len(os.sched_getaffinity(0)) // s.replicas)

    def show(status: Status) -> None:
        session.watch.workers(status)
        session.heed()

    job = Job(
        recipe,
        chunks,
        _rule(t, s.strategy),
        Paced(make_schedule(t, t.epochs * updates), updates),
        {**s.model_dump(), "iterations": t.epochs},
        str(store),
        session.resumed and any(store.glob("*.safetensors")),
        threads,
        config.run.seed,
        show,
    )
    session.watch.stage(
        f"{s.strategy} on {_count(s.replicas, 'replica')} and {_count(s.shards, 'shard')}, "
        + ("this machine" if s.cluster == "local" else s.cluster)
    )
    try:
        with sd.cluster(None if s.cluster == "local" else s.cluster):
            result = STRATEGIES[s.strategy](job)
    finally:
        session.watch.fit_end()
    recipe.into(model, result.weights)
    recalibrate_bn(model, loader, _STATISTICS, t.batch, config.run.seed)
    _note(session, model, chunks, result)
    if s.store is None:
        shutil.rmtree(store)
    return model


def _note(session: Session, model: Model, chunks: sd.Minibatches, result: Result) -> None:
    """Events: a row per epoch, and what the workers have counted."""
    config = session.config
    t, s = config.train, config.distributed
    losses = _epochs(result.history, chunks)
    found = evaluate(model, session.images.plain(session.images.val), make_loss(t), t.batch)
    for epoch, loss in sorted(losses.items()):
        row: dict[str, Any] = {
            "epoch": epoch,
            "step": epoch * chunks.steps,
            "lr": t.lr,
            "loss": loss,
            "seconds": round(result.seconds / len(losses), 4),
            "images_per_s": round(
                len(losses) * chunks.steps * t.batch / max(result.seconds, 1e-9), 1
            ),
        }
        if epoch == max(losses):
            row |= {f"val_{k}": v for k, v in found.items()}
        session.watch.epoch(row, t.epochs)
        session.run.event("epoch", phase="train", **row)
    counted = result.counters.to_json()
    session.run.event(
        "cluster",
        sentence=_sentence(counted, s),
        strategy=s.strategy,
        replicas=s.replicas,
        shards=s.shards,
        **counted,
    )
    session.watch.note(_sentence(counted, s))
    session.run.write_metrics()


def _epochs(history: Sequence[Mapping[str, Any]], chunks: sd.Minibatches) -> dict[int, float]:
    """Mean loss of every epoch."""
    if history and "iteration" in history[0]:  # of all data
        return {row["iteration"]: row["loss"] for row in history if row["iteration"]}
    rows: dict[int, list[float]] = {}
    for row in history:
        by_chunk = "chunk" in row
        epoch = row["chunk"] // chunks.per_epoch if by_chunk else row["batch"] // chunks.steps
        if row["loss"] is not None:
            rows.setdefault(epoch + 1, []).append(row["loss"])
    return {epoch: float(np.mean(found)) for epoch, found in rows.items()}


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _sentence(counted: Mapping[str, Any], s: c.Distributed) -> str:
    """What happened, in words."""
    parts = [f"{s.strategy}, {_count(s.replicas, 'replica')}, {_count(s.shards, 'shard')}"]
    counted_in = "iterations made" if s.strategy == "sandblaster" else "mini-batches counted"
    parts.append(f"{min(counted['updates']):,} of {counted['planned']:,} {counted_in}")
    if counted["staleness_max"]:
        mean, most = counted["staleness_mean"], counted["staleness_max"]
        parts.append(f"staleness {mean:.2f} on average, {most} at most")
    for key, words in (
        ("restarts", "replicas restarted"),
        ("shard_restarts", "shards restarted"),
        ("replays", "updates sent again"),
        ("repeats", "repeats dropped"),
        ("backups", "late gradients"),
        ("doubled", "done twice"),
        ("rolled_back", "steps made again"),
    ):
        if counted[key]:
            parts.append(f"{words}: {counted[key]:,}")
    return "; ".join(parts)
