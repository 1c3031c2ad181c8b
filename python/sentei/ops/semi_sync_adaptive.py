"""AdaGrad, RMSprop and Adam on one group of rows at a time; weights and states of idle rows rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = ["SEMI_SYNC_ADAPTIVE_UPDATE", "semi_sync_adaptive_update"]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    w, dw, h, v, count, rows, offsets, group, lr = inputs
    assert w is not None and dw is not None and offsets is not None
    op = "semi_sync_adaptive_update"
    if not w.shape:
        raise ShapeError(f"{op}: w must have an axis of rows, got shape ()")
    adam = attrs["rule"] == "adam"
    if (v is not None, count is not None) != (adam, adam):
        raise ValueError(
            f"{op}: v and count must be given with adam and with nothing else, "
            f"got rule {str(attrs['rule'])!r}"
        )
    want = (*dw.shape[:1], *w.shape[1:]) if attrs.get("compact", False) else w.shape
    for name, spec, shape in (
        ("dw", dw, want),
        ("h", h, w.shape),
        ("v", v, w.shape),
        ("count", count, w.shape[:1]),
        ("rows", rows, w.shape[:1]),
        ("group", group, (1,)),
        ("lr", lr, (1,)),
    ):
        if spec is not None and spec.shape != shape:
            raise ShapeError(f"{op}: {name} must have shape {shape}, got {spec.shape}")
    return ()


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    w, dw, h, v, count, rows, offsets, group, lr = inputs
    _core.semi_sync_adaptive_update(
        w,
        dw,
        h,
        v,
        count,
        rows,
        offsets,
        group,
        lr,
        rule=attrs["rule"],
        beta1=attrs.get("beta1", 0.0),
        beta2=attrs.get("beta2", 0.0),
        eps=attrs.get("eps", 1e-8),
        eps_inside=attrs.get("eps_inside", False),
        weight_decay=attrs.get("weight_decay", 0.0),
        l2=attrs.get("l2", 0.0),
        compact=attrs.get("compact", False),
        workspace=Tensor.empty((0,), "uint8") if workspace is None else workspace,
    )


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    """Axes of w with those of its states and dw; a row's count goes with the row."""
    rank = len(inputs["w"].shape)
    first = {"h": 0, "v": 0, "dw": 1 if attrs.get("compact", False) else 0}
    found = [Tie(("w", i), (a, i)) for a, k in first.items() if a in inputs for i in range(k, rank)]
    return [*found, Tie(("w", 0), ("count", 0))] if "count" in inputs else found


def _workspace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    assert inputs[0] is not None
    return 4 * inputs[0].shape[0] if device == "cpu" else 0


SEMI_SYNC_ADAPTIVE_UPDATE = register(
    Op(
        name="semi_sync_adaptive_update",
        inputs=("w", "dw", "h", "v?", "count?", "rows", "offsets", "group", "lr"),
        outputs=(),
        infer=_infer,
        run=_run,
        ties=_ties,
        mutates=("w", "h", "v", "count"),
        workspace=_workspace,
    )
)


def semi_sync_adaptive_update(
    w: ArrayLike,
    dw: ArrayLike,
    h: ArrayLike,
    v: ArrayLike | None,
    count: ArrayLike | None,
    rows: ArrayLike,
    offsets: ArrayLike,
    group: ArrayLike,
    lr: ArrayLike,
    *,
    rule: str,
    beta1: float = 0.0,
    beta2: float = 0.0,
    eps: float = 1e-8,
    eps_inside: bool = False,
    weight_decay: float = 0.0,
    l2: float = 0.0,
    compact: bool = False,
) -> None:
    """Make one step of an adaptive rule on the active rows, in place; all other rows keep their bits.

    rule "adagrad": state h; "rmsprop": state h, beta1 its alpha; "adam": moments h and v, and t of the
    bias correction is the row's own count + 1. The equations are those of adagrad_update,
    rmsprop_update, adam_update.

    Args:
        w (Tensor, (M,), (M, D) or (K, R, S, C), float32): parameter, changed. h, v (as w): states,
        changed. count (Tensor, (M,), int64): updates each row has had, changed; v, count: adam only.
        dw, rows, offsets, group, lr, compact: as of semi_sync_update.
        beta1, beta2 (float): in [0, 1). eps (float): positive. weight_decay, l2 (float): not negative.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: indices, counts or attributes out of range,
        shared memory. Nothing is changed then. On cuda indices are not refused: a group out of range
        has no active rows.
    Cost:
        20 bytes per element of the active rows (adam 28), none of the others.
    Source:
        beyond S; methods section 1.
    """
    eager(
        SEMI_SYNC_ADAPTIVE_UPDATE,
        (w, dw, h, v, count, rows, offsets, group, lr),
        rule=rule,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        eps_inside=eps_inside,
        weight_decay=weight_decay,
        l2=l2,
        compact=compact,
    )
