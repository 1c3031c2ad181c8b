"""What tensor cores do to operands, and how close a result then has to be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import devices
from helpers import array

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
