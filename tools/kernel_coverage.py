#!/usr/bin/env python3
"""Which CUDA kernels and which of their lines the tests run on the emulator.

usage: kernel_coverage.py [--build DIR] [--tests "PATHS"] [--jobs N] [--variants] [--note FILE]

Needs a build folder with the emulator (cmake -DSENTEI_CUSIM=ON) and gcov of its compiler ($GCOV).
The sources of csrc/cuda are compiled once more with counters, into a sentei._cusim of its own; the
tests that run on cusim run on it, file by file. A kernel is one instantiation of a __global__
function, named as the compiler names it. Exit status 1: a kernel was never launched, a __global__
template was never instantiated, a test fails, or more than `--allow` lines never ran.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mutate_kernels import ROOT, Broken, Builder

CUDA = ROOT / "csrc" / "cuda"
TESTS = "ops"
PROBES = "probes.cu"  # of the emulator: call what takes more memory than a test may have
FLAGS = "--coverage -O1 -fno-sanitize=all"
GCOV = os.environ.get("GCOV", "gcov")
SECONDS = 900  # for the tests of one file
GLOBAL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(")


@dataclass
class Kernel:
    """One instantiation: calls by threads, and how often each of its lines ran."""

    file: str
    name: str
    calls: int = 0
    lines: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class Coverage:
    kernels: dict[tuple[str, str], Kernel] = field(default_factory=dict)
    lines: dict[str, dict[int, int]] = field(default_factory=dict)  # file: line: times it ran

    def files(self) -> list[str]:
        return sorted(set(self.lines) | {k.file for k in self.kernels.values()})

    def never_launched(self) -> list[Kernel]:
        return sorted(
            (k for k in self.kernels.values() if not k.calls), key=lambda k: (k.file, k.name)
        )

    def never_ran(self) -> list[tuple[str, int]]:
        return [
            (f, n) for f in sorted(self.lines) for n, c in sorted(self.lines[f].items()) if not c
        ]


def kernels_written(builder: Builder) -> set[tuple[str, str]]:
    """File and name of every __global__ function that the emulator has."""
    sources = {Path(c.split()[-1]) for c in builder.compile.values()} | set(CUDA.rglob("*.cuh"))
    return {
        (str(p.relative_to(CUDA)), name)
        for p in sources
        if p.is_relative_to(CUDA)
        for name in GLOBAL.findall(p.read_text())
    }


def compile_with_counters(builder: Builder, jobs: int) -> list[Path]:
    """Objects with counters; the module with them is put into the package.

    Without the compiler's checks, which would leave blocks that never run in many lines.
    """
    folder = builder.work / "objects"
    folder.mkdir()
    own: dict[str, Path] = {}
    commands = []
    for target, command in builder.compile.items():
        source = Path(command.split()[-1])
        if not source.is_relative_to(CUDA) and source.name != PROBES:
            continue
        own[target] = folder / f"{source.stem}.o"
        bare = re.sub(r" -M\S+( \S+\.o(\.d)?)?(?= )", "", command)
        commands.append(bare.replace(f" -o {target} ", f" -o {own[target]} ") + f" {FLAGS}")
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(builder.shell, commands))
    link = builder.link.replace(
        f" -o tests/cusim/{builder.module} ", f" --coverage -o {builder.package / builder.module} "
    )
    for target, path in own.items():
        link = link.replace(f" {target} ", f" {path} ")
    builder.shell(link)
    return sorted(own.values())


def test_files(tests: str) -> list[Path]:
    """The files of tests in `tests`, largest first, so that the last to end is a small one."""
    found = set()
    for name in tests.split():
        path = ROOT / "tests" / name
        if not path.exists():
            raise Broken(f"there is no tests/{name}")
        found |= {path} if path.is_file() else set(path.rglob("test_*.py"))
    return sorted(found, key=lambda p: -p.stat().st_size)


def run_tests(builder: Builder, path: Path) -> str:
    """What pytest says last."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-k", "cusim"]
    command += ["-p", "no:cacheprovider", str(path.relative_to(ROOT))]
    environment = {
        **os.environ,
        "PYTHONPATH": str(builder.package.parent),
        "SENTEI_NUM_THREADS": "1",
    }
    got = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=SECONDS,
    )
    if got.returncode not in {0, 5}:  # 5: it has none for cusim
        raise Broken(f"{command[-1]} must pass, got:\n{(got.stdout + got.stderr)[-3000:]}")
    last = got.stdout.strip().split("\n")[-1]
    print(f"{command[-1]}: {last}", file=sys.stderr, flush=True)
    return last


def short_name(mangled: str, demangled: str, names: set[str]) -> str:
    """The kernel's name with its template arguments; empty if it is no kernel."""
    text = demangled.replace("(anonymous namespace)::", "").replace("sentei::cuda::", "")
    m = re.match(r"(?:void )?(\w+)", text)
    if not m or m[1] not in names or mangled.startswith("_ZZ"):  # what is local to a kernel
        return ""
    rest, depth = text[m.end() :], 0
    if not rest.startswith("<"):
        return m[1]
    for i, c in enumerate(rest):
        depth += (c in "<(") - (c in ">)")
        if depth == 0:
            return m[1] + rest[: i + 1]
    raise Broken(f"a name without an end: {demangled}")


