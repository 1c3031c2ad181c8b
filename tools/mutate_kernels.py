#!/usr/bin/env python3
"""Put deliberate bugs into the CUDA kernels, one at a time, and see whether the tests notice.

usage: mutate_kernels.py [--build DIR] [--only PATTERN] [--list] [--note FILE]

Needs a build folder with the emulator (cmake -DSENTEI_CUSIM=ON). Each mutant of kernel_mutants.py
replaces a text in a copy of csrc/cuda, compiles the objects that read it, links a sentei._cusim of
its own and runs the named tests on it under up to three schedules, until one fails. The checkout
stays as it is. Exit status 1: a text is gone, the tests fail without a mutant, or more than
`--allow` mutants survived.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from kernel_mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
SCHEDULES = (  # CUSIM_ORDER, CUSIM_ASYNC, name
    ("2", "1", "random, lazy copies"),
    ("0", "0", "forward, eager copies"),
    ("1", "2", "reverse, mixed copies"),
)
SECONDS = 300  # for one run of tests


class Broken(Exception):
    """The tool cannot go on: the message says why."""


@dataclass(frozen=True)
class Result:
    mutant: Mutant
    killed: str  # by what, empty if it survived
    schedule: str
    seconds: float


def mutated(mutant: Mutant) -> str:
    """The text of the mutant's file; its old text must be there exactly once."""
    text = (ROOT / "csrc" / "cuda" / mutant.file).read_text()
    if (n := text.count(mutant.old)) != 1:
        raise Broken(f"{mutant.name}: {mutant.file} must hold the text once, got {n}: {mutant.old}")
    return text.replace(mutant.old, mutant.new)


class Builder:
    """Compiles and links sentei._cusim from a copy of the sources, object by object."""

    def __init__(self, build: Path, work: Path) -> None:
        self.build, self.work = build, work
        shutil.copytree(ROOT / "csrc", work / "csrc")
        module = next((build / "tests" / "cusim").glob("_cusim*.so"), None)
        if module is None:
            raise Broken(f"{build} must be a build with SENTEI_CUSIM=ON")
        subprocess.run(["ninja", "-C", build, "_cusim"], check=True, stdout=subprocess.DEVNULL)
        self.module = module.name
        self.package = work / "package" / "sentei"
        shutil.copytree(ROOT / "python" / "sentei", self.package, ignore=self.skip)
        for other in build.glob("_core*.so"):
            (self.package / other.name).symlink_to(other)
        commands = self.ninja("-t", "commands", f"tests/cusim/{self.module}").split("\n")
        self.compile = {m[1]: c for c in commands if (m := re.search(r" -o (\S+\.o) -c ", c))}
        self.link = next(c for c in commands if f" -o tests/cusim/{self.module} " in c)
        self.readers = self.who_reads()

    @staticmethod
    def skip(_: str, names: list[str]) -> set[str]:
        return {n for n in names if n.endswith(".so") or n == "__pycache__"}

    def ninja(self, *arguments: str) -> str:
        return subprocess.check_output(["ninja", "-C", self.build, *arguments], text=True)

    def who_reads(self) -> dict[str, list[str]]:
        """Objects of the emulator by the file below csrc/cuda that they include."""
        readers: dict[str, list[str]] = {}
        for paragraph in self.ninja("-t", "deps").split("\n\n"):
            target, _, files = paragraph.partition(":")
            target = target.removeprefix("ninja: Entering directory").split("\n")[-1]
            if "/_cusim.dir/" not in target:
                continue
            for name in re.findall(r"csrc/cuda/(\S+)", files):
                readers.setdefault(name, []).append(target)
        return readers

    def shell(self, command: str) -> None:
        got = subprocess.run(
            command, shell=True, cwd=self.build, capture_output=True, check=False, text=True
        )
        if got.returncode:
            raise Broken(f"does not compile:\n{got.stderr[-2000:]}")

    def make(self, mutant: Mutant | None) -> None:
        """Put the module with this mutant (None: without any) into the package."""
        link = self.link
        if mutant:
            file = self.work / "csrc" / "cuda" / mutant.file
            before = file.read_text()
            file.write_text(mutated(mutant))
            try:
                for i, target in enumerate(self.readers.get(mutant.file, [])):
                    own = self.work / f"{i}.o"
                    command = self.compile[target].replace(
                        str(ROOT / "csrc"), str(self.work / "csrc")
                    )
                    command = re.sub(r" -M\S+( \S+\.o(\.d)?)?(?= )", "", command)
                    self.shell(command.replace(f" -o {target} ", f" -o {own} ") + " -O1 -g0 -w")
                    link = link.replace(f" {target} ", f" {own} ")
            finally:
                file.write_text(before)
            if link == self.link:
                raise Broken(f"{mutant.name}: nothing of the emulator reads {mutant.file}")
        out = self.package / self.module
        self.shell(link.replace(f" -o tests/cusim/{self.module} ", f" -o {shlex.quote(str(out))} "))

    def test(self, tests: str, schedule: tuple[str, str, str]) -> str:
        """Run tests on the emulator; empty if they pass, else what failed first."""
        order, copies, _ = schedule
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "-k", "cusim"]
        command += ["-p", "no:cacheprovider", "-p", "no:faulthandler"]
        command += [f"tests/{t}" for t in tests.split()]
        variables = {
            "PYTHONPATH": str(self.package.parent),
            "CUSIM_ORDER": order,
            "CUSIM_ASYNC": copies,
            "SENTEI_NUM_THREADS": "2",
        }
        try:
            got = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, **variables},
                capture_output=True,
                check=False,
                text=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"no end within {SECONDS} s"
        if got.returncode == 0:
            return ""
        if got.returncode == 5:
            raise Broken(f"no test of {tests} runs on cusim")
        return reason(got)


