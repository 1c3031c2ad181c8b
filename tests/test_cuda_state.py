"""Why CUDA cannot be used, from what the CUDA module finds; the module is played."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

import sentei
from sentei import _core
from sentei.device import cuda_state

OLD = {
    "index": 0,
    "name": "An old one",
    "compute_capability": "7.5",
    "memory_bytes": 1 << 30,
    "usable": False,
    "problem": "no kernel image is available",
}
NEW = {**OLD, "index": 1, "name": "A new one", "compute_capability": "9.0", "usable": True}
NEW["problem"] = ""


@pytest.fixture
def found(monkeypatch):
    """What query_devices returns."""
    info: dict[str, Any] = {
        "driver_version": 13000,
        "runtime_version": 13000,
        "error": "",
        "devices": [NEW],
    }
    module = ModuleType("sentei._cuda")
    module.query_devices = lambda: info  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentei._cuda", module)
    monkeypatch.setattr(sentei, "_cuda", module, raising=False)
    built = {**_core.build_info(), "cuda_built": True, "cuda_archs": "80-real"}
    monkeypatch.setattr(_core, "build_info", lambda: built)
    return info


def test_a_device_that_works(found):
    assert cuda_state().state == "ready"
    found["devices"] = [NEW, OLD]
    assert cuda_state().state == "ready"


def test_the_first_device_is_the_one_that_counts(found):
    found["devices"] = [OLD]
    state = cuda_state()
    assert state.state == "no_code"
    assert state.reason == (
        "this build has code for 80-real, which does not run on An old one "
        "(compute capability 7.5): no kernel image is available"
    )
    found["devices"] = [OLD, NEW]
    state = cuda_state()
    assert state.state == "no_code"
    assert state.reason.endswith("; CUDA_VISIBLE_DEVICES can put another device first")


@pytest.mark.parametrize(
    ("change", "state", "words"),
    [
        ({"driver_version": 0}, "no_driver", "no NVIDIA driver"),
        ({"driver_version": 12080}, "old_driver", "supports CUDA 12.8, this build needs 13.0"),
        ({"error": "system not yet initialized"}, "no_device", "system not yet initialized"),
        ({"devices": []}, "no_device", "the driver lists no device"),
    ],
)
def test_other_reasons(found, change, state, words):
    found.update(change)
    assert cuda_state().state == state
    assert words in cuda_state().reason
