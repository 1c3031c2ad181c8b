"""tools/kernel_coverage.py counts every instantiation of a kernel on its own, and lines over all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"
FILE = "sentei::cuda::(anonymous namespace)::"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    before = set(sys.modules)
    spec = importlib.util.spec_from_file_location("kernel_coverage", TOOLS / "kernel_coverage.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kernel_coverage", module)
    spec.loader.exec_module(module)
    yield module
    for name in {"mutate_kernels", "kernel_mutants"} - before:
        sys.modules.pop(name, None)


def function(name, text, calls):
    return {"name": name, "demangled_name": text, "execution_count": calls}


def line(number, count, name):
    return {"line_number": number, "count": count, "function_name": name}


ONE, FOUR, INNER = "_ZN12_GLOBAL__N_11kILi1EE", "_ZN12_GLOBAL__N_11kILi4EE", "_ZZN1kENKUl"


def gcov(tool, one, four):
    """What gcov says of a kernel k<1>, k<4> with a lambda; line 3 belongs to k<4> alone."""
    functions = [
        function(ONE, f"void {FILE}k_kernel<1, (Mode)0>(float*)", one),
        function(FOUR, f"void {FILE}k_kernel<4, F<1> >(float*, {{lambda(int)#1}})", four),
        function(INNER, f"{FILE}k_kernel<4, F<1> >(float*)::{{lambda(int)#2}}::operator()(int)", 9),
        function("_Z6launch", "void sentei::cuda::launch(char const*)", 1),
    ]
    lines = [line(2, one, ONE), line(2, four, FOUR), line(3, 0, ONE), line(3, four, FOUR)]
    return [
        {"file": str(tool.CUDA / "add.cu"), "functions": functions, "lines": lines},
        {"file": "/usr/include/vector", "functions": functions, "lines": [line(1, 0, ONE)]},
    ]


def test_names_what_was_never_launched(tool):
    got = tool.Coverage()
    tool.add(got, "add", gcov(tool, 64, 0), {"k_kernel"})
    assert [k.name for k in got.never_launched()] == ["k_kernel<4, F<1> >"]
    assert got.never_ran() == [("add.cu", 3)]
    assert "| `add.cu` | 2 | 50.0 | 2 | 1 |" in tool.table(got)
    assert tool.table(got).endswith("| **all** | 2 | 50.0 | 2 | 1 |")


def test_names_the_lines_that_one_kernel_never_ran(tool):
    got = tool.Coverage()
    tool.add(got, "add", gcov(tool, 64, 32), {"k_kernel"})
    assert not got.never_launched() and not got.never_ran()
    assert tool.variants(got).startswith("add.cu: k_kernel<1, (Mode)0>\n    add.cu:3: ")


def test_kernels_of_one_name_in_two_objects_are_two(tool):
    got = tool.Coverage()
    tool.add(got, "add", gcov(tool, 64, 32), {"k_kernel"})
    tool.add(got, "other", gcov(tool, 0, 32), {"k_kernel"})
    assert [k.name for k in got.never_launched()] == ["k_kernel<1, (Mode)0>"]
    assert not got.never_ran()


def test_reads_the_names_of_kernels(tool):
    text = "__global__ void __launch_bounds__(Tile::threads, 2)\n    a_kernel(int n) {}\n"
    assert tool.GLOBAL.findall(text + "__global__ void b_kernel(float* y) {") == [
        "a_kernel",
        "b_kernel",
    ]
