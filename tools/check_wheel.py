#!/usr/bin/env python3
"""Fail when a wheel is not one to give to people: tag, size, what it holds.

usage: check_wheel.py WHEEL... [--cuda]      --cuda: the CUDA module must be in it
"""

from __future__ import annotations

import argparse
import re
import zipfile
from pathlib import Path

LIMIT = 10 * 1000 * 1000  # bytes; a download that nobody minds
NAME = re.compile(r"sentei-[^-]+-(?P<python>cp3\d+)-(?P=python)-(?P<platform>\S+)\.whl")
PORTABLE = re.compile(r"manylinux_2_\d+_x86_64|macosx_\d+_\d+_(arm64|x86_64)|win_amd64")
MODULE = re.compile(r"sentei/_(core|cuda)\.[\w.-]+\.(so|pyd)")
NOT_OURS = re.compile(r"tests?/|bench/|csrc/|_cusim|\.pyc$|\.(a|o|cu|cpp|hpp)$")


def faults(wheel: Path, cuda: bool) -> list[str]:
    """What is wrong with a wheel, a sentence each."""
    out = []
    name = NAME.fullmatch(wheel.name)
    platforms = name["platform"].split(".") if name else []
    if not platforms or not all(PORTABLE.fullmatch(p) for p in platforms):
        out.append("the tag must be of a portable platform (auditwheel repair gives it)")
    if wheel.stat().st_size > LIMIT:
        out.append(f"must not be larger than {LIMIT:,} bytes, got {wheel.stat().st_size:,}")
    with zipfile.ZipFile(wheel) as packed:
        files = packed.namelist()
    info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/"
    for file in files:
        if not file.startswith(("sentei/", info)) or NOT_OURS.search(file):
            out.append(f"{file} does not belong into it")
    wanted = ["sentei/py.typed", "sentei/_core.pyi", f"{info}licenses/LICENSE"]
    out += [f"{file} is missing" for file in wanted if file not in files]
    found = {m[1] for m in map(MODULE.fullmatch, files) if m}
    for module in sorted({"core", "cuda"} - found if cuda else {"core"} - found):
        out.append(f"the module _{module} is missing")
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("wheels", nargs="+", type=Path)
    parser.add_argument("--cuda", action="store_true", help="the CUDA module must be in it")
    given = parser.parse_args()
    bad = False
    for wheel in given.wheels:
        found = faults(wheel, given.cuda)
        bad = bad or bool(found)
        print(f"{wheel.name}: {wheel.stat().st_size:,} bytes, {'; '.join(found) or 'ok'}")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