def reason(got: subprocess.CompletedProcess[str]) -> str:
    """The first error of a run of pytest, in a few words."""
    text = got.stdout + got.stderr
    if m := re.search(r"cusim: \S+: (.*)", text):
        return re.sub(r" in block .*| \(a build .*", "", m[1])
    if m := re.search(r"cusim: (.*)", text):
        return m[1]
    if got.returncode < 0:
        return f"signal {-got.returncode}"
    if re.search(r"^E .*(AssertionError|assert )", text, re.M):
        return "wrong result"
    m = re.search(r"^E +(.*)", text, re.M)
    return m[1][:100] if m else f"exit status {got.returncode}"


def run(builder: Builder, mutants: list[Mutant], path: Path | None) -> list[Result]:
    builder.make(None)
    for tests in sorted({m.tests for m in mutants}):  # the other schedules are a step of .ci/run
        if failed := builder.test(tests, SCHEDULES[0]):
            raise Broken(f"{tests} must pass without a mutant, got: {failed}")
    results = []
    for mutant in mutants:
        start = time.monotonic()
        builder.make(mutant)
        result = Result(mutant, "", "", 0)
        for schedule in SCHEDULES:
            if killed := builder.test(mutant.tests, schedule):
                result = Result(mutant, killed, schedule[2], time.monotonic() - start)
                break
        results.append(result)
        if path:
            note(path, results)
        print(f"{mutant.name}: {result.killed or 'SURVIVED'} ({result.schedule})", flush=True)
    return results


HEAD = "| mutant | file | noticed by | schedule |\n| --- | --- | --- | --- |\n"


def row(r: Result) -> str:
    killed = r.killed.replace("|", "\\|") or f"**survived**: {r.mutant.harmless or 'a gap'}"
    return f"| {r.mutant.name} | `{r.mutant.file}` | {killed} | {r.schedule} |\n"


def note(path: Path, results: list[Result]) -> None:
    """Put rows into the table of the note at `path`; those of other mutants of the list stay."""
    begin, end = "<!-- results -->\n", "<!-- end -->"
    text = path.read_text()
    head, tail = text.split(begin)[0], text.split(end)[1]
    rows = {r.mutant.name: row(r) for r in results}
    for line in text.split(begin)[1].split(end)[0].splitlines(keepends=True):
        name = line.split("|")[1].strip() if line.startswith("| ") else ""
        rows.setdefault(name, line)
    lines = [rows[m.name] for m in MUTANTS if m.name in rows]
    killed = sum("**survived**" not in line for line in lines)
    day = datetime.datetime.now(datetime.UTC).date()
    body = f"{killed} of {len(lines)} noticed ({day}).\n\n{HEAD}{''.join(lines)}"
    path.write_text(f"{head}{begin}{body}{end}{tail}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "dev")
    parser.add_argument(
        "--only", default="", help="mutants whose name or file matches this pattern"
    )
    parser.add_argument("--list", action="store_true", help="check the texts and list the mutants")
    parser.add_argument("--note", type=Path, help="put the rows into the table of this file")
    parser.add_argument("--allow", type=int, default=0, help="how many may survive")
    options = parser.parse_args()
    mutants = [m for m in MUTANTS if re.search(options.only, f"{m.file}: {m.name}")]
    try:
        for m in mutants:
            mutated(m)
        if options.list:
            print("\n".join(f"{m.name}: {m.file}" for m in mutants))
            return 0
        with tempfile.TemporaryDirectory() as work:
            results = run(Builder(options.build.resolve(), Path(work)), mutants, options.note)
    except Broken as e:
        sys.exit(f"mutate_kernels: {e}")
    print(f"\n{HEAD}{''.join(row(r) for r in results)}")
    survived = [r for r in results if not r.killed and not r.mutant.harmless]
    print(f"{len(results) - len(survived)} of {len(results)} noticed")
    return 1 if len(survived) > options.allow else 0


if __name__ == "__main__":
    raise SystemExit(main())
