"""Gates: h(m) of auxiliary variables, the weights that they multiply, and their mean as a penalty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.ops.elementwise import like_first, no_ties, runs
from sentei.tensor import ArrayLike

__all__ = [
    "GATE",
    "GATE_BACKWARD",
    "GATE_CLIP_UPDATE",
    "GATE_PENALTY",
    "GATE_PENALTY_BACKWARD",
    "GATE_WEIGHTS",
    "GATE_WEIGHTS_BACKWARD",
    "gate_backward",
    "gate_clip_update",
    "gate_forward",
    "gate_penalty_backward",
    "gate_penalty_forward",
    "gate_weights_backward",
    "gate_weights_forward",
]

ALPHA = 50.0


def _every_axis(a: str, b: str, rank: int) -> list[Tie]:
    return [Tie((a, i), (b, i)) for i in range(rank)]


# -- h(m) --------------------------------------------------------------------------------------
GATE_BACKWARD = register(
    Op(
        name="gate_backward",
        inputs=("m", "dh"),
        outputs=("dm",),
        infer=like_first("gate_backward", "dh"),
        run=runs(_core.gate_backward, "kind", "alpha"),
    )
)


def _gate_backward(ctx: GradContext, node: Node, dh: Sequence[str | None]) -> Sequence[str | None]:
    attrs = {k: node.attrs[k] for k in ("kind", "alpha")}
    return (ctx.emit(GATE_BACKWARD, (node.inputs[0], dh[0]), **attrs),)


def _gate_ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    return _every_axis("m", "h", len(inputs["m"].shape))


GATE = register(
    Op(
        name="gate",
        inputs=("m",),
        outputs=("h",),
        infer=like_first("gate_forward"),
        run=runs(_core.gate_forward, "kind", "alpha"),
        backward=_gate_backward,
        ties=_gate_ties,
        to_onnx="gates are multiplied into the weights before, by passes.fold_gates",
        zero_preserving=False,
    )
)


def _infer_nothing(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    return ()


GATE_CLIP_UPDATE = register(
    Op(
        name="gate_clip_update",
        inputs=("m",),
        outputs=(),
        infer=_infer_nothing,
        run=runs(_core.gate_clip, "bound"),
        mutates=("m",),
    )
)


# -- w h ---------------------------------------------------------------------------------------
def _check_rows(op: str, w: Spec | None, h: Spec | None) -> tuple[Spec, Spec]:
    assert w is not None and h is not None
    if not 1 <= len(h.shape) <= len(w.shape) or w.shape[: len(h.shape)] != h.shape:
        raise ShapeError(
            f"{op}: h must have the shape that w begins with, (K) of {w.shape} or all of it, "
            f"got {h.shape}"
        )
    return Spec(w.shape), Spec(h.shape)


def _infer_weights(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    return _check_rows("gate_weights_forward", *inputs)[:1]


def _infer_weights_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    dy, w, h = inputs
    specs = _check_rows("gate_weights_backward", w, h)
    assert dy is not None
    if dy.shape != specs[0].shape:
        raise ShapeError(
            f"gate_weights_backward: dy must have shape {specs[0].shape}, got {dy.shape}"
        )
    return specs


GATE_WEIGHTS_BACKWARD = register(
    Op(
        name="gate_weights_backward",
        inputs=("dy", "w", "h"),
        outputs=("dw", "dh"),
        infer=_infer_weights_backward,
        run=runs(_core.gate_weights_backward, "estimator"),
    )
)


def _weights_backward(
    ctx: GradContext, node: Node, dy: Sequence[str | None]
) -> Sequence[str | None]:
    w, h = node.inputs
    if not ctx.needs(h):
        return (ctx.emit(GATE_WEIGHTS, (dy[0], h), estimator="value"), None)
    dw, dh = ctx.emit(GATE_WEIGHTS_BACKWARD, (dy[0], w, h), estimator=node.attrs["estimator"])
    return (dw, dh)


def _weights_ties(
    inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs
) -> list[Tie]:
    ranks = {k: len(s.shape) for k, s in inputs.items()}
    return [*_every_axis("w", "y", ranks["w"]), *_every_axis("h", "y", ranks["h"])]


GATE_WEIGHTS = register(
    Op(
        name="gate_weights",
        inputs=("w", "h"),
        outputs=("y",),
        infer=_infer_weights,
        run=runs(_core.gate_weights_forward),
        backward=_weights_backward,
        ties=_weights_ties,
        to_onnx="gates are multiplied into the weights before, by passes.fold_gates",
    )
)


# -- lam mean(h) -------------------------------------------------------------------------------
def _infer_penalty(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    return (Spec((1,)),)


def _infer_penalty_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    h, dvalue = inputs
    assert h is not None and dvalue is not None
    return (Spec(h.shape),)


def _run_penalty_backward(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.gate_penalty_backward(inputs[1], outputs[0], attrs["lam"])


GATE_PENALTY_BACKWARD = register(
    Op(
        name="gate_penalty_backward",
        inputs=("h", "dvalue"),
        outputs=("dh",),
        infer=_infer_penalty_backward,
        run=_run_penalty_backward,
        shape_only=("h",),
    )
)


def _penalty_backward(
    ctx: GradContext, node: Node, dvalue: Sequence[str | None]
) -> Sequence[str | None]:
    return (ctx.emit(GATE_PENALTY_BACKWARD, (node.inputs[0], dvalue[0]), lam=node.attrs["lam"]),)


GATE_PENALTY = register(
    Op(
        name="gate_penalty",
        inputs=("h",),
        outputs=("value",),
        infer=_infer_penalty,
        run=runs(_core.gate_penalty_forward, "lam"),
        backward=_penalty_backward,
        ties=no_ties,
        to_onnx="a penalty is a part of training",
    )
)


def gate_forward(m: ArrayLike, *, kind: str = "sigmoid", alpha: float = ALPHA) -> Tensor:
    """Open or close filters by their auxiliary variables.

    h = 1 where m > 0, else 0                 kind "step"
    h = 1 / (1 + exp(-alpha m))               kind "sigmoid"

    Args:
        m (Tensor, any shape, float32). kind (str). alpha (float, > 0): steepness of the sigmoid.
    Returns:
        h (Tensor, shape of m, float32).
    Raises:
        DTypeError: not float32. ValueError: kind or alpha.
    Source: the thesis on feature maps, eq. 4.18 and 4.21.
    """
    return eager(GATE, (m,), kind=kind, alpha=alpha)[0]


def gate_backward(
    m: ArrayLike, dh: ArrayLike, *, kind: str = "sigmoid", alpha: float = ALPHA
) -> Tensor:
    """Return dm = slope(m) dh; through the step goes the slope of softplus.

    slope = 1 / (1 + exp(-m)) of the step, alpha h (1 - h) of the sigmoid

    Args:
        m, dh (Tensor, one shape, float32). kind, alpha: as given forward.
    Returns:
        dm (Tensor, shape of m, float32).
    Raises:
        As gate_forward; ShapeError: shapes differ.
    Source: AutoPrune, as methods section 6 reads it.
    """
    return eager(GATE_BACKWARD, (m, dh), kind=kind, alpha=alpha)[0]


def gate_clip_update(m: ArrayLike, *, bound: float = 1.0) -> None:
    """Keep auxiliary variables within +-bound, in place.

    Args:
        m (Tensor, any shape, float32), changed. bound (float, >= 0).
    Raises:
        DTypeError: not float32. ValueError: bound.
    """
    eager(GATE_CLIP_UPDATE, (m,), bound=bound)


def gate_weights_forward(w: ArrayLike, h: ArrayLike) -> Tensor:
    """Multiply filters, or single weights, by their gates.

    y[k, ...] = w[k, ...] h[k], or y = w h elementwise

    Args:
        w (Tensor, (K, ...), float32). h (Tensor, (K,) or the shape of w, float32).
    Returns:
        y (Tensor, shape of w, float32).
    Raises:
        ShapeError: h does not fit. DTypeError: not float32.
    Cost: 8 bytes per weight.
    Source: the thesis on feature maps, eq. 4.17.
    """
    return eager(GATE_WEIGHTS, (w, h), estimator="value")[0]


def gate_weights_backward(
    dy: ArrayLike, w: ArrayLike, h: ArrayLike, *, estimator: str = "value"
) -> tuple[Tensor, Tensor]:
    """Return the gradient of gate_weights_forward, in one pass.

    dw = dy h,  dh[k] = sum of dy w over the row, with estimator "sign" of dy sign(w)

    Args:
        dy, w (Tensor, (K, ...), float32). h (Tensor, as forward). estimator (str): "value", the
            derivative, or "sign", which AutoPrune takes for masks of single weights.
    Returns:
        (dw, dh), float32.
    Raises:
        ShapeError, DTypeError: as forward. ValueError: estimator.
    Cost: 12 bytes per weight.
    """
    dw, dh = eager(GATE_WEIGHTS_BACKWARD, (dy, w, h), estimator=estimator)
    return dw, dh


def gate_penalty_forward(h: ArrayLike, *, lam: float) -> Tensor:
    """Return lam times the mean of the gates of a layer.

    value = lam / C sum_c h_c

    Args:
        h (Tensor, any shape, float32). lam (float, >= 0).
    Returns:
        value (Tensor, (1,), float32); 0 without gates.
    Raises:
        DTypeError: not float32. ValueError: lam.
    Source: the thesis on feature maps, eq. 4.28.
    """
    return eager(GATE_PENALTY, (h,), lam=lam)[0]


def gate_penalty_backward(h: ArrayLike | Spec, dvalue: ArrayLike, *, lam: float) -> Tensor:
    """Return the gradient of gate_penalty_forward, dh = lam dvalue / C.

    Args:
        h (Tensor or Spec): of which only the shape is used. dvalue (Tensor, (1,), float32). lam (float).
    Returns:
        dh (Tensor, shape of h, float32).
    Raises:
        ShapeError: dvalue is not (1,). DTypeError: not float32. ValueError: lam.
    """
    return eager(GATE_PENALTY_BACKWARD, (h, dvalue), lam=lam)[0]
