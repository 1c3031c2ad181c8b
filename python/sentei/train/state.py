"""What a checkpoint says of a trainer, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sentei import losses, optim, regularizers
from sentei._core import Tensor
from sentei.describe import described, from_description
from sentei.errors import DataError
from sentei.graph import Spec
from sentei.ops.precision import PRECISIONS
from sentei.prune.surgery import cut
from sentei.train.callbacks import as_arrays
from sentei.train.logs import plain
from sentei.train.scoring import PREFIX
from sentei.train.step import StepGraph
from sentei.train.turns import build_steps, states_of

if TYPE_CHECKING:
    from sentei.model import Model
    from sentei.train.trainer import Trainer

__all__ = ["pack", "pruned_steps", "restore", "settings", "sliced"]

KINDS: tuple[type, ...] = (*optim.KINDS, *losses.KINDS, *regularizers.KINDS)
_PLACE = ("step", "epoch", "cursor")


def _described(thing: Any) -> Any:
    if isinstance(thing, list | tuple):
        return [_described(x) for x in thing]
    if thing is None or type(thing) in KINDS:
        return described(thing)
    return {"kind": type(thing).__qualname__}  # a class of the user's: to be given again on resume


def pack(trainer: Trainer) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """JSON data and tensors from which `restore` makes the trainer go on bit for bit."""
    tensors = dict(trainer.state_tensors)
    notes = []
    for i, c in enumerate(trainer.callbacks):
        notes.append({"kind": type(c).__qualname__, "state": plain(c.state())})
        for name, array in c.arrays().items():
            tensors[f"callback.{i}.{name}"] = Tensor.from_numpy(array)
    state = {
        "optimizer": _described(trainer.optimizer),
        "loss": _described(trainer.loss),
        "schedule": _described(trainer.schedule),
        "regularizers": _described(trainer.regularizers),
        "batch": trainer.batch,
        "seed": trainer.seed,
        "precision": trainer.precision,
        **{k: getattr(trainer, k) for k in _PLACE},
        "scores": list(trainer.scored_layers),
        "scored_from": trainer.scored_from,
        "sums": dict(trainer.sums),
        "history": plain(trainer.history),
        "stopped": trainer.stopped,
        "callbacks": notes,
    }
    return state, tensors


def settings(state: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for Trainer from a checkpoint's state, where `given` does not say otherwise.

    Raises:
        DataError: the state is not one that `pack` made.
    """
    found: dict[str, Any] = {}
    for key, base in (
        ("optimizer", optim.Optimizer),
        ("loss", losses.Loss),
        ("schedule", optim.Schedule),
        ("regularizers", tuple),
    ):
        if given.get(key) is not None:
            found[key] = given[key]
            continue
        if key not in state:
            raise DataError(f"resume: the checkpoint must hold {key!r}")
        try:
            found[key] = from_description(state[key], KINDS)
        except DataError as e:
            raise DataError(f"resume: {key} must be given again: {e}") from e
        if not isinstance(found[key], base):
            raise DataError(f"resume: the checkpoint's {key} must be a {base.__name__}")
    for r in found["regularizers"]:
        if not isinstance(r, regularizers.Regularizer):
            raise DataError("resume: the checkpoint's regularizers must be regularizers")
    for key in ("batch", "seed"):
        found[key] = _whole(state, key, 1 if key == "batch" else 0)
    found["precision"] = state.get("precision", "float32")
    if found["precision"] not in PRECISIONS:
        raise DataError(f"resume: precision must be one of {', '.join(PRECISIONS)}")
    scores = state.get("scores", [])
    if not isinstance(scores, list) or not all(isinstance(s, str) for s in scores):
        raise DataError("resume: scores must be names of layers")
    found["scores"] = tuple(scores)
    return found


def _whole(state: Mapping[str, Any], key: str, low: int) -> int:
    value = state.get(key)
    if type(value) is not int or not low <= value < 1 << 63:
        raise DataError(f"resume: {key} must be a whole number from {low}, got {value!r:.60}")
    return value


