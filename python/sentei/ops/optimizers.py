"""Parameter updates in place: SGD with momentum, AdaGrad, RMSprop, Adam."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = [
    "ADAGRAD_UPDATE",
    "ADAM_UPDATE",
    "RMSPROP_UPDATE",
    "SGD_UPDATE",
    "SGD_UPDATE_MANY",
    "adagrad_update",
    "adam_update",
    "rmsprop_update",
    "sgd_update",
    "sgd_update_many",
]


def _infer_as_w(
    name: str, arguments: tuple[str, ...]
) -> Callable[[Sequence[Spec | None], Attrs], tuple[Spec, ...]]:
    """No outputs; `arguments` must have the shape of w, lr and t must be (1,)."""

    def infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
        w = inputs[0]
        assert w is not None
        for argument, spec in zip(arguments, inputs, strict=True):
            want = (1,) if argument in ("lr", "t") else w.shape
            if spec is not None and spec.shape != want:
                raise ShapeError(f"{name}: {argument} must have shape {want}, got {spec.shape}")
        return ()

    return infer


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    """Every axis of w goes with the same axis of its gradient and its states."""
    others = [a for a in inputs if a not in ("w", "lr", "t")]
    return [Tie(("w", i), (a, i)) for a in others for i in range(len(inputs["w"].shape))]


def _run_sgd(
    inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None
) -> None:
    w, g, v, lr = inputs
    _core.sgd_update(
        w,
        g,
        v,
        lr,
        momentum=attrs.get("momentum", 0.0),
        weight_decay=attrs.get("weight_decay", 0.0),
        l2=attrs.get("l2", 0.0),
    )


SGD_UPDATE = register(
    Op(
        name="sgd_update",
        inputs=("w", "g", "v?", "lr"),
        outputs=(),
        infer=_infer_as_w("sgd_update", ("w", "g", "v", "lr")),
        run=_run_sgd,
        ties=_ties,
        mutates=("w", "v"),
    )
)


def sgd_update(
    w: ArrayLike,
    g: ArrayLike,
    v: ArrayLike | None,
    lr: ArrayLike,
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    l2: float = 0.0,
) -> None:
    """Make one step of gradient descent in place, with momentum if v is given.

    g' = g + weight_decay w + 2 l2 w;  v = momentum v - lr g';  w = w + v
    without v: w = w - lr g'. v carries the lr of the step that made it.

    Args:
        w (Tensor, any shape, float32): parameter, changed.
        g (Tensor, as w): gradient.
        v (Tensor or None, as w): last change, changed.
        lr (Tensor, (1,)): step size.
        momentum (float): in [0, 1); 0 without v.
        weight_decay, l2 (float): not negative.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: attributes out of range, shared memory.
    Source:
        S eq. 5, 6; B eq. 73.
    """
    eager(SGD_UPDATE, (w, g, v, lr), momentum=momentum, weight_decay=weight_decay, l2=l2)


def _each(attrs: Attrs) -> int:
    """Tensors of each parameter in sgd_update_many: w, g, v or w, g."""
    return 3 if attrs.get("with_v", False) else 2


def _infer_sgd_many(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    lr, *xs = inputs
    assert lr is not None
    if lr.shape != (1,):
        raise ShapeError(f"sgd_update_many: lr must have shape (1,), got {lr.shape}")
    each = _each(attrs)
    if len(xs) % each:
        what = "w, g, v" if each == 3 else "w, g"
        raise ShapeError(
            f"sgd_update_many: xs must hold {what} for each parameter, got {len(xs)} tensors"
        )
    for i, x in enumerate(xs):
        w = xs[i - i % each]
        assert x is not None and w is not None
        if x.shape != w.shape:
            raise ShapeError(f"sgd_update_many: xs{i} must have shape {w.shape}, got {x.shape}")
    return ()


def _run_sgd_many(
    inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None
) -> None:
    lr, *xs = inputs
    none = [0.0] * (len(xs) // _each(attrs))
    _core.sgd_update_many(
        lr,
        xs,
        with_v=attrs.get("with_v", False),
        momentum=list(attrs.get("momentum", none)),
        weight_decay=list(attrs.get("weight_decay", none)),
        l2=list(attrs.get("l2", none)),
    )


def _ties_sgd_many(
    inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs
) -> list[Tie]:
    each = _each(attrs)
    return [
        Tie((f"xs{i - i % each}", axis), (f"xs{i}", axis))
        for i in range(len(inputs) - 1)
        if i % each
        for axis in range(len(inputs[f"xs{i}"].shape))
    ]


SGD_UPDATE_MANY = register(
    Op(
        name="sgd_update_many",
        inputs=("lr", "xs*"),
        outputs=(),
        infer=_infer_sgd_many,
        run=_run_sgd_many,
        ties=_ties_sgd_many,
        mutates=("xs",),
    )
)


def sgd_update_many(
    lr: ArrayLike,
    *xs: ArrayLike,
    with_v: bool = False,
    momentum: Sequence[float] | None = None,
    weight_decay: Sequence[float] | None = None,
    l2: Sequence[float] | None = None,
) -> None:
    """Make the step of `sgd_update` for many parameters at once: the same bits, one kernel on CUDA.

    Args:
        lr (Tensor, (1,)): step size.
        xs (Tensor, float32): w, g, v of each parameter one after the other, or w, g; w and v change.
        with_v (bool): whether v is given.
        momentum, weight_decay, l2 (numbers or None): one per parameter; None: all 0.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: attributes out of range, shared memory.
    Cost:
        20 bytes per element, 12 without v.
    """
    given = {"momentum": momentum, "weight_decay": weight_decay, "l2": l2}
    attrs = {k: tuple(v) for k, v in given.items() if v is not None}
    eager(SGD_UPDATE_MANY, (lr, *xs), with_v=with_v, **attrs)


def _run_adagrad(
    inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None
) -> None:
    w, g, h, lr = inputs
    _core.adagrad_update(
        w,
        g,
        h,
        lr,
        eps=attrs.get("eps", 1e-10),
        weight_decay=attrs.get("weight_decay", 0.0),
        l2=attrs.get("l2", 0.0),
    )


ADAGRAD_UPDATE = register(
    Op(
        name="adagrad_update",
        inputs=("w", "g", "h", "lr"),
        outputs=(),
        infer=_infer_as_w("adagrad_update", ("w", "g", "h", "lr")),
        run=_run_adagrad,
        ties=_ties,
        mutates=("w", "h"),
    )
)


def adagrad_update(
    w: ArrayLike,
    g: ArrayLike,
    h: ArrayLike,
    lr: ArrayLike,
    *,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    l2: float = 0.0,
) -> None:
    """Make one AdaGrad step in place.

    g' = g + weight_decay w + 2 l2 w;  h = h + g'^2;  w = w - lr g' / (sqrt(h) + eps)

    Args:
        w, h (Tensor, any shape, float32): parameter and sum of squares (from 0), changed.
        g (Tensor, as w): gradient.
        lr (Tensor, (1,)): step size.
        eps (float): positive.
        weight_decay, l2 (float): not negative.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: attributes out of range, shared memory.
    """
    eager(ADAGRAD_UPDATE, (w, g, h, lr), eps=eps, weight_decay=weight_decay, l2=l2)


def _run_rmsprop(
    inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None
) -> None:
    w, g, h, lr = inputs
    _core.rmsprop_update(
        w,
        g,
        h,
        lr,
        alpha=attrs.get("alpha", 0.99),
        eps=attrs.get("eps", 1e-8),
        weight_decay=attrs.get("weight_decay", 0.0),
        l2=attrs.get("l2", 0.0),
    )


RMSPROP_UPDATE = register(
    Op(
        name="rmsprop_update",
        inputs=("w", "g", "h", "lr"),
        outputs=(),
        infer=_infer_as_w("rmsprop_update", ("w", "g", "h", "lr")),
        run=_run_rmsprop,
        ties=_ties,
        mutates=("w", "h"),
    )
)


def rmsprop_update(
    w: ArrayLike,
    g: ArrayLike,
    h: ArrayLike,
    lr: ArrayLike,
    *,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    l2: float = 0.0,
) -> None:
    """Make one RMSprop step in place.

    g' = g + weight_decay w + 2 l2 w;  h = alpha h + (1 - alpha) g'^2;  w = w - lr g' / sqrt(h + eps)

    Args:
        w, h (Tensor, any shape, float32): parameter and mean square (from 0), changed.
        g (Tensor, as w): gradient.
        lr (Tensor, (1,)): step size.
        alpha (float): in [0, 1). eps (float): positive.
        weight_decay, l2 (float): not negative.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: attributes out of range, shared memory.
    """
    eager(RMSPROP_UPDATE, (w, g, h, lr), alpha=alpha, eps=eps, weight_decay=weight_decay, l2=l2)


def _run_adam(
    inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], attrs: Attrs, ws: Tensor | None
) -> None:
    w, g, m, v, t, lr = inputs
    _core.adam_update(
        w,
        g,
        m,
        v,
        t,
        lr,
        beta1=attrs.get("beta1", 0.9),
        beta2=attrs.get("beta2", 0.999),
        eps=attrs.get("eps", 1e-8),
        eps_inside=attrs.get("eps_inside", False),
        weight_decay=attrs.get("weight_decay", 0.0),
        l2=attrs.get("l2", 0.0),
    )


ADAM_UPDATE = register(
    Op(
        name="adam_update",
        inputs=("w", "g", "m", "v", "t", "lr"),
        outputs=(),
        infer=_infer_as_w("adam_update", ("w", "g", "m", "v", "t", "lr")),
        run=_run_adam,
        ties=_ties,
        mutates=("w", "m", "v"),
    )
)


def adam_update(
    w: ArrayLike,
    g: ArrayLike,
    m: ArrayLike,
    v: ArrayLike,
    t: ArrayLike,
    lr: ArrayLike,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    eps_inside: bool = False,
    weight_decay: float = 0.0,
    l2: float = 0.0,
) -> None:
    """Make one Adam step in place.

    g' = g + weight_decay w + 2 l2 w;  m = beta1 m + (1 - beta1) g';  v = beta2 v + (1 - beta2) g'^2
    w = w - lr m^ / (sqrt(v^) + eps), m^ = m / (1 - beta1^t), v^ = v / (1 - beta2^t)
    eps_inside: sqrt(v^ + eps) instead.

    Args:
        w, m, v (Tensor, any shape, float32): parameter and moments (from 0), changed.
        g (Tensor, as w): gradient.
        t (Tensor, (1,), int64): which update this is, from 1; not changed.
        lr (Tensor, (1,)): step size.
        beta1, beta2 (float): in [0, 1). eps (float): positive.
        weight_decay, l2 (float): not negative.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: attributes or t out of range, shared memory.
        On cuda t below 1 is not refused and makes w infinite or NaN.
    Source:
        B eq. 68 (eps_inside).
    """
    eager(
        ADAM_UPDATE,
        (w, g, m, v, t, lr),
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        eps_inside=eps_inside,
        weight_decay=weight_decay,
        l2=l2,
    )
