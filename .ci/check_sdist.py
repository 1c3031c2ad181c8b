"""Compare the files of an sdist with those under version control: no junk, nothing lost.

usage: check_sdist.py CLONE SDIST
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

LEFT_OUT = (".ci/", "bench/results/")  # as pyproject.toml says
ADDED = {"PKG-INFO"}


def main(clone: Path, sdist: Path) -> int:
    with tarfile.open(sdist) as tar:
        packed = {m.name.split("/", 1)[1] for m in tar.getmembers() if m.isfile()} - ADDED
    listed = subprocess.check_output(["git", "-C", str(clone), "ls-files"], text=True).split("\n")
    known = {name for name in listed if name and not name.startswith(LEFT_OUT)}
    for name in sorted(packed - known):
        print(f"sdist: {name} is packed but not under version control")
    for name in sorted(known - packed):
        print(f"sdist: {name} is under version control but not packed")
    print(f"sdist: {len(packed)} files")
    return 1 if packed ^ known else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
