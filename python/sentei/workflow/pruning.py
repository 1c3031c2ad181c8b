"""The stage that prunes: round after round, to one operating point or several, then fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentei import io
from sentei.errors import DataError
from sentei.model import Model
from sentei.optim import Constant, Cosine
from sentei.passes import Costs, costs
from sentei.prune.guard import NOTES, Rollback
from sentei.prune.iterative import IterativePruner, PruneResult, PruneStep
from sentei.prune.target import Target
from sentei.prune.trust import ranking_trust
from sentei.prune.units import pruning_map
from sentei.regularizers import OpenGates
from sentei.train import Trainer, recalibrate_bn
from sentei.workflow.factory import make_optimizer, make_regularizers
from sentei.workflow.gates import GateWatch, close, fold, gates_optimizer, make_closing, make_gated
from sentei.workflow.session import PHASE, Session
from sentei.workflow.stages import fit
from sentei.workflow.targets import make_target, make_targets, prune_loss, round_to

__all__ = ["make_pruner", "point_files", "prune_stage"]


def prune_stage(session: Session, model: Model) -> Model:
    """Prune, fine-tune and recalibrate, or go on; the result is in pruned.safetensors too."""
    p, run = session.config.prune, session.run
    if session.resumed and run.pruned.is_file():
        return io.load(run.pruned).to(session.device)
    phase = session.saved_phase()
    if phase == "finetune":
        return _finish(session, model, io.load(run.checkpoint), run.pruned, "finetune")
    if p.method != "score":
        smaller = _close_gates(session, model, resumed=phase == "gates")
    else:
        smaller = _remove(session, model)
    session.heed()
    found = _finish(session, model, smaller, run.pruned, "finetune")
    for file in run.path.glob("points/*.raw.safetensors"):
        file.unlink(missing_ok=True)
    return found


def _finish(session: Session, model: Model, smaller: Model, file: Path, phase: str) -> Model:
    """Fine-tune, recalibrate, fold and save a network that is small enough."""
    p, s, seed = session.config.prune, session.config.train, session.config.run.seed
    smaller = smaller.to(session.device)
    loader = session.images.training(s.batch, seed)
    if p.finetune_epochs:
        name = "" if phase == "finetune" else f" {file.stem}"
        session.watch.stage(f"fine-tuning{name}, epochs: {p.finetune_epochs}")
        schedule = Cosine(p.finetune_epochs * len(loader), per="step")
        optimizer = make_optimizer(s, p.finetune_lr or p.lr or s.lr)
        loss, teacher = prune_loss(p, s), _teacher(session, model)
        smaller = fit(
            session,
            smaller,
            phase,
            p.finetune_epochs,
            optimizer,
            schedule,
            loss=loss,
            teacher=teacher,
        )
    if p.recalibrate_bn:
        recalibrate_bn(smaller, loader, p.recalibrate_bn, s.batch, seed)
    smaller = fold(session, smaller)
    smaller.meta = session.about(smaller)
    notes = smaller.meta.pop(NOTES, {})
    smaller.meta["prune"] = {**p.model_dump(exclude_none=True), **notes}
    if target := make_target(p):
        smaller.meta["prune"].setdefault("target", target.describe(costs(model.graph)))
    io.save(smaller, file)
    session.drop_checkpoint()
    session.heed()
    return smaller


def _teacher(session: Session, model: Model) -> Model | None:
    return model if session.config.prune.distill_alpha is not None else None


def make_pruner(
    session: Session,
    model: Model,
    trainer: Trainer | None,
    target: Target,
    original: Costs | None = None,
    history: Sequence[PruneStep] = (),
) -> IterativePruner:
    """The pruner of the settings."""
    p, seed = session.config.prune, session.config.run.seed
    images = session.images
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
        round_to=round_to(session.config, session.device),
        rollback=p.rollback,
        patience=p.patience,
    )


# -- by scores ----------------------------------------------------------------------------------
@dataclass
class _Keeper:
    """Writes events and checkpoints of the rounds."""

    session: Session
    good: Trainer | None = None  # the last network that keeps max_drop
    files: list[Path] = field(default_factory=list)

    def on_step(self, step: PruneStep, now: Model, current: Any) -> None:
        s = self.session
        s.run.event("prune_step", **step.to_json())
        s.watch.prune_step(step, costs(now.graph))
        if step.step % s.config.prune.checkpoint_every == 0 or s.interrupt.asked:
            self.save(current)
        s.heed()

    def on_rollback(self, back: Rollback, now: Model, current: Any) -> None:
        s = self.session
        s.run.event("rollback", **back.to_json())
        layer, channel = back.members[0]
        more = f" and {len(back.members) - 1} more" if len(back.members) > 1 else ""
        s.watch.note(
            f"undone: {layer}[{channel}]{more} cost {back.drop:.2f} points "
            f"({back.before:.2%} to {back.after:.2%}); protected from now on"
        )
        if s.interrupt.asked:
            self.save(current)
        s.heed()

    def on_good(self, trainer: Any) -> None:
        self.good = trainer

    def save(self, trainer: Trainer) -> None:
        """Checkpoint; the network to come back to goes first, under a name of its own, so that the
        checkpoint before finds the one that it needs until it is replaced."""
        if self.good is not None:
            file = good_file(self.session, len(self.good.model.meta.get("history", [])))
            if not file.is_file():
                self.good.save_checkpoint(file)
        self.session.save(trainer, "prune")
        for old in good_files(self.session):
            if self.good is None or old != file:
                old.unlink(missing_ok=True)


def good_file(session: Session, steps: int) -> Path:
    """Where the network after so many removals is kept to come back to."""
    return session.run.path / f"good-{steps}.safetensors"


def good_files(session: Session) -> list[Path]:
    """All of these."""
    return sorted(session.run.path.glob("good-*.safetensors"))


def point_files(session: Session) -> list[tuple[Target, Path]]:
    """Targets before the last and the files of their networks; [] for a single target."""
    folder = session.run.path / "points"
    found = []
    for target in make_targets(session.config.prune)[:-1]:
        amount = str(getattr(target, target.kind)).strip().replace("%", "pct")
        kind = target.kind.removesuffix("_ms")
        found.append((target, folder / f"{kind}-{amount}.safetensors"))
    return found


def _remove(session: Session, model: Model) -> Model:
    """Prune through all targets; the network of the last. Those before are fine-tuned and saved."""
    run, points = session.run, point_files(session)
    raw = [f.with_suffix(".raw.safetensors") for _, f in points]
    last = run.path / "points" / "last.raw.safetensors"
    if points and last.is_file():
        smaller = io.load(last)
    else:
        if points:
            last.parent.mkdir(exist_ok=True)
        smaller = _to_targets(session, model, raw)
        if points:  # from here on the checkpoint is that of a fine-tuning
            io.save(smaller, last)
            session.drop_checkpoint()
    for (_, file), start in zip(points, raw, strict=True):
        if not start.is_file() or file.is_file():
            continue
        phase = f"finetune {file.stem}"
        begun = session.saved_phase() == phase
        _finish(session, model, io.load(run.checkpoint if begun else start), file, phase)
    return smaller


def _to_targets(session: Session, model: Model, raw: Sequence[Path]) -> Model:
    """The rounds, from the start or from the checkpoint; networks on the way go to `raw`."""
    p, s, run = session.config.prune, session.config.train, session.run
    original, teacher = costs(model.graph), _teacher(session, model)
    history: list[PruneStep] = []
    keeper, notes = _Keeper(session), None
    resumed = session.saved_phase() == "prune"
    if resumed:
        trainer = Trainer.resume(run.checkpoint, device=session.device, teacher=teacher)
        trainer.model.meta.pop(PHASE, None)
        history = [step_of(d) for d in trainer.model.meta.get("history", [])]
        notes = trainer.model.meta.get(NOTES)
        if p.max_drop is not None and isinstance(notes, Mapping):
            file = good_file(session, int(notes.get("good", 0)))
            keeper.good = Trainer.resume(file, device=session.device, teacher=teacher)
        _log_missing(session, history)
    else:
        trainer = Trainer(
            _afresh(model),
            make_optimizer(s, p.lr),
            prune_loss(p, s),
            batch=s.batch,
            seed=session.config.run.seed,
            regularizers=make_regularizers(s.regularizers),
            precision=s.precision,
            teacher=teacher,
        )
    result: PruneResult | None = None
    for k, target in enumerate(make_targets(p)):
        if k < len(raw) and raw[k].is_file() and _beyond(raw[k], history):
            continue
        pruner = make_pruner(session, trainer.model, trainer, target, original, history)
        pruner.baseline, pruner.notes, pruner.good = model, notes, keeper.good
        if result is None and not resumed:
            _log_trust(session, pruner)
            session.heed()
        result = _rounds(session, pruner, keeper)
        notes = dict(result.model.meta.get(NOTES) or {})
        told = {"stopped": result.stopped, "target": target.describe(original, pruner.gauge.whole)}
        about = {**result.model.meta, NOTES: {**notes, **told}}
        if k < len(raw) and result.stopped is None:
            io.save(Model(result.model.graph, result.model.tensors, about), raw[k])
        else:
            result.model.meta = about
            break
        trainer, history = result.trainer, list(result.steps)
        notes = notes or None
    run.write_metrics()
    assert result is not None
    return result.model


def _beyond(raw: Path, history: Sequence[PruneStep]) -> bool:
    """Whether these removals include all of the network in a file: its point lies behind."""
    return len(io.load(raw).meta.get("history", [])) <= len(history)


def _rounds(session: Session, pruner: IterativePruner, keeper: _Keeper) -> PruneResult:
    """Prune to one target."""
    original, gauge = pruner.original, pruner.gauge
    assert original is not None
    words = pruner.target.describe(original, gauge.whole)
    widths = f", widths in multiples of {pruner.round_to}" if pruner.round_to > 1 else ""
    session.watch.stage(f"pruning by {pruner.criterion}: {words}{widths}")
    session.watch.prune_start(gauge, costs(pruner.model.graph))
    pruner.on_step, pruner.on_rollback = keeper.on_step, keeper.on_rollback
    pruner.on_good = keeper.on_good
    done = len(pruner.history)
    try:
        result = pruner.run()
    finally:
        session.watch.prune_end()
    event = {"target": words, "steps": len(result.steps), "stopped": result.stopped}
    session.run.event("point", **event, value=gauge.value, share=gauge.share)
    if result.reference is not None:
        accuracy = result.accuracy if result.accuracy is not None else result.reference
        undone = dict(result.model.meta.get(NOTES) or {}).get("undone", len(result.rollbacks))
        session.watch.note(
            f"{gauge.words()}; validation {accuracy:.2%}, unpruned {result.reference:.2%}, "
            f"{len(result.steps)} channels removed, {undone} rounds undone"
        )
    if result.stopped is not None and len(result.steps) >= done:
        end = "stopped before the target" if pruner.target.sized else "ended"
        session.watch.note(f"{end}: {STOPPED[result.stopped]}")
    return result


STOPPED = {
    "max_drop": "more would cost more accuracy than prune.max_drop allows",
    "protected": "every channel that is left is protected, since removing it cost more than prune.rollback",
    "floor": "no channel may go any more (prune.floor, prune.ignore, prune.round_to)",
}


def _log_trust(session: Session, p: IterativePruner) -> None:
    """Whether the first ranking can be trusted, as an event."""
    model, loss = p.model, getattr(p.trainer, "loss", None)
    found = ranking_trust(
        model,
        pruning_map(model.graph, include=p.include, ignore=p.ignore, floor=p.floor),
        p.criterion,
        normalize=p.normalize,
        images=p.score_images,
        labels=p.score_labels,
        batch=p.score_batch,
        loss=getattr(loss, "hard", loss),
    )
    session.run.event("trust", **found.to_json())
    session.watch.note(found.sentence)


def _afresh(model: Model) -> Model:
    """A copy whose history of pruning is empty; that of an earlier pruning is kept apart."""
    model = model.copy()
    model.meta.pop(NOTES, None)
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


# -- by gates -----------------------------------------------------------------------------------
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
    fitted = fit(
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
