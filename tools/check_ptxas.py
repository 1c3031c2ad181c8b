#!/usr/bin/env python3
"""Fail when a CUDA kernel spills registers; print registers, shared memory and stack of all kernels.

usage: check_ptxas.py LOG                  read the log of a build with SENTEI_CUDA_REPORT=ON
       check_ptxas.py --compile [FILE ...]  compile csrc/cuda/*.cu (or FILEs) for sm_80 and sm_90a
options: --jobs N (2), --all (a line per template instance), --archs sm_80,sm_90a (each must be there)
Fails too when ptxas says that it gave up on an instruction's speed, and when an architecture is missing.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
PROPERTIES = re.compile(r"Function properties for '?(\w+)")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
SLOW = re.compile(r"Potential Performance Loss.*|.*\(C75\d\d\).*")


@dataclass
class Usage:
    """What one kernel takes on one architecture; a function that is not inlined has no registers."""

    name: str
    arch: str
    registers: int = 0
    shared: int = 0
    stack: int = 0
    spills: int = 0


def parse(log: str) -> tuple[list[Usage], list[str]]:
    """Kernels of a log (each once per architecture), and ptxas' complaints about speed."""
    found: dict[tuple[str, str], Usage] = {}
    slow, arch, current = [], "?", Usage("?", "?")
    for line in log.splitlines():
        if m := ENTRY.search(line):
            arch = m[2]
            current = found.setdefault((m[1], arch), Usage(m[1], arch))
        elif m := PROPERTIES.search(line):
            current = found.setdefault((m[1], arch), Usage(m[1], arch))
        elif m := FRAME.search(line):
            current.stack = max(current.stack, int(m[1]))
            current.spills = max(current.spills, int(m[2]) + int(m[3]))
        elif m := USED.search(line):
            current = found.get((current.name, arch), current)
            current.registers = max(current.registers, int(m[1]))
            if m := SHARED.search(line):
                current.shared = max(current.shared, int(m[1]))
        elif m := SLOW.search(line):
            slow.append(m[0].strip())
    return list(found.values()), slow


def readable(names: Iterable[str]) -> dict[str, str]:
    """Mangled name -> name with template arguments, without namespaces and parameters."""
    names = list(dict.fromkeys(names))
    plain = names
    if names and shutil.which("c++filt"):
        out = subprocess.run(
            ["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True
        )
        plain = out.stdout.splitlines()
    return dict(zip(names, (short(p) for p in plain), strict=True))


def short(name: str) -> str:
    """`void sentei::cuda::(anonymous namespace)::f<(int)4>(float*)` -> `f<4>`."""
    name = re.sub(r"sentei::cuda::|\(anonymous namespace\)::|_GLOBAL__N__\w+::|^void ", "", name)
    name = re.sub(r"\((?:int|bool|unsigned int|long)\)(-?\d)", r"\1", name)
    depth, kept = 0, ""
    for c in name:  # up to the parameter list, which is the first bracket outside <>
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            break
        kept += c
    return kept.strip()


def span(values: Iterable[int]) -> str:
    v = sorted(values)
    return "-" if not v else str(v[0]) if v[0] == v[-1] else f"{v[0]}-{v[-1]}"


def table(kernels: list[Usage], archs: list[str], every: bool) -> list[str]:
    """One line per kernel (over all its template instances, or per instance), the hungriest last."""
    names = readable(k.name for k in kernels)
    rows: dict[str, list[Usage]] = {}
    for k in kernels:
        name = names[k.name]
        rows.setdefault(name if every else name.split("<")[0], []).append(k)
    lines = [
        "| kernel | variants | "
        + " | ".join(f"registers {a}" for a in archs)
        + " | static shared | "
        "stack | spills |",
        "| --- | ---: | " + " | ".join("---:" for _ in archs) + " | ---: | ---: | ---: |",
    ]
    for name, group in sorted(rows.items(), key=lambda r: (max(k.registers for k in r[1]), r[0])):
        registers = [span(k.registers for k in group if k.arch == a) for a in archs]
        cells = [len({k.name for k in group}), *registers, span(k.shared for k in group)]
        cells += [max(k.stack for k in group), max(k.spills for k in group)]
        lines.append(f"| `{name[:90]}` | " + " | ".join(str(c) for c in cells) + " |")
    return lines


def compiled(files: list[Path], archs: list[str], jobs: int) -> str:
    """The reports of compiling every file; raises with nvcc's words when one does not compile."""
    codes = [f"-gencode=arch={a.replace('sm', 'compute')},code={a}" for a in archs]

    def one(f: Path) -> str:
        command = ["nvcc", "-std=c++20", "-O3", "-cubin", "--resource-usage", f"-I{ROOT / 'csrc'}"]
        text = ""
        for code in codes:  # a cubin holds one architecture
            got = subprocess.run(
                [*command, code, "-o", "/dev/null", str(f)],
                capture_output=True,
                text=True,
                check=False,
            )
            text += got.stdout + got.stderr
            if got.returncode:
                raise SystemExit(f"check_ptxas: {f.name} must compile\n{text}")
        return text

    with ThreadPoolExecutor(jobs) as pool:
        return "\n".join(pool.map(one, files))


def main(arguments: list[str] | None = None) -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--compile", action="store_true")
    p.add_argument("--all", action="store_true")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--archs", default="sm_80,sm_90a")
    p.add_argument("files", nargs="*", type=Path)
    args = p.parse_args(arguments)
    archs = args.archs.split(",")
    if args.compile:
        log = compiled(args.files or sorted((ROOT / "csrc/cuda").rglob("*.cu")), archs, args.jobs)
    elif len(args.files) == 1:
        log = args.files[0].read_text(errors="replace")
    else:
        sys.exit(__doc__)
    kernels, slow = parse(log)
    print("\n".join(table(kernels, archs, args.all)))
    names = readable(k.name for k in kernels)
    wrong = [
        f"{names[k.name]} spills {k.spills} bytes on {k.arch}" for k in kernels if k.spills > 0
    ]
    wrong += [f"ptxas says: {s}" for s in dict.fromkeys(slow)]
    wrong += [f"there is no kernel for {a}" for a in archs if all(k.arch != a for k in kernels)]
    for w in wrong:
        print(f"check_ptxas: {w}")
    print(f"check_ptxas: {len({k.name for k in kernels})} kernels, {len(wrong)} complaints")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
