"""Sums over samples from which sentei.prune.importance computes the scores of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, Op, Spec, Tie, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = ["SCORE_ACCUMULATE", "TRACE_ACCUMULATE", "score_accumulate", "trace_accumulate"]


def _check(name: str, argument: str, spec: Spec | None, shape: tuple[int, ...]) -> None:
    if spec is not None and spec.shape != shape:
        raise ShapeError(f"{name}: {argument} must have shape {shape}, got {spec.shape}")


def _check_x(name: str, x: Spec | None) -> Spec:
    assert x is not None
    if len(x.shape) < 2:
        raise ShapeError(f"{name}: x must have shape (N, H, W, C) or (N, C), got {x.shape}")
    return x


def _ties(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], attrs: Attrs) -> list[Tie]:
    last = len(inputs["x"].shape) - 1
    axes = {"g": last, "stats": 1, "sum_x": last - 1, "sum_g": last - 1, "mean_g": last - 1}
    return [Tie(("x", last), (a, i)) for a, i in axes.items() if a in inputs]


def _infer_score(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    name = "score_accumulate"
    x = _check_x(name, inputs[0])
    _check(name, "g", inputs[1], x.shape)
    _check(name, "stats", inputs[2], (6, x.shape[-1]))
    _check(name, "sum_x", inputs[3], x.shape[1:])
    _check(name, "sum_g", inputs[4], x.shape[1:])
    return ()


def _run_score(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    x, g, stats, sum_x, sum_g = inputs
    scratch = Tensor.empty((0,), "uint8") if workspace is None else workspace
    _core.score_accumulate(x, g, stats, sum_x, sum_g, scratch)


def _workspace_score(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    assert inputs[0] is not None
    return _core.score_workspace(inputs[0].shape, 1 if inputs[1] is None else 2, device)


SCORE_ACCUMULATE = register(
    Op(
        name="score_accumulate",
        inputs=("x", "g?", "stats", "sum_x?", "sum_g?"),
        outputs=(),
        infer=_infer_score,
        run=_run_score,
        ties=_ties,
        mutates=("stats", "sum_x", "sum_g"),
        workspace=_workspace_score,
    )
)


def score_accumulate(
    x: ArrayLike,
    g: ArrayLike | None,
    stats: ArrayLike,
    sum_x: ArrayLike | None = None,
    sum_g: ArrayLike | None = None,
) -> None:
    """Add the samples of one batch to the sums behind the scores of a layer's channels.

    Per channel, over samples n, with dots over the pixels: stats[0] += |x_n|^2, stats[1] += x_n.g_n,
    stats[2] += (x_n.g_n)^2, stats[3] += |x_n|^4, stats[4] += (x_n.g_n)^3, stats[5] += (x_n.g_n)^4;
    rows 3 to 5 are for standard errors. sum_x += sum_n x_n and sum_g += sum_n g_n are maps.
    All in float64 and in the order of the samples: how these are cut into batches changes no bit.

    Args:
        x (Tensor, (N, H, W, C) or (N, C), float32): feature maps.
        g (Tensor or None, as x): gradient of each SAMPLE's own loss, not divided by N. None: only
            rows 0 and 3 are added to.
        stats (Tensor, (6, C), float64): changed; zeros at the start.
        sum_x, sum_g (Tensor or None, (H, W, C) or (C,), float64): changed; both or none.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: maps without g, or one of two, shared memory.
    Cost:
        x and g are read once.
    Source:
        T eq. 4.5, 4.10, 4.30-4.32.
    """
    eager(SCORE_ACCUMULATE, (x, g, stats, sum_x, sum_g))


def _infer_trace(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    name = "trace_accumulate"
    x = _check_x(name, inputs[0])
    _check(name, "mean_g", inputs[1], x.shape[1:])
    _check(name, "stats", inputs[2], (2, x.shape[-1]))
    return ()


def _run_trace(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    x, mean_g, stats = inputs
    scratch = Tensor.empty((0,), "uint8") if workspace is None else workspace
    _core.trace_accumulate(x, mean_g, stats, scratch)


def _workspace_trace(
    inputs: Sequence[Spec | None], outputs: Sequence[Spec], attrs: Attrs, device: str
) -> int:
    assert inputs[0] is not None
    return _core.score_workspace(inputs[0].shape, 1, device)


TRACE_ACCUMULATE = register(
    Op(
        name="trace_accumulate",
        inputs=("x", "mean_g", "stats"),
        outputs=(),
        infer=_infer_trace,
        run=_run_trace,
        ties=_ties,
        mutates=("stats",),
        workspace=_workspace_trace,
    )
)


def trace_accumulate(x: ArrayLike, mean_g: ArrayLike, stats: ArrayLike) -> None:
    """Add the samples of one batch to the sums behind the score `trace` (second pass, forward only).

    Per channel: stats[0] += sum_n (x_n . mean_g)^2, stats[1] += sum_n (x_n . mean_g)^4

    Args:
        x (Tensor, (N, H, W, C) or (N, C), float32): feature maps.
        mean_g (Tensor, (H, W, C) or (C,), float64): E[g], the sum_g of the first pass over its samples.
        stats (Tensor, (2, C), float64): changed; zeros at the start.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: shared memory.
    Cost:
        x is read once.
    Source:
        T eq. 4.12.
    """
    eager(TRACE_ACCUMULATE, (x, mean_g, stats))
