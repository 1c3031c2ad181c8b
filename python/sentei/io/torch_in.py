"""A PyTorch module becomes a Model: PyTorch's own ONNX exporter, into memory, then our reader.

The exporter works on a copy in inference mode, so the module stays as it is. Its graph is taken before the
exporter's optimiser folds batch norms away; what inference has left of Dropout is put back.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sentei.errors import DataError, DTypeError, GraphError, ShapeError
from sentei.io.torch_names import META, slots
from sentei.io.torch_state import torch_package
from sentei.model import Model

__all__ = ["from_torch"]

_WHO = "from_torch"
_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
_CLOSE = 1e-3  # relative to the largest output; another order of summation stays far below
_BATCH = 2  # of the example that the exporter sees: it takes a batch of one for a constant


def from_torch(module: Any, example: Any) -> Model:
    """Read a PyTorch module as a Model that can be trained and pruned.

    The module is copied, exported by torch.onnx.export in inference mode and read by import_onnx; the
    model's outputs for `example` are compared with the module's. The module is left untouched: its
    training flag, hooks, gradients and device. Batch norms stay batch norms, Dropout stays Dropout, and
    parameters keep the module's names, so that to_torch_state_dict(model) fits the module.

    Args:
        module: torch.nn.Module in float32 that takes one tensor and gives one.
        example: float32 tensor of images (N, C, H, W), or rows (N, D); its sizes but N are the model's.
    Returns:
        Model for images (N, H, W, C) float32; meta["torch"] has the module's class, and under
        "left_out" what acts only in training and is not there (Dropout2d and its like).
    Raises:
        DataError: a part cannot be exported or read; the sentence names the submodule.
        DTypeError, ShapeError: the example or a parameter does not fit. ImportError: a package is missing.
    """
    torch = torch_package(_WHO)
    _check_module(torch, module)
    x = _check_example(torch, example)
    twin = _copy(torch, module)
    proto = _exported(torch, twin, x)
    scopes, dropouts = _clean(twin, proto)
    model = _read(proto, scopes, twin)
    model.meta[META] = {
        "class": type(twin).__name__,
        "names": _names(model, twin),
        "left_out": [k for k in _only_in_training(torch, twin) if k not in dropouts],
    }
    _compare(torch, model, twin, x)
    return model


# -- what is given ---------------------------------------------------------------------------------
def _check_module(torch: Any, module: Any) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise DTypeError(
            f"{_WHO}: module must be the nn.Module that torch.jit was given, got a script"
        )
    if not isinstance(module, torch.nn.Module):
        raise DTypeError(f"{_WHO}: module must be a torch.nn.Module, got {type(module).__name__}")
    inner, word = "_orig_mod", "compiled"
    if type(module).__name__.endswith("DataParallel"):
        inner, word = "module", "wrapped"
    if inner in module._modules:
        raise DTypeError(
            f"{_WHO}: module must be the module itself, got a {word} one: give its .{inner}"
        )
    for name, part in module.named_modules():
        where = f"submodule {name!r} ({type(part).__name__})"
        if torch.nn.utils.parametrize.is_parametrized(part):
            raise GraphError(
                f"{_WHO}: {where} must have plain weights, got parametrized ones: "
                "torch.nn.utils.parametrize.remove_parametrizations makes them so"
            )
        for hook in part._forward_pre_hooks.values():
            if type(hook).__module__.startswith("torch.nn.utils."):
                raise GraphError(
                    f"{_WHO}: {where} must have plain weights, got ones that "
                    f"{type(hook).__name__} computes: torch.nn.utils.prune.remove and its like make them so"
                )
        if "momentum" in vars(part) and part.momentum is None:
            raise GraphError(
                f"{_WHO}: {where} must have a momentum, got None: a cumulative average is not made here"
            )
    for name, t in module.state_dict().items():
        if torch.nn.parameter.is_lazy(t):
            raise GraphError(
                f"{_WHO}: {name} must have a shape, got a lazy one: run the module once"
            )
        if t.is_floating_point() and t.dtype != torch.float32:
            dtype = str(t.dtype).removeprefix("torch.")
            raise DTypeError(
                f"{_WHO}: {name} must be float32, got {dtype}: module.float() casts it"
            )


def _check_example(torch: Any, example: Any) -> Any:
    if not isinstance(example, torch.Tensor) or example.dtype != torch.float32:
        got = getattr(example, "dtype", type(example).__name__)
        raise DTypeError(f"{_WHO}: example must be a float32 torch.Tensor, got {got}")
    if example.ndim not in (2, 4) or 0 in example.shape:
        raise ShapeError(
            f"{_WHO}: example must be images (N, C, H, W) or rows (N, D), got {tuple(example.shape)}"
        )
    return example.detach().to("cpu", copy=True)


def _copy(torch: Any, module: Any) -> Any:
    """A copy on the CPU in inference mode, without hooks: those are the user's, and may hold anything."""
    memo: dict[int, Any] = {}
    for part in module.modules():
        for hooks in _HOOKS:
            held = getattr(part, hooks, None)
            if held is not None:
                memo[id(held)] = type(held)()
    try:
        twin = copy.deepcopy(module, memo).to("cpu")
    except Exception as e:
        raise GraphError(f"{_WHO}: module must be one that can be copied, got: {_first(e)}") from e
    for part in twin.modules():
        if isinstance(part, torch.nn.Dropout):
            part.inplace = False  # in place it leaves no trace behind
    return twin.eval().requires_grad_(False)


