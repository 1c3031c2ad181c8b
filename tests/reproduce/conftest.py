"""Data that several files use."""

from __future__ import annotations

from pathlib import Path

import pytest

from small_files import write_mnist


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with 600 training and 100 test images in the files of MNIST."""
    return write_mnist(tmp_path_factory.mktemp("digits"), 600, 100)
