"""The semi-synchronous update with lazy momentum: idle groups are two numbers, not a pass over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.ops.linear_lazy import check_lazy
from sentei.tensor import ArrayLike

__all__ = [
    "SEMI_SYNC_LAZY_WEIGHT",
    "SEMI_SYNC_MATERIALISE",
    "SEMI_SYNC_UPDATE_LAZY",
    "semi_sync_lazy_weight",
    "semi_sync_materialise",
    "semi_sync_update_lazy",
]

Specs = Sequence[Spec | None]
Tensors = Sequence[Tensor | None]


def _infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    w, dw, v, coef, rows, offsets, group, lr = inputs
    assert w is not None and dw is not None and offsets is not None
    if not w.shape:
        raise ShapeError("semi_sync_update_lazy: w must have an axis of rows, got shape ()")
    for name, spec, shape in (
        ("dw", dw, (*dw.shape[:1], *w.shape[1:])),
        ("v", v, w.shape),
        ("coef", coef, (offsets.size - 1, 2)),
        ("rows", rows, w.shape[:1]),
        ("group", group, (1,)),
        ("lr", lr, (1,)),
    ):
        assert spec is not None
        if spec.shape != shape:
            raise ShapeError(
                f"semi_sync_update_lazy: {name} must have shape {shape}, got {spec.shape}"
            )
    return ()


def _run(inputs: Tensors, outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None) -> None:
    w, dw, v, coef, rows, offsets, group, lr = inputs
    _core.semi_sync_update_lazy(
        w,
        dw,
        v,
        coef,
        rows,
        offsets,
        group,
        lr,
        momentum=attrs.get("momentum", 0.0),
        weight_decay=attrs.get("weight_decay", 0.0),
        l2=attrs.get("l2", 0.0),
        workspace=Tensor.empty((0,), "uint8") if ws is None else ws,
    )


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    """Axes of w with those of v and dw; rows, offsets and coef are made anew for another M."""
    rank = len(inputs["w"].shape)
    return [Tie(("w", i), (a, i)) for a, k in (("v", 0), ("dw", 1)) for i in range(k, rank)]


def _workspace(inputs: Specs, outputs: Sequence[Spec], attrs: Attrs, device: str) -> int:
    assert inputs[0] is not None
    return 4 * inputs[0].shape[0] if device == "cpu" else 0


SEMI_SYNC_UPDATE_LAZY = register(
    Op(
        name="semi_sync_update_lazy",
        inputs=("w", "dw", "v", "coef", "rows", "offsets", "group", "lr"),
        outputs=(),
        infer=_infer,
        run=_run,
        ties=_ties,
        mutates=("w", "v", "coef"),
        workspace=_workspace,
    )
)


def _infer_materialise(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    check_lazy("semi_sync_materialise", *inputs)
    return ()


SEMI_SYNC_MATERIALISE = register(
    Op(
        name="semi_sync_materialise",
        inputs=("w", "v", "coef", "group_of"),
        outputs=(),
        infer=_infer_materialise,
        run=lambda i, o, a, ws: _core.semi_sync_materialise(i[0], i[1], i[2], i[3]),
        mutates=("w", "v", "coef"),
    )
)


def _infer_weight(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    check_lazy("semi_sync_lazy_weight", *inputs)
    assert inputs[0] is not None
    return (Spec(inputs[0].shape),)


SEMI_SYNC_LAZY_WEIGHT = register(
    Op(
        name="semi_sync_lazy_weight",
        inputs=("w", "v", "coef", "group_of"),
        outputs=("out",),
        infer=_infer_weight,
        run=lambda i, o, a, ws: _core.semi_sync_lazy_weight(i[0], i[1], i[2], i[3], o[0]),
    )
)


def semi_sync_update_lazy(
    w: ArrayLike,
    dw: ArrayLike,
    v: ArrayLike,
    coef: ArrayLike,
    rows: ArrayLike,
    offsets: ArrayLike,
    group: ArrayLike,
    lr: ArrayLike,
    *,
    momentum: float,
    weight_decay: float = 0.0,
    l2: float = 0.0,
) -> None:
    """Make one semi-synchronous step in place without touching idle rows.

    active rows: w = w + c v, v = m v, then v = momentum v - lr (dw + weight_decay w + 2 l2 w),
    w = w + v, and m = 1, c = 0 for the group
    other groups: m = momentum m, c = c + m

    Args:
        w, v (Tensor, (M, ...), float32): parameter and last change as written last, changed.
        dw (Tensor, (Gmax, ...), float32): gradient of the active rows first, in the order of `rows`.
        coef (Tensor, (G, 2), float32): m, c of each group, from (1, 0) on; changed.
        rows, offsets, group, lr: as of semi_sync_update.
        momentum (float): in [0, 1). weight_decay, l2 (float): not negative.
    Raises:
        ShapeError, DTypeError, ValueError: as semi_sync_update. Nothing is changed then.
        On cuda indices are not refused: a group out of range has no active rows.
    Cost:
        20 bytes per element of the active rows; none for the others.
    Source:
        S eq. 5, 6; docs/methods/semi-sync.md.
    """
    eager(
        SEMI_SYNC_UPDATE_LAZY,
        (w, dw, v, coef, rows, offsets, group, lr),
        momentum=momentum,
        weight_decay=weight_decay,
        l2=l2,
    )


def semi_sync_materialise(w: ArrayLike, v: ArrayLike, coef: ArrayLike, group_of: ArrayLike) -> None:
    """Write weight and momentum of all rows as they are by now: w += c v, v *= m, coef = (1, 0).

    Args: as of linear_lazy_forward; w, v, coef change in place.
    """
    eager(SEMI_SYNC_MATERIALISE, (w, v, coef, group_of))


def semi_sync_lazy_weight(
    w: ArrayLike, v: ArrayLike, coef: ArrayLike, group_of: ArrayLike
) -> Tensor:
    """Return the weight w + c v and change nothing; arguments as of linear_lazy_forward."""
    return eager(SEMI_SYNC_LAZY_WEIGHT, (w, v, coef, group_of))[0]
