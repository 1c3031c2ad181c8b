"""Sparse regularisation of activations, by neuron or by channel."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, GradContext, Node, Op, Spec, register
from sentei.ops.eager import eager
from sentei.ops.elementwise import no_ties, runs
from sentei.tensor import ArrayLike

__all__ = [
    "SPARSE_PENALTY",
    "SPARSE_PENALTY_BACKWARD",
    "sparse_penalty_backward",
    "sparse_penalty_forward",
]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    (u,) = inputs
    assert u is not None
    if not 2 <= len(u.shape) <= 4:
        raise ShapeError(
            f"sparse_penalty_forward: u must have 2 to 4 axes (N, ..., C), got shape {u.shape}"
        )
    if attrs["form"] not in ("neuron", "channel"):
        raise ValueError(
            "sparse_penalty_forward: form must be 'neuron' or 'channel', "
            f"got {str(attrs['form'])!r}"
        )
    return (Spec((1,)),)


def _infer_backward(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    u, dvalue = inputs
    assert u is not None and dvalue is not None
    return (Spec(u.shape),)


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    _core.sparse_penalty_forward(inputs[0], outputs[0], attrs["lam"], attrs["form"], workspace)


def _workspace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    u = inputs[0]
    assert u is not None
    return max(8, _core.sparse_penalty_workspace(u.shape, attrs["form"], device))


SPARSE_PENALTY_BACKWARD = register(
    Op(
        name="sparse_penalty_backward",
        inputs=("u", "dvalue"),
        outputs=("du",),
        infer=_infer_backward,
        run=runs(_core.sparse_penalty_backward, "lam", "form"),
    )
)


def _backward(ctx: GradContext, node: Node, dvalue: Sequence[str | None]) -> Sequence[str | None]:
    attrs = {"lam": node.attrs["lam"], "form": node.attrs["form"]}
    return (ctx.emit(SPARSE_PENALTY_BACKWARD, (node.inputs[0], dvalue[0]), **attrs),)


SPARSE_PENALTY = register(
    Op(
        name="sparse_penalty",
        inputs=("u",),
        outputs=("value",),
        infer=_infer,
        run=_run,
        backward=_backward,
        ties=no_ties,
        workspace=_workspace,
        to_onnx="a penalty is a part of training",
    )
)


def sparse_penalty_forward(u: ArrayLike, *, lam: float, form: str = "neuron") -> Tensor:
    """Measure how far activations are from sparse.

    value = lam / (N D) sum_n sum_d log(1 + u_{n,d}^2)                    form "neuron"
    value = lam / (N D) sum_n sum_c log(1 + sum over pixels of u^2)       form "channel"

    Args:
        u (Tensor, (N, ..., C), float32): e.g. the input of a ReLU; D = elements per sample.
        lam (float, >= 0). form (str).
    Returns:
        value (Tensor, (1,), float32); 0 for an empty batch.
    Raises:
        ShapeError: fewer than two axes. DTypeError: not float32. ValueError: lam or form.
    Source: the thesis on feature maps, eq. 2.33 and 2.43.
    """
    return eager(SPARSE_PENALTY, (u,), lam=lam, form=form)[0]


def sparse_penalty_backward(
    u: ArrayLike, dvalue: ArrayLike, *, lam: float, form: str = "neuron"
) -> Tensor:
    """Return the gradient of sparse_penalty_forward.

    du = dvalue lam / (N D) 2u / (1 + u^2), the square summed over the channel in form "channel"

    Args:
        u, lam, form: as given forward. dvalue (Tensor, (1,), float32).
    Returns:
        du (Tensor, shape of u, float32).
    Raises:
        As sparse_penalty_forward; ShapeError: dvalue is not (1,).
    """
    return eager(SPARSE_PENALTY_BACKWARD, (u, dvalue), lam=lam, form=form)[0]
