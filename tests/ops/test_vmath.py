"""Vector exp, log, tanh, ...: accuracy against float64 on every tier, ends of the range, NaN."""

from __future__ import annotations

import numpy as np
import pytest

from sentei import _core
from sentei.errors import DeviceError
from sentei.tensor import Tensor

TIERS = [t for t in _core.isa_info()["built"] if t in _core.isa_info()["supported"]]
# Largest error allowed, in units in the last place of the true value.
REFERENCE = {
    "exp": (np.exp, (-104.0, 88.8), 2.0),
    "expm1": (np.expm1, (-80.0, 20.0), 2.5),
    "log": (np.log, (1e-45, 1e38), 2.0),
    "log1p": (np.log1p, (0.0, 1e38), 2.5),
    "tanh": (np.tanh, (-20.0, 20.0), 3.5),
    "logistic": (lambda x: 1 / (1 + np.exp(-x)), (-104.0, 104.0), 3.0),
    "softplus": (lambda x: np.logaddexp(0, x), (-104.0, 1e4), 3.0),
}


def run(name: str, isa: str, x: np.ndarray) -> np.ndarray:
    y = Tensor.empty(x.shape)
    _core.vmath(name, isa, Tensor.borrow(np.ascontiguousarray(x, np.float32)), y)
    return np.asarray(y)


def grid(name: str) -> np.ndarray:
    """Every 2000-odd-th float of the range by its bits, and an even grid near the middle."""
    lo, hi = REFERENCE[name][1]
    bits = np.arange(0, 0x7F800000, 2311, dtype=np.uint32).view(np.float32)
    x = np.concatenate([bits, -bits, np.linspace(max(lo, -110), min(hi, 110), 200_001)])
    x = x.astype(np.float32)
    return x[(x >= np.float32(lo)) & (x <= np.float32(hi))]


@pytest.mark.parametrize("isa", TIERS)
@pytest.mark.parametrize("name", REFERENCE)
def test_few_ulp(name, isa):
    f, _, limit = REFERENCE[name]
    x = grid(name)
    with np.errstate(over="ignore"):
        want = f(x.astype(np.float64))
        ulp = np.spacing(np.abs(want).astype(np.float32)).astype(np.float64)
    got = run(name, isa, x).astype(np.float64)
    keep = np.isfinite(ulp)  # beyond the largest float the ends are tested below
    error = np.abs(got - want)[keep] / ulp[keep]
    assert error.max() <= limit, (name, isa, error.max(), x[keep][error.argmax()])


INF, NAN = np.inf, np.nan
ENDS = {
    "exp": [(-INF, 0), (-1e4, 0), (-0.0, 1), (89, INF), (1e4, INF), (INF, INF), (NAN, NAN)],
    "expm1": [(-INF, -1), (-1e4, -1), (0.0, 0.0), (-0.0, -0.0), (NAN, NAN)],
    "log": [(0, -INF), (-0.0, -INF), (-1, NAN), (-INF, NAN), (1, 0), (INF, INF), (NAN, NAN)],
    "log1p": [(0, 0), (INF, INF), (NAN, NAN), (3e38, np.float32(np.log(3e38)))],
    "tanh": [(-INF, -1), (-1e4, -1), (1e4, 1), (INF, 1), (0.0, 0.0), (-0.0, -0.0), (NAN, NAN)],
    "logistic": [(-INF, 0), (-1e4, 0), (0, 0.5), (-0.0, 0.5), (1e4, 1), (INF, 1), (NAN, NAN)],
    "softplus": [(-INF, 0), (-1e4, 0), (1e4, 1e4), (INF, INF), (NAN, NAN)],
}


@pytest.mark.parametrize("isa", TIERS)
@pytest.mark.parametrize("name", ENDS)
def test_ends(name, isa):
    x, want = np.array(ENDS[name], np.float32).T
    got = run(name, isa, x)
    np.testing.assert_array_equal(got, want)
    zero = want == 0
    if name in ("expm1", "tanh"):
        np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]))


def test_refuses():
    x = Tensor.zeros((3,))
    with pytest.raises(ValueError, match=r"vmath: name must be .* got sin"):
        _core.vmath("sin", TIERS[0], x, x)
    with pytest.raises(ValueError, match=r"vmath: isa must be .* got v9"):
        _core.vmath("exp", "v9", x, x)


@pytest.mark.devices
def test_refuses_other_devices(device):
    if device == "cpu":
        pytest.skip("there is no other device")
    x = Tensor.zeros((3,), device=device)
    with pytest.raises(DeviceError, match="vmath: x must be on cpu, got cuda"):
        _core.vmath("exp", TIERS[0], x, x)