# -- from the module to a file in memory -----------------------------------------------------------
def _exported(torch: Any, twin: Any, x: Any) -> Any:
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as e:
        raise ImportError(
            f"{_WHO}: the packages onnx and onnxscript are needed, and one is not installed: "
            'pip install "sentei[torch]"'
        ) from e
    some = torch.zeros((_BATCH, *x.shape[1:]))
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                twin,
                (some,),
                dynamo=True,
                optimize=False,  # its optimiser folds batch norms into convolutions
                verbose=False,
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            )
        except Exception as e:
            raise DataError(
                f"{_WHO}: module must be one that torch.onnx.export exports, but "
                f"{_culprit(torch, twin, some)}: {_first(e)}"
            ) from e
    proto = program.model_proto
    assert isinstance(proto, onnx.ModelProto)
    return proto


def _culprit(torch: Any, twin: Any, x: Any) -> str:
    """Which submodule an export fails in: the copy is run and traced once more, and watched."""
    inside: list[str] = []
    handles = []
    for name, part in twin.named_modules():
        label = f"{name!r} ({type(part).__name__})" if name else type(part).__name__

        def enter(_m: Any, _x: Any, label: str = label) -> None:
            inside.append(label)

        def leave(_m: Any, _x: Any, _y: Any) -> None:
            inside.pop()

        handles += [part.register_forward_pre_hook(enter), part.register_forward_hook(leave)]
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    try:
        twin(x)
        torch.export.export(twin, (x,), dynamic_shapes=dynamic, strict=False)
    except Exception:
        return f"submodule {inside[-1]} fails" if inside else "it fails"
    finally:
        for h in handles:
            h.remove()
    return "it fails"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the exporter prints and logs about its own parts says nothing to a user."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    nowhere = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _first(e: BaseException) -> str:
    """What an exception is about, in a line."""
    cause = e
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {(lines or [''])[0][:300]}"


