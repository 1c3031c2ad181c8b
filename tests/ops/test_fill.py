"""fill: a constant of any shape."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import array
from sentei import _core
from sentei.errors import DTypeError
from sentei.ops import fill_forward
from sentei.tensor import Tensor


@pytest.mark.devices
@pytest.mark.parametrize("shape", [(1,), (3, 37), (0, 2), (2, 3, 5, 7), (3, 3_000_001)])
@pytest.mark.parametrize("value", [0.0, 1.0, -2.5])
def test_fill_forward(shape, value):
    got = array(fill_forward(shape, value))
    assert got.shape == shape and (got == np.float32(value)).all()


def test_refuses_other_dtypes():
    with pytest.raises(DTypeError, match="y must be float32, got int32"):
        _core.fill_forward(Tensor.zeros((2,), "int32"), 1.0)
