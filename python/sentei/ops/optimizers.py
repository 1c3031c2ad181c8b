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
    "adagrad_update",
    "adam_update",
    "rmsprop_update",
    "sgd_update",
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
