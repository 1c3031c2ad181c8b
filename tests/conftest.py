"""Fresh memory is NaN in every test; seeds are explicit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import devices
from sentei import _core


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("devices"):
        metafunc.parametrize("device", devices.ALL, indirect=True)


@pytest.fixture(autouse=True)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where arrays given to eager functions go: cpu, and all others for tests marked `devices`."""
    with devices.on(getattr(request, "param", "cpu")) as name:
        yield name


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
