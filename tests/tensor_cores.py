"""What tensor cores and AMX tiles do to operands, how close a result then has to be, and shared cases."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import devices
from helpers import array, assert_exact, integers
from reference import conv2d as ref
from sentei.ops import conv2d_backward_input, conv2d_backward_weight, conv2d_forward

PRECISIONS = ("tf32", "bfloat16")
EPSILON = {"tf32": 2.0**-11, "bfloat16": 2.0**-8}  # of one rounded operand
DEVICES = tuple(d for d in devices.ALL if d != "cpu")  # the CPU refuses these precisions

on_tensor_cores = pytest.mark.parametrize("device", DEVICES, indirect=True)
each_precision = pytest.mark.parametrize("precision", PRECISIONS)


def rounded(x: np.ndarray, precision: str) -> np.ndarray:
    """x as the products see it: tf32 rounds ties away from zero, bfloat16 to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    if precision == "tf32":
        bits = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    else:
        odd = (bits >> np.uint32(16)) & np.uint32(1)
        bits = (bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)
    return bits.view(np.float32)


def assert_rounded_product(
    got: object, product: Callable[..., np.ndarray], a: np.ndarray, b: np.ndarray, precision: str
) -> None:
    """got = product(a, b) but for the rounding of a and b, and of float32 sums."""
    got = array(got).astype(np.float64)
    assert np.isfinite(got).all(), "not finite"
    size = product(np.abs(a), np.abs(b)) + 1e-30
    error = np.abs(got - product(a, b)) / size
    assert error.max(initial=0) <= 2.1 * EPSILON[precision], error.max()
    # Sums of exact products of the rounded operands: nothing else may have been rounded.
    error = np.abs(got - product(rounded(a, precision), rounded(b, precision))) / size
    assert error.max(initial=0) <= 2.0**-18, error.max()


SIZES = [  # of linear layers: N, I, O
    (1, 1, 1),
    (3, 5, 7),
    (32, 64, 10),
    (50, 401, 37),
    (65, 130, 129),
    (300, 70, 66),
    (7, 1100, 90),  # slots in the forward pass
    (1100, 9, 40),  # slots in the gradient of w
    (5, 12, 1030),  # slots in the gradient of x
    (0, 4, 6),
    (4, 0, 6),
    (4, 6, 0),
]

#        N  H  W   C   K  R  S  stride   padding dilation
CASES = [
    (2, 8, 8, 1, 3, 3, 3, (1, 1), (0, 0), (1, 1)),
    (3, 9, 7, 3, 13, 3, 3, (1, 1), (1, 1), (1, 1)),
    (2, 6, 5, 37, 51, 3, 3, (1, 1), (1, 1), (1, 1)),
    (2, 8, 8, 64, 64, 3, 3, (1, 1), (1, 1), (1, 1)),  # slots in every pass
    (1, 12, 12, 3, 8, 7, 7, (2, 2), (3, 3), (1, 1)),
    (2, 7, 7, 13, 37, 1, 1, (1, 1), (0, 0), (1, 1)),
    (2, 8, 7, 16, 32, 1, 1, (2, 2), (0, 0), (1, 1)),  # parities that no tap sees
    (2, 10, 9, 16, 32, 3, 3, (2, 2), (1, 1), (1, 1)),
    (3, 14, 14, 1, 32, 5, 5, (1, 1), (2, 2), (1, 1)),
    (2, 1, 1, 5, 4, 3, 3, (1, 1), (1, 1), (1, 1)),
    (2, 5, 5, 16, 16, 3, 3, (1, 1), (2, 2), (1, 1)),
    (2, 9, 9, 4, 6, 3, 3, (1, 1), (2, 2), (2, 2)),
    (2, 11, 8, 5, 7, 3, 2, (3, 2), (1, 0), (2, 1)),  # six parity classes: two launches
    (2, 9, 10, 8, 12, 3, 4, (2, 4), (2, 1), (2, 2)),  # stride and dilation with a common factor
    (2, 6, 8, 4, 5, 1, 3, (1, 1), (0, 1), (1, 1)),
    (0, 6, 6, 3, 4, 3, 3, (1, 1), (1, 1), (1, 1)),
    (1, 3, 3, 2, 2, 3, 3, (4, 4), (4, 4), (1, 1)),
]


def make(rng, case, draw):
    n, h, w, c, k, r, s, stride, padding, dilation = case
    window = {"stride": stride, "padding": padding, "dilation": dilation}
    x, f, b = draw(rng, (n, h, w, c)), draw(rng, (k, r, s, c)), draw(rng, (k,))
    dy = draw(rng, ref.forward(x, f, **window).shape)
    return x, f, b, dy, window


def check_exact(rng, case, precision):
    x, w, b, dy, window = make(rng, case, integers)
    modes = {**window, "precision": precision}
    assert_exact(conv2d_forward(x, w, b, **modes), ref.forward(x, w, b, **window))
    want = np.maximum(ref.forward(x, w, **window), 0)
    assert_exact(conv2d_forward(x, w, **modes, relu=True), want)
    want = ref.backward_input(dy, w, x.shape, **window)
    assert_exact(conv2d_backward_input(dy, w, x, **modes), want)
    want = ref.backward_weight(x, dy, w.shape, **window)
    assert_exact(conv2d_backward_weight(x, dy, w, **modes), want)
