"""Optional dependencies in tests: skipped when missing, except where they must be there."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest

__all__ = ["need"]


def need(module: str) -> ModuleType:
    """Import an optional dependency, or skip the tests of the file with the reason.

    With SENTEI_REQUIRE_EXTRAS=1 a missing one is a failure, so that no run skips them unnoticed.
    """
    if os.environ.get("SENTEI_REQUIRE_EXTRAS") == "1":
        return importlib.import_module(module)
    return pytest.importorskip(module, reason=f"{module} is not installed")  # type: ignore[no-any-return]