def _clean(twin: Any, proto: Any) -> tuple[dict[str, str], set[str]]:
    """Take zero biases away that the module has not got, and put its Dropout back.

    Returns:
        The submodule of each node, and the submodules whose Dropout is there.
    """
    import onnx

    own = set(twin.state_dict())
    parts = dict(twin.named_modules())
    constant = {n.output[0] for n in proto.graph.node if n.op_type != "Constant"}
    scopes: dict[str, str] = {}
    dropouts: set[str] = set()
    for k, node in enumerate(proto.graph.node):
        if not node.name:
            node.name = f"node_{k}"
        scopes[node.name] = scope = _scope(node)
        part = parts.get(scope)
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[2] not in own:
            if getattr(part, "bias", 0) is None and node.input[2] in constant:
                del node.input[2]
        elif node.op_type == "Identity" and type(part).__name__ == "Dropout" and scope:
            ratio = onnx.helper.make_tensor(f"{node.name}.ratio", 1, [], [float(part.p)])  # type: ignore[union-attr]
            proto.graph.initializer.append(ratio)
            node.op_type = "Dropout"
            node.input.append(ratio.name)
            dropouts.add(scope)
    return scopes, dropouts


def _scope(node: Any) -> str:
    for p in node.metadata_props:
        if p.key == "pkg.torch.onnx.name_scopes":
            names = [w.strip().strip("'\"") for w in p.value.strip("[]").split(",")]
            return names[-2] if len(names) > 1 else ""
    return ""


def _read(proto: Any, scopes: Mapping[str, str], twin: Any) -> Model:
    from sentei.io.onnx_in import import_onnx

    try:
        return import_onnx(proto.SerializeToString())
    except DataError as e:
        text = str(e).removeprefix("import_onnx: ")
        name = next((n for n in scopes if f"node {n!r}" in text), None)
        if name is None:
            raise DataError(f"{_WHO}: {text}") from e
        parts = dict(twin.named_modules())
        scope = scopes[name] if scopes[name] in parts else ""
        kind = type(parts[scope]).__name__
        where = f"submodule {scope!r} ({kind})" if scope else f"the module itself ({kind})"
        raise DataError(f"{_WHO}: {where}: {text}") from e


# -- what came of it -------------------------------------------------------------------------------
def _names(model: Model, twin: Any) -> dict[str, str]:
    """Which key of the state dict each tensor is, where its name does not say so: the only equal one."""
    state = {k: t.numpy() for k, t in twin.state_dict().items() if t.is_floating_point()}
    names: dict[str, str] = {}
    left = set(state)
    found = slots(model, _WHO)

    def equal(slot: Any, key: str) -> bool:
        theirs = state[key]
        mine = slot.outwards(model.tensors[slot.value].numpy())
        return theirs.shape == mine.shape and np.array_equal(theirs, mine, equal_nan=True)

    others = []
    for slot in found:
        if slot.key in left and equal(slot, slot.key):
            left.discard(slot.key)
        else:
            others.append(slot)
    for slot in others:
        keys = [k for k in left if k.rpartition(".")[2] == slot.leaf and equal(slot, k)]
        if len(keys) == 1:
            names[slot.value] = keys[0]
            left.discard(keys[0])
    return names


def _only_in_training(torch: Any, twin: Any) -> list[str]:
    kind = torch.nn.modules.dropout._DropoutNd
    return [name for name, part in twin.named_modules() if isinstance(part, kind) and part.p > 0]


def _compare(torch: Any, model: Model, twin: Any, x: Any) -> None:
    with torch.no_grad():
        wanted = twin(x).numpy()
    images = x.numpy()
    images = images.transpose(0, 2, 3, 1) if images.ndim == 4 else images
    got = model.predict(np.ascontiguousarray(images))
    if wanted.ndim == 4:
        wanted = wanted.transpose(0, 2, 3, 1)
    if got.shape != wanted.shape:
        raise DataError(f"{_WHO}: outputs must have shape {wanted.shape}, got {got.shape}")
    if not np.isfinite(wanted).all():
        return  # nothing to compare with
    scale = float(np.abs(wanted).max(initial=0.0))
    diff = float(np.abs(got - wanted).max(initial=0.0))
    if not diff <= _CLOSE * scale:
        raise DataError(
            f"{_WHO}: the model must say what the module says of the example, got a difference of "
            f"{diff:.3g} where outputs reach {scale:.3g}; please report it"
        )