def read_counters(objects: list[Path], names: set[str]) -> Coverage:
    got = Coverage()
    for path in objects:
        counters = path.with_suffix(".gcda")
        if not counters.exists():  # nothing of it ran
            counters = path.with_suffix(".gcno")
        text = subprocess.check_output(
            [GCOV, "--json-format", "--stdout", counters],
            cwd=path.parent,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        add(got, path.stem, json.loads(text)["files"], names)
    return got


def add(got: Coverage, stem: str, files: list[dict], names: set[str]) -> None:
    """Add what gcov says of one object."""
    kernels: dict[str, Kernel] = {}
    files = [f for f in files if Path(f["file"]).is_relative_to(CUDA)]
    for file in files:
        for f in file["functions"]:
            if name := short_name(f["name"], f["demangled_name"], names):
                # A name of an anonymous namespace is another kernel in each object.
                where = stem if "_GLOBAL__N_" in f["name"] else ""
                source = str(Path(file["file"]).relative_to(CUDA))
                kernel = got.kernels.setdefault((where, f["name"]), Kernel(source, name))
                kernel.calls += f["execution_count"]
                kernels[f["name"]] = kernel
    for file in files:
        source = str(Path(file["file"]).relative_to(CUDA))
        lines = got.lines.setdefault(source, defaultdict(int))
        for line in file["lines"]:
            lines[line["line_number"]] += line["count"]
            if kernel := kernels.get(line.get("function_name", "")):
                kernel.lines[source, line["line_number"]] += line["count"]


def percent(part: int, all_: int) -> str:
    return f"{100 * part / all_:.1f}" if all_ else "-"


def table(got: Coverage) -> str:
    rows = ["| file | lines | run, % | kernels | launched |", "| --- | --: | --: | --: | --: |"]
    total = [0, 0, 0, 0]
    for name in got.files():
        counts = got.lines.get(name, {})
        kernels = [k for k in got.kernels.values() if k.file == name]
        row = [len(counts), sum(c > 0 for c in counts.values())]
        row += [len(kernels), sum(k.calls > 0 for k in kernels)]
        total = [a + b for a, b in zip(total, row, strict=True)]
        rows.append(f"| `{name}` | {row[0]} | {percent(row[1], row[0])} | {row[2]} | {row[3]} |")
    rows.append(
        f"| **all** | {total[0]} | {percent(total[1], total[0])} | {total[2]} | {total[3]} |"
    )
    return "\n".join(rows)


def source_line(file: str, number: int) -> str:
    return (CUDA / file).read_text().splitlines()[number - 1].strip()


def variants(got: Coverage) -> str:
    """Lines that ran somewhere, but not in this kernel."""
    out = []
    for k in sorted(got.kernels.values(), key=lambda k: (k.file, k.name)):
        missing = [at for at, c in sorted(k.lines.items()) if k.calls and not c]
        if missing:
            out.append(f"{k.file}: {k.name}")
            out += [f"    {f}:{n}: {source_line(f, n)}" for f, n in missing]
    return "\n".join(out)


def note(path: Path, text: str) -> None:
    begin, end = "<!-- results -->\n", "<!-- end -->"
    old = path.read_text()
    path.write_text(f"{old.split(begin)[0]}{begin}{text}\n{end}{old.split(end)[1]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "dev")
    parser.add_argument("--tests", default=TESTS, help="files or folders below tests/")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--variants", action="store_true", help="also list, for each kernel, the lines it never ran"
    )
    parser.add_argument("--note", type=Path, help="put the table into this file")
    parser.add_argument("--allow", type=int, default=0, help="how many lines may never run")
    options = parser.parse_args()
    if not shutil.which(GCOV):
        sys.exit(f"kernel_coverage: {GCOV} must be gcov, set GCOV to where it is")
    build = options.build.resolve()
    work = build / "coverage"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        builder = Builder(build, work)
        written = kernels_written(builder)
        names = {name for _, name in written}
        objects = compile_with_counters(builder, options.jobs)
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(lambda p: run_tests(builder, p), test_files(options.tests)))
        got = read_counters(objects, names)
    except Broken as e:
        sys.exit(f"kernel_coverage: {e}")
    print(table(got))
    if options.note:
        note(options.note, table(got))
    compiled = {(k.file, k.name.partition("<")[0]) for k in got.kernels.values()}
    for file, name in sorted(written - compiled):
        print(f"never instantiated: {file}: {name}")
    for k in got.never_launched():
        print(f"never launched: {k.file}: {k.name}")
    for file, number in got.never_ran():
        print(f"never ran: {file}:{number}: {source_line(file, number)}")
    if options.variants:
        print(variants(got))
    bad = got.never_launched() or written - compiled or len(got.never_ran()) > options.allow
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
