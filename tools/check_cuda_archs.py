#!/usr/bin/env python3
"""Fail when a CUDA module lacks code for an architecture; needs no CUDA tool and no GPU.

usage: check_cuda_archs.py MODULE sm_80 sm_90a ...
Device code lies in the module as fatbins: a header (magic, version, header size, size), then entries
(kind, version, header size, size, ..., architecture, ..., flags). Kind 1 is PTX, kind 2 machine code;
one flag marks the architecture-specific variant that nvcc calls 90a. The layout is not documented;
it was compared with what cuobjdump prints for CUDA 13.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

MAGIC = struct.pack("<I", 0xBA55ED50)
SPECIFIC = 0x00100000
KINDS = {1: "compute", 2: "sm"}


def architectures(module: bytes) -> set[str]:
    """Names such as sm_80, sm_90a (machine code) and compute_90 (PTX)."""
    found = set()
    at = module.find(MAGIC)
    while at >= 0:
        _, header, size = struct.unpack_from("<HHQ", module, at + 4)
        entry, end = at + header, min(at + header + size, len(module) - 64)
        while entry < end:
            kind, _, header, size = struct.unpack_from("<HHIQ", module, entry)
            if kind not in KINDS or header < 44:
                break
            (arch,) = struct.unpack_from("<I", module, entry + 28)
            (flags,) = struct.unpack_from("<I", module, entry + 40)
            found.add(f"{KINDS[kind]}_{arch}{'a' if flags & SPECIFIC else ''}")
            entry += header + size
        at = module.find(MAGIC, at + 4)
    return found


def main() -> int:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    found = architectures(Path(sys.argv[1]).read_bytes())
    missing = sorted(set(sys.argv[2:]) - found)
    print(f"check_cuda_archs: code for {', '.join(sorted(found)) or 'nothing'}")
    if missing:
        print(f"check_cuda_archs: the module must hold {', '.join(missing)}")
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
