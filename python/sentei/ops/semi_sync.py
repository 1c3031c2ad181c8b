"""The semi-synchronous update: the gradient acts on one group of rows at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = ["COUNTER_ADVANCE", "SEMI_SYNC_UPDATE", "counter_advance", "semi_sync_update"]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    w, dw, v, rows, offsets, group, lr = inputs
    assert w is not None and dw is not None and rows is not None
    assert offsets is not None and group is not None and lr is not None
    if not w.shape:
        raise ShapeError("semi_sync_update: w must have an axis of rows, got shape ()")
    want = (*dw.shape[:1], *w.shape[1:]) if attrs.get("compact", False) else w.shape
    for name, spec, shape in (
        ("dw", dw, want),
        ("v", v, w.shape),
        ("rows", rows, w.shape[:1]),
        ("group", group, (1,)),
        ("lr", lr, (1,)),
    ):
        if spec is not None and spec.shape != shape:
            raise ShapeError(f"semi_sync_update: {name} must have shape {shape}, got {spec.shape}")
    return ()


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    w, dw, v, rows, offsets, group, lr = inputs
    _core.semi_sync_update(
        w,
        dw,
        v,
        rows,
        offsets,
        group,
        lr,
        momentum=attrs.get("momentum", 0.0),
        weight_decay=attrs.get("weight_decay", 0.0),
        l2=attrs.get("l2", 0.0),
        compact=attrs.get("compact", False),
        workspace=Tensor.empty((0,), "uint8") if workspace is None else workspace,
    )


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    """Axes of w with those of v and dw; rows and offsets are made anew for another M."""
    first = {"v": 0, "dw": 1 if attrs.get("compact", False) else 0}
    rank = len(inputs["w"].shape)
    return [Tie(("w", i), (a, i)) for a, k in first.items() if a in inputs for i in range(k, rank)]


def _workspace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    assert inputs[0] is not None
    return 4 * inputs[0].shape[0] if device == "cpu" else 0


SEMI_SYNC_UPDATE = register(
    Op(
        name="semi_sync_update",
        inputs=("w", "dw", "v?", "rows", "offsets", "group", "lr"),
        outputs=(),
        infer=_infer,
        run=_run,
        ties=_ties,
        mutates=("w", "v"),
        workspace=_workspace,
    )
)


def semi_sync_update(
    w: ArrayLike,
    dw: ArrayLike,
    v: ArrayLike | None,
    rows: ArrayLike,
    offsets: ArrayLike,
    group: ArrayLike,
    lr: ArrayLike,
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    l2: float = 0.0,
    compact: bool = False,
) -> None:
    """Make one semi-synchronous step in place: the gradient acts on the rows of one group.

    g' = dw + weight_decay w + 2 l2 w
    without v: w = w - lr g' on the active rows; the others keep their bits
    with v: v = momentum v - lr g' on the active rows, v = momentum v on the others, then w = w + v on all

    Args:
        w (Tensor, (M,), (M, D) or (K, R, S, C), float32): parameter, changed.
        dw (Tensor, float32): gradient, as w; with `compact` (Gmax, ...): its first rows are those of
            the active group in the order of `rows`, what follows is not read.
        v (Tensor or None, as w): last change, changed.
        rows (Tensor, (M,), int32): all rows, group by group.
        offsets (Tensor, (G+1,), int32): group t is rows[offsets[t]:offsets[t+1]].
        group (Tensor, (1,), int32 or int64): the active group, read when the op runs.
        lr (Tensor, (1,)): step size.
        momentum (float): in [0, 1); 0 without v. weight_decay, l2 (float): not negative.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: indices or attributes out of range,
        shared memory. Nothing is changed then.
        On cuda indices are not refused: a group out of range has no active rows, a row out of range
        is left out.
    Cost:
        12 bytes per element of the active rows; with v 20, and 16 per element of the others.
    Source:
        S eq. 1, 5, 6.
    """
    eager(
        SEMI_SYNC_UPDATE,
        (w, dw, v, rows, offsets, group, lr),
        momentum=momentum,
        weight_decay=weight_decay,
        l2=l2,
        compact=compact,
    )


def _infer_counter(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    assert inputs[0] is not None
    if inputs[0].shape != (1,):
        raise ShapeError(f"counter_advance: counter must have shape (1,), got {inputs[0].shape}")
    return ()


def _run_counter(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.counter_advance(inputs[0], attrs.get("modulo", 0))


COUNTER_ADVANCE = register(
    Op(
        name="counter_advance",
        inputs=("counter",),
        outputs=(),
        infer=_infer_counter,
        run=_run_counter,
        mutates=("counter",),
        zero_preserving=False,
    )
)


def counter_advance(counter: ArrayLike, *, modulo: int = 0) -> None:
    """Count one up in place: the active group of a layer, or the step of Adam.

    counter = (counter + 1) mod modulo; without the mod if modulo = 0

    Args:
        counter (Tensor, (1,), int32 or int64): changed.
        modulo (int): not negative.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: counter or modulo negative, or no room.
        On cuda such a counter stays as it is.
    """
    eager(COUNTER_ADVANCE, (counter,), modulo=modulo)
