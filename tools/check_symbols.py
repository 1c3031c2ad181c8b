#!/usr/bin/env python3
"""Fail when a kernel object defines a symbol that the linker could give to another instruction set.

usage: check_symbols.py BUILD_DIR
A weak or unique definition in an object built for AVX-512 may be kept for everyone; code for older
CPUs would then die of an illegal instruction. Kernel objects may export their tables, nothing weak.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TIERS = ("plain", "v2", "v3", "v4", "amx", "avx512bf16")  # and units of bfloat16


def offending(obj: Path, tier: str) -> list[str]:
    """Weak definitions, and strong ones outside the tier's namespace."""
    out = subprocess.run(
        ["nm", "-C", "--defined-only", str(obj)], check=True, capture_output=True, text=True
    )
    bad = []
    for line in out.stdout.splitlines():
        _, kind, name = line.split(maxsplit=2)
        if kind in "WVu" or (kind in "TDRB" and f"sentei::cpu::{tier}::" not in name):
            bad.append(f"{obj.name}: {kind} {name}")
    return bad


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    objects = {t: sorted(Path(sys.argv[1]).rglob(f"sentei_kernels_{t}.dir/**/*.o")) for t in TIERS}
    count = sum(map(len, objects.values()))
    if count == 0:
        sys.exit(f"check_symbols: there must be kernel objects under {sys.argv[1]}, found none")
    bad = [line for tier, files in objects.items() for f in files for line in offending(f, tier)]
    print("\n".join(bad) or f"check_symbols: {count} kernel objects, no leaking symbol")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
