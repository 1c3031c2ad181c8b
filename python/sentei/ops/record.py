"""What training wants to read of every step, kept on the device until somebody asks."""

from __future__ import annotations

from collections.abc import Sequence

from sentei import _core
from sentei._core import Tensor
from sentei.errors import ShapeError
from sentei.graph import Attrs, Op, Spec, register
from sentei.ops.eager import eager
from sentei.tensor import ArrayLike

__all__ = ["RECORD_APPEND", "record_append"]


def _infer(inputs: Sequence[Spec | None], attrs: Attrs) -> tuple[Spec, ...]:
    total, loss, correct, log, at = inputs
    assert log is not None
    for name, spec in (("total", total), ("loss", loss), ("correct", correct), ("at", at)):
        if spec is not None and spec.shape != (1,):
            raise ShapeError(f"record_append: {name} must have shape (1,), got {spec.shape}")
    if len(log.shape) != 2 or log.shape[0] < 1 or log.shape[1] != 3:
        raise ShapeError(
            f"record_append: log must have shape (rows, 3) with a row at least, got {log.shape}"
        )
    return ()


def _run(
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    attrs: Attrs,
    workspace: Tensor | None,
) -> None:
    total, loss, correct, log, at = inputs
    assert total is not None and loss is not None and log is not None and at is not None
    _core.record_append(total, loss, correct, log, at)


RECORD_APPEND = register(
    Op(
        name="record_append",
        inputs=("total", "loss", "correct?", "log", "at"),
        outputs=(),
        infer=_infer,
        run=_run,
        mutates=("log", "at"),
    )
)


def record_append(
    total: ArrayLike, loss: ArrayLike, correct: ArrayLike | None, log: ArrayLike, at: ArrayLike
) -> None:
    """Write a row of a log and move on to the next one, in place.

    log[at] = (total, loss, correct);  at = (at + 1) mod rows

    Args:
        total, loss (Tensor, (1,), float32): objective and loss of a step.
        correct (Tensor or None, (1,), int64): right answers; None: 0.
        log (Tensor, (rows, 3), float64): changed.
        at (Tensor, (1,), int64): the row to write, changed. On cuda a place outside the log writes
            nothing and becomes 0.
    Raises:
        ShapeError, DTypeError: as said above. ValueError: at outside the log (on cpu), shared memory.
    """
    eager(RECORD_APPEND, (total, loss, correct, log, at))
