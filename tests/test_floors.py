"""The arrows of the architecture: who may use whom, in Python and in C++."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "sentei"

# A module may use the floors below its own; modules of one floor never use each other.
FLOORS: list[set[str]] = [
    {"errors", "suggest"},
    {"describe"},
    {"_core", "_cuda"},
    {"tensor", "device", "describe"},
    {"graph"},
    {"ops"},
    {"passes"},
    {"run"},
    {"model"},
    {"nn", "init", "losses", "metrics", "regularizers", "optim", "prune", "data", "report"},
    {"train", "io"},
    {"distributed"},
    {"workflow"},
    {"cli"},
]
# Inside a floor, these pairs are one thing in two files.
TOGETHER = {("nn", "init"), ("io", "train"), ("train", "io")}


def level(module: str) -> int | None:
    return next((i for i, floor in enumerate(FLOORS) if module in floor), None)


def python_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """First parts, below sentei, of everything that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "sentei":
                names = [f"sentei.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("sentei.")}
    return found


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_python_floors(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return  # the package's front page names everything, lazily
    if own == "__main__":
        own = "cli"
    mine = level(own)
    assert mine is not None, f"{own} has no floor: add it to FLOORS"
    for used in imports(path) - {own, "__version__"}:
        theirs = level(used)
        assert theirs is not None, f"{path.name} imports sentei.{used}, which has no floor"
        if own == "graph" and used == "ops":
            continue  # op_named loads the registry when a file is read
        assert theirs < mine or (own, used) in TOGETHER, (
            f"{own} (floor {mine}) must not use {used} (floor {theirs})"
        )


CPP_ALLOWED = {
    "core": {"core"},
    "kernels": {"core", "ops", "kernels"},
    "ops": {"core", "ops", "kernels", "cpu"},
    "cpu": {"core", "ops", "kernels", "cpu"},
    "cuda": {"core", "ops", "kernels", "cuda"},
    "bindings": {"core", "ops", "cpu", "bindings"},
}


@pytest.mark.parametrize(
    "path",
    sorted(p for p in (ROOT / "csrc").rglob("*") if p.suffix in (".cpp", ".hpp", ".cu", ".cuh")),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_cpp_floors(path):
    own = path.relative_to(ROOT / "csrc").parts[0]
    for used in re.findall(r'#include "([a-z_]+)/', path.read_text()):
        assert used in CPP_ALLOWED[own], f"{own} must not include {used}/"
    if own in (
        "cpu",
        "cuda",
        "kernels",
    ):  # backends know geometry and pointers, never checks or tensors
        assert '"ops/checks.hpp"' not in path.read_text()
        assert '"core/tensor.hpp"' not in path.read_text()
    if own == "bindings" and path.name not in ("module.cpp", "runtime.cpp"):
        assert '#include "cpu/' not in path.read_text(), "bindings reach kernels through ops"


def source_files() -> list[Path]:
    roots = [ROOT / d for d in ("csrc", "python", "tests", "bench", "tools")]
    kinds = {".py", ".cpp", ".hpp", ".cu", ".cuh"}
    return sorted(p for r in roots for p in r.rglob("*") if p.suffix in kinds)


def test_files_stay_small():
    long = {
        str(p.relative_to(ROOT)): n
        for p in source_files()
        if (n := p.read_text().count("\n")) > 420
    }
    assert not long, f"files over 420 lines, a second concept may be hiding: {long}"
