"""Fresh memory is NaN in every test; seeds are explicit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from sentei import _core


@pytest.fixture(autouse=True)
def poisoned_memory() -> Iterator[None]:
    _core.set_poison(True)
    yield
    _core.set_poison(False)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261120)


@pytest.fixture
def threads() -> Iterator[None]:
    """Restore the number of threads after a test that changes it."""
    n = _core.threads()
    yield
    _core.set_threads(n)
