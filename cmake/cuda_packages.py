"""Print where the Python packages of NVIDIA's compiler lie: the folder that holds bin/nvcc."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def toolkit() -> Path | None:
    found = importlib.util.find_spec("nvidia")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for nvcc in sorted(Path(folder).glob("cu*/bin/nvcc"), reverse=True):
            return nvcc.parents[1]
    return None


if __name__ == "__main__":
    folder = toolkit()
    if folder is None:
        raise SystemExit("no package holds nvcc")
    print(folder)