def restore(trainer: Trainer, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Put the place, the optimizer's states and the callbacks back.

    Raises:
        DataError: something is missing or does not fit.
    """
    for key in _PLACE:
        setattr(trainer, key, _whole(state, key, 0))
    if trainer.scored_layers:
        trainer.scored_from = _whole(state, "scored_from", 0)
    own = {k: t for k, t in tensors.items() if not k.startswith("callback.")}
    if set(own) != set(trainer.state_tensors):
        odd = sorted(set(own) ^ set(trainer.state_tensors))
        raise DataError(
            f"resume: the checkpoint must hold the optimizer's states, {odd[0]!r} differs"
        )
    for name, t in trainer.state_tensors.items():
        if own[name].shape != t.shape or own[name].dtype != t.dtype:
            raise DataError(
                f"resume: {name} must be {t.dtype} of shape {t.shape}, "
                f"got {own[name].dtype} of {own[name].shape}"
            )
    trainer.optimizer.check_states({name: own[name] for name in trainer.state_tensors})
    for name, t in trainer.state_tensors.items():
        t.copy_from(own[name])
    sums, history = state.get("sums"), state.get("history")
    if not isinstance(sums, Mapping) or set(sums) != set(trainer.sums):
        raise DataError(f"resume: sums must hold {sorted(trainer.sums)}")
    if not all(isinstance(v, int | float) for v in sums.values()):
        raise DataError("resume: sums must be numbers")
    if not isinstance(history, list) or not all(isinstance(r, dict) for r in history):
        raise DataError("resume: history must be a list of objects")
    trainer.sums.update(sums)
    trainer.history[:] = history
    stopped = state.get("stopped")
    trainer.stopped = None if stopped is None else str(stopped)
    _restore_callbacks(trainer, state.get("callbacks") or [], tensors)


def _restore_callbacks(
    trainer: Trainer, notes: Iterable[Any], tensors: Mapping[str, Tensor]
) -> None:
    saved = list(notes)
    for i, c in enumerate(trainer.callbacks):
        note = saved[i] if i < len(saved) else None
        if not isinstance(note, dict) or note.get("kind") != type(c).__qualname__:
            continue  # another callback than before starts afresh
        prefix = f"callback.{i}."
        mine = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
        try:
            c.restore(note.get("state") or {}, as_arrays(mine))
        except (KeyError, TypeError, ValueError) as e:
            raise DataError(f"resume: the state of {note['kind']} must be whole, got {e!r}") from e


def pruned_steps(
    old: Trainer, model: Model, keep: Mapping[tuple[str, int], Any]
) -> list[StepGraph]:
    """The steps of a pruned model, with the states that `old` has gathered.

    Where nothing in a step's nodes follows from shapes (plain optimizers, no regularizer, no
    scores, one kind of step) it is the graph of `old` with smaller shapes; else it is built anew.
    """
    cut_states = sliced(old.state_tensors, keep, model.tensors)
    same = type(old.optimizer) in (optim.SGD, optim.AdaGrad, optim.RMSprop, optim.Adam)
    if same and not old.regularizers and old._step.scores is None:
        states = {k: t if _own(k, t, old, model) else cut(k, t, {}) for k, t in cut_states.items()}
        now = {**model.tensors, **states}
        specs = {k: Spec(t.shape, t.dtype) for k, t in now.items() if k in old._step.graph.values}
        return [replace(old._step, graph=old._step.graph.with_specs(specs), states=states)]
    steps = build_steps(
        model, old.loss, old.regularizers, old.optimizer, old.precision, old.scored_layers
    )
    states = states_of(steps)
    old.optimizer.start(model.tensors, states)
    for name, fresh in states.items():
        if name in cut_states and not name.startswith(PREFIX):  # scores begin anew
            fresh.copy_from(old.optimizer.carried(name, cut_states[name], states))
    return steps


def _own(name: str, state: Tensor, old: Trainer, model: Model) -> bool:
    """Whether the trainer of a pruned model may take a state as it is: it was cut for it, or belongs to a
    parameter that the old trainer has handed over too."""
    if old.state_tensors.get(name) is not state:
        return True
    param = name.rpartition(".")[0]
    return param in model.tensors and model.tensors[param] is old.model.tensors[param]


def sliced(
    states: Mapping[str, Tensor], keep: Mapping[tuple[str, int], Any], params: Iterable[str]
) -> dict[str, Tensor]:
    """States "<parameter>.<slot>" of the parameter's shape or rows, cut as the parameter was."""
    known = set(params)
    touched = {name for name, _ in keep}
    out = dict(states)
    for name, t in states.items():
        param = name.rpartition(".")[0]
        rowwise = t.dtype == "float32" or name.endswith(".count")  # Adam's updates of a row
        if param in known and rowwise and param in touched:
            out[name] = cut(param, t, keep)
    return out
