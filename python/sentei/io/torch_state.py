"""Numbers from and to PyTorch: state dicts, by name or in the order of the layers."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError, DTypeError, ShapeError
from sentei.io.torch_names import COUNTER, Slot, slots
from sentei.model import Model

__all__ = ["load_torch_state_dict", "to_torch_state_dict", "torch_package"]

By = Literal["name", "order"]
_PICKLES = {".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar"}
_SHOWN = 5


def torch_package(who: str) -> Any:
    """The package torch, or a sentence that says how to get it."""
    try:
        import torch
    except ImportError as e:
        raise ImportError(
            f'{who}: PyTorch is needed and not installed: pip install "sentei[torch]"'
        ) from e
    return torch


def to_torch_state_dict(model: Model, like: Any = None, *, by: By = "name") -> dict[str, Any]:
    """Give the numbers of a model as PyTorch tensors, in PyTorch's layouts and under its names.

    Filters (K, R, S, C) become (K, C, R, S); gamma and beta of a batch norm become weight and bias; a
    linear layer behind Flatten reads channels, rows, columns. A pruned model gives smaller tensors: a
    module built with its widths takes them.

    Args:
        model: any network of convolutions, linear layers, batch norms and PReLU; of any device.
        like: a module, or its state dict, that is to take the numbers: its names, its order, every
        shape checked. None: the names of the module that the model came from, else its own.
        by: how layers of `like` are found: "name", or "order" (the k-th layer there is the k-th here;
        for a module that counts its layers otherwise).
    Returns:
        dict of float32 tensors on the CPU that share no memory with the model, and of a count of 0
        ("num_batches_tracked") for every batch norm.
    Raises:
        DataError: layers are missing or left over. ShapeError: a shape differs. GraphError: a layer
        that PyTorch has not got. ImportError: PyTorch is not installed.
    """
    who = "to_torch_state_dict"
    torch = torch_package(who)
    ours = slots(model, who)
    if like is None:
        found = [(s.key, s) for s in ours]
    else:
        state = _state_of(like, who, "like")
        found = _pairs(who, "like", ours, {k: tuple(t.shape) for k, t in state.items()}, by)
    out: dict[str, Any] = {}
    for key, slot in found:
        out[key] = torch.from_numpy(slot.outwards(model.tensors[slot.value].numpy()))
        if slot.leaf == "running_var":
            out[f"{key.rpartition('.')[0]}.{COUNTER}"] = torch.zeros((), dtype=torch.int64)
    if like is None:
        return out
    return {k: out[k] for k in state if k in out}


def load_torch_state_dict(
    model: Model, state_dict: Mapping[str, Any] | str | os.PathLike[str], *, by: By = "name"
) -> None:
    """Overwrite the numbers of a model by those of a PyTorch state dict; all of them or none.

    Args:
        model: takes the numbers in place; its names are those of to_torch_state_dict(model).
        state_dict: float32 tensors (PyTorch or NumPy) by name, or the path of a .safetensors file.
        by: "name", or "order": the k-th layer there is the k-th here.
    Raises:
        DataError: not such a file, or layers are missing or left over. ShapeError, DTypeError: a
        tensor does not fit. GraphError: a layer that PyTorch has not got.
    """
    who = "load_torch_state_dict"
    if isinstance(state_dict, str | os.PathLike):
        state: Mapping[str, Any] = _read(Path(state_dict), who)
    else:
        state = _state_of(state_dict, who, "state_dict")
    ours = slots(model, who)
    found = _pairs(who, "state_dict", ours, {k: tuple(t.shape) for k, t in state.items()}, by)
    arrays = {slot.value: slot.inwards(_array(who, key, state[key])) for key, slot in found}
    for value, a in arrays.items():
        model.tensors[value].copy_from(a)


# -- which tensor is which -------------------------------------------------------------------------
def _pairs(
    who: str, what: str, ours: list[Slot], theirs: Mapping[str, tuple[int, ...]], by: str
) -> list[tuple[str, Slot]]:
    """(key there, tensor here), in our order."""
    if by not in ("name", "order"):
        raise ValueError(f'{who}: by must be "name" or "order", got {by!r}')
    theirs = {k: s for k, s in theirs.items() if k.rpartition(".")[2] != COUNTER}
    if by == "name":
        _check_names(who, what, {s.key for s in ours}, set(theirs))
        found = [(s.key, s) for s in ours]
    else:
        found = _in_order(who, what, ours, theirs)
    for key, slot in found:
        if theirs[key] != slot.shape:
            raise ShapeError(
                f"{who}: {key} of {what} must have shape {slot.shape} to match {slot.value}, "
                f"got {theirs[key]}"
            )
    return found


def _in_order(
    who: str, what: str, ours: list[Slot], theirs: Mapping[str, tuple[int, ...]]
) -> list[tuple[str, Slot]]:
    here: dict[str, dict[str, Slot]] = {}
    for slot in ours:
        here.setdefault(slot.layer, {})[slot.leaf] = slot
    there: dict[str, dict[str, str]] = {}
    for key in theirs:
        prefix, _, leaf = key.rpartition(".")
        there.setdefault(prefix, {})[leaf] = key
    if len(here) != len(there):
        raise DataError(
            f"{who}: {what} must have the {len(here)} layers of the model, got {len(there)}"
        )
    found = []
    for (layer, mine), (prefix, parts) in zip(here.items(), there.items(), strict=True):
        if mine.keys() != parts.keys():
            raise DataError(
                f"{who}: layer {prefix!r} of {what} must hold {sorted(mine)} to match {layer!r}, "
                f"got {sorted(parts)}"
            )
        found += [(parts[leaf], slot) for leaf, slot in mine.items()]
    return found


def _check_names(who: str, what: str, ours: set[str], theirs: set[str]) -> None:
    theirs = {k for k in theirs if k.rpartition(".")[2] != COUNTER}
    missing, extra = sorted(ours - theirs), sorted(theirs - ours)
    if not missing and not extra:
        return
    parts = [
        f"{word} {_some(names)}" for word, names in (("lacks", missing), ("has", extra)) if names
    ]
    hint = ""
    if extra and all(k.startswith("module.") for k in theirs):
        hint = " (take 'module.' off every name: DataParallel put it there)"
    elif len(missing) == len(extra):
        hint = ' (by="order" pairs layers in their order)'
    raise DataError(
        f"{who}: {what} must have the model's {len(ours)} names, but {', and '.join(parts)}{hint}"
    )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


# -- what is given ---------------------------------------------------------------------------------
def _state_of(given: Any, who: str, what: str) -> Mapping[str, Any]:
    if hasattr(given, "state_dict") and callable(given.state_dict):
        given = given.state_dict()
    if not isinstance(given, Mapping) or not all(isinstance(k, str) for k in given):
        wanted = "a state dict" if what == "state_dict" else "a module or a state dict"
        raise DTypeError(f"{who}: {what} must be {wanted}, got {type(given).__name__}")
    for key, t in given.items():
        if not hasattr(t, "shape"):
            raise DTypeError(
                f"{who}: {what} must hold tensors by name, got {type(t).__name__} under {key!r}"
            )
    return given


def _array(who: str, key: str, t: Any) -> NDArray[Any]:
    dtype = str(t.dtype).removeprefix("torch.")
    if dtype != "float32":
        raise DTypeError(f"{who}: {key} must be float32, got {dtype}; nothing is cast")
    if isinstance(t, np.ndarray):
        return t
    a: NDArray[Any] = t.detach().cpu().numpy()
    return a


def _read(path: Path, who: str) -> dict[str, Any]:
    """The tensors of a .safetensors file, whose header is checked before memory is taken."""
    from safetensors import SafetensorError, safe_open

    if path.suffix.lower() in _PICKLES:
        raise DataError(
            f"{who}: {path.name} must be a .safetensors file, got a pickle, which can run code when it "
            f"is read; where you trust it: {_conversion(path)}"
        )
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise DataError(f"{who}: {path} must be a file")
    out: dict[str, Any] = {}
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  (not a dict)
                part = file.get_slice(name)
                if name.rpartition(".")[2] == COUNTER:
                    continue
                if str(part.get_dtype()) != "F32":
                    raise DTypeError(
                        f"{who}: {name} must be float32, got {part.get_dtype()}; nothing is cast"
                    )
                out[name] = file.get_tensor(name)
    except SafetensorError as e:
        raise DataError(f"{who}: {path} must be a whole safetensors file, got: {e}") from e
    return out


def _conversion(path: Path) -> str:
    target = path.with_suffix(".safetensors").name
    return (
        f'python -c "import torch, safetensors.torch as s; '
        f's.save_file(torch.load({path.name!r}, weights_only=True), {target!r})"'
    )
