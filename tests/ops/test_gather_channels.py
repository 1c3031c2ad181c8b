"""Channels of the active group: exact, gradient of the active filters, refuses."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import assert_close, assert_exact, integers, normal
from reference import semi_sync as ref
from sentei import ops
from sentei.errors import DTypeError, ShapeError
from sentei.graph import Spec
from sentei.ops import CONV2D_BACKWARD_WEIGHT_ROWS
from sentei.tensor import Tensor


def one(x, dtype=np.int32):
    return np.array([x], dtype)


@pytest.mark.devices
@pytest.mark.parametrize(
    "shape", [(3, 5, 4, 13), (2, 1, 1, 1), (7, 37), (300, 40, 2, 64), (0, 4), (10,)]
)
@pytest.mark.parametrize("permuted", [False, True])
def test_exact(rng, shape, permuted):
    m = shape[-1]
    rows, offsets = ref.partition(m, rng.permutation(m) if permuted else None)
    x = integers(rng, shape)
    for t, kind in ((0, np.int32), (len(offsets) - 2, np.int64)):
        y = ops.gather_channels(x, rows, offsets, one(t, kind)).numpy()
        active = rows[offsets[t] : offsets[t + 1]]
        assert y.shape == (*shape[:-1], np.diff(offsets).max())
        assert_exact(y[..., : len(active)], x[..., active].astype(np.float64))
        assert not y[..., len(active) :].any()


@pytest.mark.devices
@pytest.mark.parametrize("filters", [5, 64])
def test_gradient_of_the_active_filters(rng, filters):
    x, dy = normal(rng, (3, 9, 8, 6)), normal(rng, (3, 9, 8, filters))
    w = np.zeros((filters, 3, 3, 6), np.float32)
    rows, offsets = ref.partition(filters, rng.permutation(filters))
    whole = ops.conv2d_backward_weight(x, dy, w, padding=1).numpy()
    t = len(offsets) - 2
    part = ops.gather_channels(dy, rows, offsets, one(t)).numpy()
    active = rows[offsets[t] : offsets[t + 1]]
    small = np.zeros((part.shape[-1], 3, 3, 6), np.float32)
    got = ops.conv2d_backward_weight(x, part, small, padding=1).numpy()
    assert_close(got[: len(active)], whole[active].astype(np.float64))


def test_shapes_of_the_active_gradient():
    attrs = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)}
    specs = [Spec((2, 5, 6, 8)), Spec((2, 5, 6, 3)), Spec((7, 3, 3, 8))]
    assert CONV2D_BACKWARD_WEIGHT_ROWS.infer(specs, attrs) == (Spec((3, 3, 3, 8)),)
    with pytest.raises(ShapeError, match="dy must have shape"):
        CONV2D_BACKWARD_WEIGHT_ROWS.infer([specs[0], Spec((2, 4, 6, 3)), specs[2]], attrs)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"rows": np.arange(3, dtype=np.int32)}, ShapeError, "rows must have shape"),
        ({"rows": np.arange(4)}, DTypeError, "rows must be int32"),
        (
            {"rows": np.array([0, 4, 2, 3], np.int32)},
            ValueError,
            r"rows must lie in \[0, 4\), got 4",
        ),
        ({"group": one(2)}, ValueError, r"group must lie in \[0, 2\), got 2"),
        ({"group": np.zeros(2, np.int32)}, ShapeError, "group must have shape"),
        ({"offsets": np.array([0], np.int32)}, ShapeError, "offsets must have"),
        ({"offsets": np.array([0, 9, 4], np.int32)}, ValueError, "offsets must rise within"),
        (
            {"offsets": np.array([0, 3, 4], np.int32)},
            ShapeError,
            "y must have a channel for each of the 3",
        ),
        ({"x": np.float32(1.0)}, ShapeError, "x must have channels"),
    ],
)
def test_refuses(change, kind, message):
    args = {
        "x": np.zeros((2, 4), np.float32), "rows": np.arange(4, dtype=np.int32),
        "offsets": np.array([0, 2, 4], np.int32), "group": one(0), **change,
    }  # fmt: skip
    if isinstance(args["x"], np.float32):
        args["x"] = Tensor.from_numpy(np.array(1.0, np.float32))
    with pytest.raises(kind, match=message):
        ops.gather_channels(**args)
